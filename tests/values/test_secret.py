"""A secret is seen nowhere but where it is asked for by name."""

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest

from mailkeep.values import Secret

PASSWORD = b"correct horse"


@dataclasses.dataclass
class _Holder:
    secret: Secret


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        "{}".format,
        "{0!r:>40}".format,
        "{:>40}".format,
        lambda secret: f"{secret}{secret!r}{secret!s}{secret:x}",
        lambda secret: "%s %r" % (secret, secret),  # noqa: UP031  # this way of formatting is meant
        lambda secret: repr([secret, {"password": secret}]),
        lambda secret: repr(_Holder(secret)),
        lambda secret: json.dumps({"password": secret}, default=str),
        lambda secret: logging.LogRecord("x", 1, "x", 1, "%s", (secret,), None).getMessage(),
    ],
)
def test_a_secret_prints_as_stars(show: object) -> None:
    """Secrets are a type of their own that prints as `***`."""
    assert callable(show)
    shown = show(Secret(PASSWORD))
    assert "***" in shown
    assert "correct" not in shown
    assert "horse" not in shown


@pytest.mark.parametrize(
    "carry_off",
    [pickle.dumps, copy.copy, copy.deepcopy, bytes, len, iter, hash, vars, json.dumps],
)
def test_a_secret_is_not_carried_off(carry_off: object) -> None:
    """No pickle, copy or conversion: only `reveal`, which a reader can search for."""
    assert callable(carry_off)
    with pytest.raises(TypeError) as caught:
        carry_off(Secret(PASSWORD))
    assert "correct" not in str(caught.value)


def raise_with(held: _Holder) -> None:
    raise LookupError(held)


def test_a_traceback_with_variables_shows_no_secret() -> None:
    """A trace that prints the variables of each frame is how secrets reach a log."""
    held = _Holder(Secret(PASSWORD))
    with pytest.raises(LookupError) as caught:
        raise_with(held)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(told.format())
    assert "held = " in text
    assert "correct horse" not in text.replace("PASSWORD", "")


def test_secrets_compare_by_their_octets() -> None:
    """Equal octets are the same secret; nothing else is."""
    assert Secret(b"a") == Secret(b"a")
    assert Secret(b"a") != Secret(b"b")
    assert Secret(b"a") != b"a"
    assert Secret(b"") != Secret(b"\0")


def test_an_empty_secret_is_still_there() -> None:
    """An empty initial response (RFC 5034 section 4) is not the same as none."""
    assert bool(Secret(b""))
    assert Secret(b"").reveal() == b""
