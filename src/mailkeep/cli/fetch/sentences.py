"""Events in sentences: what is told on a line of its own, for the bar and for plain output.

Two kinds: news, which `--quiet` leaves out, and trouble, which is always told. Progress is told by
who shows it. Everything that comes from a server is made printable here.
"""

from mailkeep.cli.entry import EXIT_INTERRUPTED
from mailkeep.cli.fetch.amounts import format_count, format_octets, format_seconds
from mailkeep.cli.fetch.untrusted import cut, show_octets, show_text
from mailkeep.cli.talk import printable
from mailkeep.fetch.events import Connected, Ended, Event, MessageFailed, Planned, Warned

_UIDL_CHARACTERS = 70
"""The longest that RFC 1939 section 7 allows."""


def tell_news(account: str, event: Event) -> list[str]:
    """Return the lines of an event that ends well; usually none or one."""
    match event:
        case Connected(tls=None):
            return [f"{printable(account)}: connected in clear text"]
        case Planned():
            return [f"{printable(account)}: {_describe_plan(event)}"]
        case Ended():
            return [f"{printable(account)}: {said}" for said in _describe_end(event)]
        case _:
            return []


def tell_trouble(account: str, event: Event) -> list[str]:
    """Return the lines of an event that a user must hear of, as `error`, `hint`, `warning`."""
    match event:
        case Warned(text_untrusted=text):
            return [f"warning: {printable(account)}: {show_text(text)}"]
        case MessageFailed():
            return [f"warning: {printable(account)}: {_describe_failure(event)}"]
        case Ended(error_untrusted=str(text), hint=hint):
            error = f"error: {printable(account)}: {show_text(text)}"
            return [error, f"hint: {printable(hint)}"] if hint else [error]
        case _:
            return []


def _describe_plan(planned: Planned) -> str:
    octets = f" ({format_octets(planned.fetch_octets)})"
    said = [
        format_count(planned.messages, "message"),
        f"{planned.fetch} new{octets}" if planned.fetch else "nothing new",
    ]
    if planned.delete:
        said.append(f"{planned.delete} to delete")
    if planned.skip:
        said.append(f"{planned.skip} skipped")
    return ", ".join(said)


def _describe_failure(failed: MessageFailed) -> str:
    end = "; it failed too often and is in quarantine" if failed.quarantined else ""
    reason = show_text(failed.reason_untrusted)
    uidl = cut(show_octets(failed.uidl), _UIDL_CHARACTERS)
    return f"message {uidl} failed (try {failed.failures}): {reason}{end}"


def _describe_end(ended: Ended) -> list[str]:
    """Return what was done, unless it is nothing and an error says why."""
    counts = (
        (ended.adopted, "already here"),
        (ended.deleted, "deleted"),
        (ended.unsettled, "deleted or not, the next run finds out"),
        (ended.failed, "failed"),
    )
    rest = [f"{count} {what}" for count, what in counts if count]
    if ended.code == EXIT_INTERRUPTED:
        rest.append("interrupted")
    took = f"in {format_seconds(ended.seconds)}"
    if ended.fetched:
        octets = format_octets(ended.octets)
        return ["; ".join((f"{ended.fetched} fetched ({octets}) {took}", *rest))]
    if ended.error_untrusted is not None and not rest:
        return []
    return ["; ".join((f"nothing fetched {took}" if rest else f"nothing new {took}", *rest))]
