"""`openssl s_client` as people use it to look at a server: POP3S and `-starttls pop3`."""

import pytest
from tests.harness.programs import find_program, run
from tests.interop.conftest import WIRE, Mailbox


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize("service", ["pop3s", "pop3"])
def test_a_session_by_hand(mailbox: Mailbox, service: str, version: str) -> None:
    """A verified session, typed in one go: the certificate holds, the mail comes, nothing goes."""
    port = mailbox.site.pop3s if service == "pop3s" else mailbox.site.pop3
    typed = f"USER {mailbox.account}\nPASS {mailbox.password}\nRETR 2\nSTAT\nQUIT\n"
    shown = run(
        (
            *(find_program("openssl"), "s_client", "-quiet", version),
            *("-verify_return_error", "-CAfile", mailbox.ca, "-verify_hostname", "localhost"),
            *("-connect", f"localhost:{port.number}"),
            *(("-starttls", "pop3") if service == "pop3" else ("-alpn", "pop3")),
        ),
        stdin=typed.encode(),
    ).stdout
    stuffed = WIRE[1].replace(b"\r\n.", b"\r\n..") + b".\r\n"
    total = sum(map(len, WIRE))
    assert stuffed + b"+OK %d %d\r\n" % (len(WIRE), total) in shown
    assert mailbox.remaining() == WIRE


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_tls_is_refused(mailbox: Mailbox, version: str) -> None:
    """TLS 1.0 and 1.1 are not spoken (RFC 8996)."""
    address = f"localhost:{mailbox.site.pop3s.number}"
    arguments = ("s_client", version, "-cipher", "ALL:@SECLEVEL=0", "-connect", address)
    assert run((find_program("openssl"), *arguments), check=False).returncode
