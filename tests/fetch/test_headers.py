"""When a message was delivered, and which it is, from its header alone."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailkeep.fetch.headers import date_of, header_hash
from mailkeep.fetch.received import receive_whole

NOON = int(datetime(2024, 5, 1, 12, tzinfo=UTC).timestamp())
DATE = b"Wed, 1 May 2024 12:00:00 +0000"
OTHER = b"Mon, 1 Jan 2001 00:00:00 +0000"
TRACE = b"from a (b [192.0.2.1])\r\n\tby c with ESMTPS id 1; "


@pytest.mark.parametrize(
    "header",
    [
        b"Received: " + TRACE + DATE + b"\r\n\r\n",
        b"Received: " + TRACE + DATE + b" (UTC)\r\n\r\n",
        b"Received: " + TRACE + b"\r\n\t" + DATE + b"\r\n\r\n",
        b"Received: " + TRACE + b"\r\n Wed, 1 May 2024\r\n 12:00:00 +0000\r\n\r\n",
        b"received: x;" + DATE + b"\r\n",
        b"RECEIVED: x; Wed, 01 May 2024 14:00:00 +0200\r\n\r\n",
        b"Received: x; comment; " + DATE + b"\r\n\r\n",
        b"Received: x; " + DATE + b"\r\nReceived: y; " + OTHER + b"\r\nDate: " + OTHER + b"\r\n",
        b"Date: " + OTHER + b"\r\nReceived: x; " + DATE + b"\r\n\r\n",
        b"Received: without a date\r\nReceived: x; " + DATE + b"\r\n\r\n",
        b"Received: x; no date at all\r\nDate: " + DATE + b"\r\n\r\n",
        b"Date: " + DATE + b"\r\n\r\n",
        b"Subject: a\r\nDate:\r\n " + DATE + b"\r\n\r\n",
        b"Subject: Date: x\r\nX-Received: x; " + OTHER + b"\r\nDate: " + DATE + b"\r\n\r\n",
        b"Date: Wed, 1 May 2024 12:00:00 -0000\r\n\r\n",
        b"Date: Wed, 1 May 2024 12:00:00\r\n\r\n",
        b"Date: 1 May 2024 08:00 EDT\r\n\r\n",
    ],
)
def test_the_receiving_servers_date_counts_then_the_senders(header: bytes) -> None:
    """RFC 5321 section 4.4: the topmost Received: is the last server's; Date: is a claim."""
    assert date_of(header) == NOON


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Tokyo"])
def _zone(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_zone")
@pytest.mark.parametrize("zone", [b"-0000", b"", b"+0000", b"GMT"])
def test_a_date_is_the_same_wherever_this_machine_is(zone: bytes) -> None:
    """RFC 5322 section 3.3: -0000 says that the time is in UTC and nothing of where it was."""
    assert date_of(b"Date: Wed, 1 May 2024 12:00:00 " + zone + b"\r\n\r\n") == NOON


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"\r\n",
        b"Subject: a\r\n\r\n",
        b"Date:\r\n\r\n",
        b"Date: yesterday\r\n\r\n",
        b"Date: Wed, 99 May 2024 12:00:00 +0000\r\n\r\n",
        b"Date: Wed, 1 May 999999 12:00:00 +0000\r\n\r\n",
        b"Date: Wed, 1 May 2024 12:00:00 +9999999999\r\n\r\n",
        b"Received: x;\r\n\r\n",
        b"X-Date: " + DATE + b"\r\n\r\n",
        b"Subject: a\r\n Date: " + DATE + b"\r\n\r\n",
    ],
)
def test_without_a_date_nothing_is_claimed(header: bytes | None) -> None:
    """A message of unknown age is fetched, so unknown must be said."""
    assert date_of(header) is None


PARTS = st.sampled_from(
    [*b"0123456789".decode(), ":", ";", " ", ",", "+", "-", "(", ")", "Mon", "Jan", "2024", "GMT"]
)


@given(st.one_of(st.lists(PARTS).map("".join).map(str.encode), st.binary()))
@example(b"0" * 5000)
def test_no_date_is_too_odd(text: bytes) -> None:
    """S-51: what senders write is never a reason to end."""
    for name in (b"Date: ", b"Received: x; "):
        assert isinstance(date_of(name + text + b"\r\n\r\n"), int | None)


def test_a_header_that_top_gives_has_the_hash_that_the_message_has() -> None:
    """S-31, S-32: TOP n 0 sends the header and the empty line (RFC 1939 section 7)."""
    header = b"Subject: a\r\nTo: b\r\n\r\n"
    assert header_hash(header) == receive_whole(header + b"body\r\n\r\nmore\r\n").header_sha256
    assert header_hash(b"\r\n") == receive_whole(b"\r\nbody\r\n").header_sha256
    assert header_hash(b"Subject: a\r\n") == receive_whole(b"Subject: a\r\n").header_sha256
    assert header_hash(header) != header_hash(b"Subject: b\r\nTo: b\r\n\r\n")
