"""Python's own client, as ticket systems and scripts use it: POP3_SSL, and `stls` on port 110."""

import poplib
import ssl
from collections.abc import Iterator

import pytest
from tests.harness.programs import DEADLINE_S
from tests.interop.conftest import WIRE, Mailbox


@pytest.fixture(params=["pop3s", "stls"])
def client(request: pytest.FixtureRequest, mailbox: Mailbox) -> Iterator[poplib.POP3]:
    context = ssl.create_default_context(cafile=mailbox.ca)
    if request.param == "pop3s":
        port = mailbox.site.pop3s.number
        opened: poplib.POP3 = poplib.POP3_SSL(
            "localhost", port, context=context, timeout=DEADLINE_S
        )
    else:
        opened = poplib.POP3("localhost", mailbox.site.pop3.number, timeout=DEADLINE_S)
        assert "STLS" in opened.capa()
        opened.stls(context)
    yield opened
    opened.close()


def log_in(client: poplib.POP3, mailbox: Mailbox) -> None:
    client.user(mailbox.account)
    client.pass_(mailbox.password)


def test_reads_all_and_leaves_it(client: poplib.POP3, mailbox: Mailbox) -> None:
    """Every line that `retr` and `top` give back is the line that was sent."""
    log_in(client, mailbox)
    assert client.stat() == (len(WIRE), sum(map(len, WIRE)))
    assert len(client.uidl()[1]) == len(WIRE)
    for number, wire in enumerate(WIRE, 1):
        if b"x" * 2048 in wire:
            continue  # poplib takes no line of more than 2048 octets
        lines = client.retr(number)[1]
        assert b"".join(line + b"\r\n" for line in lines) == wire
        assert client.top(number, 0)[1] == lines[: lines.index(b"") + 1]
    client.quit()
    assert mailbox.remaining() == WIRE


def test_deletes_what_it_says(client: poplib.POP3, mailbox: Mailbox) -> None:
    """`dele`, `rset`, `dele`, `quit`: the last word counts."""
    log_in(client, mailbox)
    client.dele(1)
    client.rset()
    client.dele(2)
    client.quit()
    assert mailbox.remaining() == WIRE[:1] + WIRE[2:]


def test_a_wrong_password_is_told(client: poplib.POP3, mailbox: Mailbox) -> None:
    """The reason comes as a response code (RFC 3206 section 4) and the connection stays usable."""
    client.user(mailbox.account)
    with pytest.raises(poplib.error_proto, match=r"\[AUTH\]"):
        client.pass_("wrong")
    log_in(client, mailbox)
    client.quit()
