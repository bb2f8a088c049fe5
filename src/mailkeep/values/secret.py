"""Octets that must not be seen: they print as `***` wherever they turn up."""

import hmac
from typing import NoReturn, final


@final
class Secret:
    """A password, a token, or an answer that holds one.

    It has no useful `repr`, `str`, format or pickle, so that a log line, a trace or a debugger
    shows nothing; comparing takes the same time wherever two secrets differ.
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def reveal(self) -> bytes:
        """Return the octets themselves, for the one place that checks or stores them."""
        return self._octets

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets, other._octets)

    __hash__ = None  # type: ignore[assignment]  # a table keyed by secrets would compare them early

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
