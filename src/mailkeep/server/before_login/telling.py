"""What the program before login tells of the logins of one visitor.

It decides nothing, and the client hears nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mailkeep.accounts import Admission, Claim, Identified
from mailkeep.defence import Ban, Consequences, Turning, Welcome
from mailkeep.events import EventSink
from mailkeep.events import types as events
from mailkeep.server.before_login.visitor import Visitor

NAME_TOLD_OCTETS = 320
"""No address is longer (RFC 5321 section 4.5.3.1). A SASL name may have 9 KiB, which escaping makes
64: the journal cuts such a line in two (LineMax of journald.conf(5)), and what a stranger wrote
would begin the second."""

LEFT = "right, but the client left before it was let in"
"""The reason of a login that nobody was refused: whoever only tries a password leaves a trace."""


@dataclass(slots=True)
class Guess:
    """Credentials, and what is known of them so far."""

    claim: Claim
    mechanism: str
    owner: str = ""
    """Who is meant, as far as is known; the claim itself may name nobody."""
    delayed_s: float = 0.0
    """How long the door has made it wait because of failures."""

    @property
    def name(self) -> str:
        """For events: what the client calls itself, or who is meant."""
        return name_told(self.claim.name_untrusted) or self.owner[:NAME_TOLD_OCTETS]


class LoginTelling:
    """Tells of the logins of one visitor."""

    __slots__ = ("_sink", "_visitor")

    def __init__(self, sink: EventSink, visitor: Visitor) -> None:
        self._sink = sink
        self._visitor = visitor

    def refused(self, guess: Guess, reason: str) -> None:
        """Tell that somebody was not let in."""
        self._sink.emit(
            events.LoginRefused(
                session=self._visitor.session,
                peer=self._visitor.peer,
                mechanism=guess.mechanism,
                reason=reason,
                name=guess.name,
            )
        )

    def deferred(self, mechanism: str, name: str, reason: str) -> None:
        """Tell that a login could not be checked."""
        self._sink.emit(
            events.LoginDeferred(
                session=self._visitor.session,
                peer=self._visitor.peer,
                mechanism=mechanism,
                reason=reason,
                name=name,
            )
        )

    def delayed(self, guess: Guess) -> None:
        """Tell that the door has made somebody wait."""
        self._sink.emit(
            events.LoginDelayed(
                session=self._visitor.session,
                peer=self._visitor.peer,
                seconds=round(guess.delayed_s, 3),
                name=guess.name,
            )
        )

    def consequences(self, identified: Identified, consequences: Consequences) -> None:
        """Tell what a wrong guess has brought about."""
        own = (consequences.ban,) if consequences.ban is not None else ()
        self.bans((*own, *consequences.other_bans))
        if (failures := consequences.guessed_at) is not None:
            self._sink.emit(
                events.MainPasswordGuessedAt(account=identified.name, failures=failures)
            )

    def bans(self, bans: Sequence[Ban]) -> None:
        """Tell who is banned."""
        for ban in bans:
            self._sink.emit(
                events.PrefixBanned(prefix=ban.prefix, seconds=ban.seconds, reason=ban.reason)
            )

    def odd(self, admission: Admission, welcome: Welcome) -> None:
        """Tell what is remarkable about right credentials."""
        visitor, account = self._visitor, str(admission.account.address)
        if welcome.refused is Turning.HOT_PASSWORD:
            self._sink.emit(
                events.HotPasswordRight(session=visitor.session, account=account, peer=visitor.peer)
            )
        if welcome.odd is not None:
            self._sink.emit(
                events.LoginFromNewPlace(
                    session=visitor.session,
                    account=account,
                    peer=visitor.peer,
                    country=welcome.country,
                    before=welcome.country_before,
                    reason=welcome.odd.value,
                    refused=welcome.refused is welcome.odd,
                    is_alert=welcome.is_alert,
                )
            )


def name_told(name_untrusted: bytes) -> str:
    """Return what a client calls itself, as events have it."""
    return name_untrusted[:NAME_TOLD_OCTETS].decode(errors="backslashreplace")
