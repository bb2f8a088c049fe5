"""An existing tree of Maildirs, served in place while Dovecot delivers, renames and deletes."""

from tests.harness.client import logged_in
from tests.harness.maildir import find, lay
from tests.harness.programs import find_program, run
from tests.harness.site import PASSWORD
from tests.interop.neighbours import Neighbours, read_all, read_by_dovecot
from tests.messages import naive_wire_form

LDA = """
mail_location = maildir:{maildir}
log_path = /dev/stderr
postmaster_address = postmaster@example.test
hostname = mail.example.test
"""


def deliver_by_dovecot(neighbours: Neighbours, account: str, message: bytes) -> None:
    """Deliver with dovecot-lda as an MTA would call it."""
    settings = neighbours.maildirs.parent / "lda.conf"
    settings.write_text(LDA.format(maildir=neighbours.maildirs / account))
    run(
        (find_program("dovecot-lda"), "-c", settings, "-f", "a@example.test"),
        stdin=message,
        user=neighbours.dovecot.user,
        environment={"HOME": str(neighbours.maildirs.parent)},
    )


def test_what_dovecot_delivers_is_served(neighbours: Neighbours) -> None:
    """Its names say sizes that we trust, and its own files beside them are no messages."""
    account = "delivered"
    neighbours.add_account(account)
    neighbours.own()
    messages = [b"Subject: one\n\n.body\n", b"Subject: two\r\n\r\nbody\r\n", b"Subject: 3\n\n"]
    for message in messages:
        deliver_by_dovecot(neighbours, account, message)
    with neighbours.site.session(account) as client:
        sizes = [int(size) for _, size in client.listing(b"LIST")]
        ours = read_all(client)
    # Within one second its names do not tell the order: it writes microseconds without zeros.
    assert sorted(ours) == sorted(map(naive_wire_form, messages))
    assert sizes == [len(message) for message in ours]
    assert sorted(read_by_dovecot(neighbours, account)[1]) == sorted(ours)


def test_a_size_that_dovecot_counted_short_is_not_believed_twice(neighbours: Neighbours) -> None:
    """Its `,W=` leaves out a last CRLF that is missing: no client gets other octets than announced.

    The first session may be told to come again; from the next one on the size is right.
    """
    account = "short"
    neighbours.add_account(account)
    neighbours.own()
    deliver_by_dovecot(neighbours, account, b"Subject: one\n\nno end")
    wire = b"Subject: one\r\n\r\nno end\r\n"
    with neighbours.site.session(account) as client:
        announced = int(client.command(b"LIST 1").split(b" ")[1])
        client.send(b"RETR 1\r\n")
        reply = client.read_line()
        if announced == len(wire):
            assert client.read_body() == wire
        else:
            assert reply.startswith(b"-ERR [SYS/TEMP] ")
        client.command(b"QUIT")
    with neighbours.site.session(account) as client:
        assert client.command(b"LIST 1") == b"1 %d" % len(wire)
        assert read_all(client) == [wire]


def test_a_neighbour_renames_under_an_open_session(neighbours: Neighbours) -> None:
    """Files move from `new` to `cur` and get flags while a session reads, and are found."""
    account = "renamed"
    maildir = neighbours.add_account(account)
    messages = [b"Subject: %d\n\nbody\n" % place for place in range(1, 6)]
    for place, message in enumerate(messages, 1):
        lay(maildir, message, place)
    neighbours.own()
    with neighbours.site.session(account) as client:
        uidls = client.listing(b"UIDL")
        read_by_dovecot(neighbours, account)
        assert not any((maildir / "new").iterdir())
        wires = [naive_wire_form(message) for message in messages]
        assert list(client.bodies([b"RETR %d" % n for n in range(1, 6)])) == wires
        client.command(b"DELE 2")
        client.command(b"QUIT")
        assert not client.read_end()
    with neighbours.site.session(account) as client:
        assert [uidl for _, uidl in client.listing(b"UIDL")] == [
            uidl for number, uidl in uidls if number != 2
        ]
        client.command(b"QUIT")
    _, left = read_by_dovecot(neighbours, account)
    assert left == [*wires[:1], *wires[2:]]


def test_a_neighbour_deletes_under_an_open_session(neighbours: Neighbours) -> None:
    """What Dovecot deleted is a hole in our session; QUIT passes over it (RFC 1939 section 6)."""
    account = "deleted"
    maildir = neighbours.add_account(account)
    for place in range(1, 4):
        lay(maildir, b"Subject: %d\n\nbody\n" % place, place)
    neighbours.own()
    with neighbours.site.session(account) as client:
        with logged_in(neighbours.dovecot.pop3s, neighbours.site.ca, account, PASSWORD) as other:
            other.command(b"DELE 2")
            other.command(b"QUIT")
            assert not other.read_end()
        client.send(b"RETR 2\r\n")
        assert client.read_line().startswith(b"-ERR")
        client.command(b"DELE 1")
        client.command(b"DELE 2")
        client.command(b"QUIT")
    assert [path.name for path in maildir.rglob("17*")] == [find(maildir, "1700000003").name]


def test_nothing_is_left_in_the_maildir(neighbours: Neighbours) -> None:
    """Serving a Maildir in place writes nothing into it but what delivery would."""
    account = "untouched"
    maildir = neighbours.add_account(account)
    path = lay(maildir, b"Subject: one\n\nbody\n", 1)
    neighbours.site.deliver(account, b"Subject: two\n\nbody\n")
    with neighbours.site.session(account) as client:
        assert len(read_all(client)) == 2
    assert sorted(child.name for child in maildir.iterdir()) == ["cur", "new", "tmp"]
    assert path.exists()
    delivered = [other for other in (maildir / "new").iterdir() if other != path]
    assert len(delivered) == 1
    assert not any((maildir / "tmp").iterdir())
