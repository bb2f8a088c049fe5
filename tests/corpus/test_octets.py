"""What went in comes out: whole folders of mail, delivered or laid by hand, and read over TLS."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.corpus.collections import NAMES, read_collection
from tests.harness.client import WireClient
from tests.harness.maildir import lay, make_maildir
from tests.harness.site import RunningSite
from tests.messages import naive_top, naive_wire_form

from mailkeep.values.uidl import is_uidl

TOPS = (0, 1, 3, 10**9)


@dataclass(frozen=True, slots=True)
class Mail:
    """A collection of messages, and the account in which it is."""

    account: str
    messages: list[bytes]


WAYS = ("delivered", "laid without sizes", "laid with sizes")


@pytest.fixture(scope="module", params=NAMES)
def messages(request: pytest.FixtureRequest) -> list[bytes]:
    return list(read_collection(request.param).values())


@pytest.fixture(scope="module", params=WAYS)
def mail(request: pytest.FixtureRequest, messages: list[bytes], served: RunningSite) -> Mail:
    """Put a collection into an account of its own, in one of the ways mail arrives."""
    way = request.param
    account = served.add_account(f"octets-{WAYS.index(way)}-{len(messages)}")
    if way == "delivered":
        served.deliver(account, *messages)
    else:
        maildir = make_maildir(served.maildir(account))
        for place, message in enumerate(messages, 1):
            sizes = f",S={len(message)},W={len(naive_wire_form(message))}"
            fields = sizes if way == "laid with sizes" else ""
            lay(maildir, message, place, cur=place % 2 == 0, fields=fields)
    return Mail(account, messages)


@pytest.fixture
def session(mail: Mail, served: RunningSite) -> Iterator[WireClient]:
    with served.session(mail.account) as client:
        yield client
        client.drop()


def test_every_message_comes_back_octet_for_octet(mail: Mail, session: WireClient) -> None:
    """RETR is the wire form, oldest first, LIST announced its length, and STAT all of them.

    Sources: RFC 1939 sections 3, 5 and 11. Delivery keeps the order within a second too.
    """
    sizes = session.listing(b"LIST")
    assert [number for number, _ in sizes] == list(range(1, len(mail.messages) + 1))
    total = sum(int(size) for _, size in sizes)
    assert session.command(b"STAT") == b"%d %d" % (len(sizes), total)
    bodies = session.bodies([b"RETR %d" % number for number, _ in sizes])
    for (number, size), message, body in zip(sizes, mail.messages, bodies, strict=True):
        assert len(body) == int(size), number
        assert body == naive_wire_form(message), number


def test_top_is_the_naive_cut(mail: Mail, session: WireClient) -> None:
    """TOP n is the header, the empty line and n lines of the body (RFC 1939 section 7)."""
    cuts = [
        (b"TOP %d %d" % (number, lines), naive_top(naive_wire_form(message), lines))
        for number, message in enumerate(mail.messages, 1)
        for lines in TOPS
    ]
    tops = session.bodies([command for command, _ in cuts])
    for (command, cut), top in zip(cuts, tops, strict=True):
        assert top == cut, command


def test_unique_ids_are_legal_and_unique(mail: Mail, session: WireClient) -> None:
    """One to seventy printable characters, each once, in LIST's order (RFC 1939 section 7)."""
    uidls = session.listing(b"UIDL")
    assert [number for number, _ in uidls] == list(range(1, len(mail.messages) + 1))
    assert len({uidl for _, uidl in uidls}) == len(uidls)
    assert all(is_uidl(uidl) for _, uidl in uidls)
