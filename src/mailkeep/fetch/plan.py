"""What to fetch, to leave and to delete: pure functions of listing, journal, policy and time.

Nothing here does I/O or looks at a clock. A listing of a hundred thousand messages with nothing new
is compared in two sweeps of C code; only what differs is looked at one by one.

Rules (S-01 and so on are the rows of `docs/fetch-states.md`): numbers are never kept, only
unique-ids; a known unique-id with another size is checked, not believed; a message with a twin of
the same unique-id is never deleted; what is not proved whole and safe is never deleted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mailkeep.fetch.events import Why
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.policy import DAY_S, Initial, Larger, Policy
from mailkeep.fetch.rows import HEADER_ONLY, SUSPECT, Row, Safe, State

_UNKNOWN = -1
"""Stands for "not in the journal" where None stands for "size not known"."""
_NOBODY: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Known:
    """What the journal knows.

    Attributes:
        settled: announced sizes of what needs nothing, by unique-id; see `Journal.settled`.
        others: the newest row of everything else, by unique-id and ordinal.
        is_first_run: no message was ever noted.
    """

    settled: Mapping[bytes, int | None]
    others: Mapping[tuple[bytes, int], Row]
    is_first_run: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message to fetch.

    Attributes:
        number: valid in this session.
        announced: octets; a hint.
        header_only: by TOP, because it is larger than wanted.
    """

    number: int
    key: MessageKey
    announced: int | None
    why: Why
    header_only: bool = False


@dataclass(frozen=True, slots=True)
class Check:
    """A message that may be a known one: its header decides.

    Attributes:
        wanted: what to do if it is none.
        candidates: unique-ids of rows that it may be; one set for all messages of a size, because
            a mailbox may have thousands of one size.
    """

    wanted: Wanted
    candidates: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Skipped:
    """A message that is listed and not fetched, and why; what is simply stored is counted only."""

    number: int
    uidl: bytes
    announced: int | None
    why: Why


@dataclass(slots=True)
class Plan:
    """What a session shall do before deleting; see `plan_deletes`."""

    fetch: list[Wanted] = field(default_factory=list)
    check: list[Check] = field(default_factory=list)
    leave: list[Wanted] = field(default_factory=list)
    """Noted as not wanted: there before the first run."""
    skip: list[Skipped] = field(default_factory=list)
    stored: int = 0
    """Messages that need nothing."""
    now_sized: list[tuple[bytes, int]] = field(default_factory=list)
    """Known messages whose size was not known: imported ones."""


def plan_fetch(
    listing: Listing, known: Known, policy: Policy, dates: Mapping[int, int | None] | None = None
) -> Plan:
    """Return what to do with each listed message.

    Args:
        listing: of this very session, with unique-ids.
        known: what the journal says.
        policy: what the user wants.
        dates: seconds since 1970 by number, for `Initial.NEWER`: those that are younger than wanted
            were found out by the caller; None for other policies. A message without a date is
            fetched.
    """
    plan = Plan()
    uidls = listing.uidls or ()
    listed = dict(zip(uidls, listing.octets, strict=True))
    lone = _lone_twins(known, uidls)
    if len(listed) == len(uidls) and not lone and listed.items() <= known.settled.items():
        plan.stored = len(uidls)
        return plan
    sizes = _sizes_of_vanished(known, listed)
    wanted_first = _first_run(listing, known, policy, dates)
    for number, uidl, ordinal, announced in _messages(listing):
        before = known.settled.get(uidl, _UNKNOWN) if ordinal == 0 else _UNKNOWN
        row = known.others.get((uidl, ordinal))
        if uidl in lone and (before != _UNKNOWN or _is_settled(row)):
            _doubt(plan, Wanted(number, MessageKey(uidl, ordinal), announced, Why.REUSED))
        elif before != _UNKNOWN:
            _plan_settled(plan, number, uidl, announced, before)
        elif row is not None:
            _plan_row(plan, number, announced, row, policy)
        elif wanted_first is not None and number not in wanted_first:
            why = Why.BEFORE_FIRST_RUN
            plan.leave.append(Wanted(number, MessageKey(uidl, ordinal), announced, why))
        else:
            candidates = sizes.get(announced, _NOBODY)
            wanted = Wanted(number, MessageKey(uidl, ordinal), announced, Why.NEW)
            _plan_wanted(plan, wanted, policy, candidates)
    return plan


def unknown_in(listing: Listing, known: Known) -> set[bytes]:
    """Return the listed unique-ids that `known` says nothing of."""
    named = {uidl for uidl, _ in known.others}
    return set(listing.uidls or ()) - known.settled.keys() - named


def _messages(listing: Listing) -> Iterator[tuple[int, bytes, int, int | None]]:
    """Yield number, unique-id, ordinal and announced octets of each message."""
    uidls = listing.uidls or ()
    rows = zip(listing.numbers, uidls, listing.octets, strict=True)
    if len(set(uidls)) == len(uidls):  # nearly always, and counting takes memory
        yield from ((number, uidl, 0, octets) for number, uidl, octets in rows)
        return
    seen: Counter[bytes] = Counter()
    for number, uidl, octets in rows:
        yield number, uidl, seen[uidl], octets
        seen[uidl] += 1


def _lone_twins(known: Known, uidls: Sequence[bytes]) -> set[bytes]:
    """Return the unique-ids that fewer messages have than before: which is left, nobody says."""
    places = {uidl: 0 for uidl, ordinal in known.others if ordinal}
    if not places:
        return set()
    for uidl, ordinal in known.others:
        if ordinal:
            places[uidl] = max(places[uidl], ordinal)
    counts = Counter(uidl for uidl in uidls if uidl in places)
    return {uidl for uidl, count in counts.items() if count <= places[uidl]}


def _is_settled(row: Row | None) -> bool:
    return row is not None and row.state in {State.STORED, State.LEFT}


def _doubt(plan: Plan, wanted: Wanted) -> None:
    """Let its header decide whether a message is the one that its unique-id was (S-30, S-31)."""
    plan.check.append(Check(wanted, frozenset({wanted.key.uidl})))


def _sizes_of_vanished(
    known: Known, listed: Mapping[bytes, object]
) -> dict[int | None, frozenset[bytes]]:
    """Return the stored messages that are no longer listed, by their announced size."""
    sizes: dict[int | None, set[bytes]] = {}
    for uidl in known.settled.keys() - listed.keys():
        octets = known.settled[uidl]
        if octets is not None:
            sizes.setdefault(octets, set()).add(uidl)
    return {octets: frozenset(uidls) for octets, uidls in sizes.items()}


def _first_run(
    listing: Listing, known: Known, policy: Policy, dates: Mapping[int, int | None] | None
) -> set[int] | None:
    """Return the numbers that a first run may fetch, or None for all."""
    if not known.is_first_run:
        return None
    match policy.initial:
        case Initial.ALL:
            return None
        case Initial.NONE:
            return set()
        case Initial.LAST:
            count = policy.initial_amount
            return set(listing.numbers[-count:]) if count else set()
        case Initial.NEWER:
            return None if dates is None else set(dates)


def newer_than(dates: Mapping[int, int | None], policy: Policy, now: int) -> dict[int, int | None]:
    """Return the messages that are young enough for a first run, or have no date."""
    oldest = now - policy.initial_amount
    return {n: date for n, date in dates.items() if date is None or date >= oldest}


def _plan_settled(
    plan: Plan, number: int, uidl: bytes, announced: int | None, before: int | None
) -> None:
    """Judge a message whose unique-id is settled: only another size makes it doubtful (S-31)."""
    if before is None and announced is not None:
        plan.now_sized.append((uidl, announced))
    if before is None or announced is None or before == announced:
        plan.stored += 1
        return
    _doubt(plan, Wanted(number, MessageKey(uidl), announced, Why.REUSED))


def _plan_row(plan: Plan, number: int, announced: int | None, row: Row, policy: Policy) -> None:
    key = row.key
    following = MessageKey(key.uidl, key.ordinal, key.generation + 1)
    match row.state:
        case State.FETCHING if row.note != HEADER_ONLY or _is_too_large(announced, policy):
            _plan_wanted(plan, Wanted(number, key, announced, Why.AGAIN), policy)
        case State.DELETING:
            plan.stored += 1  # S-05: it is still there, and that settles it
        case State.QUARANTINED:
            plan.skip.append(Skipped(number, key.uidl, announced, Why.QUARANTINED))
        case State.HEADER if _is_too_large(announced, policy):
            plan.stored += 1
        case State.HEADER | State.FETCHING:  # some destination may have the header by this name
            plan.fetch.append(Wanted(number, following, announced, Why.WHOLE_NOW))
        case State.GONE:
            candidates = frozenset({key.uidl}) if was_stored(row) else _NOBODY
            wanted = Wanted(number, following, announced, Why.REUSED)
            _plan_wanted(plan, wanted, policy, candidates)
        case State.STORED | State.LEFT if row.announced is None or announced is None:
            plan.stored += 1  # as for those whose ordinal is 0
        case State.STORED | State.LEFT if announced == row.announced:
            plan.stored += 1  # a twin: its ordinal is not 0
        case State.STORED | State.LEFT:
            _doubt(plan, Wanted(number, following, announced, Why.REUSED))


def _plan_wanted(
    plan: Plan, wanted: Wanted, policy: Policy, candidates: frozenset[bytes] = _NOBODY
) -> None:
    if candidates:
        plan.check.append(Check(wanted, candidates))
    elif (sized := judge_size(wanted, policy)) is None:
        skipped = Skipped(wanted.number, wanted.key.uidl, wanted.announced, Why.TOO_LARGE)
        plan.skip.append(skipped)
    else:
        plan.fetch.append(sized)


def judge_size(wanted: Wanted, policy: Policy) -> Wanted | None:
    """Return how to fetch a message of this size, or None for not at all."""
    if not _is_too_large(wanted.announced, policy):
        return wanted
    if policy.larger is Larger.HEADERS:
        return Wanted(wanted.number, wanted.key, wanted.announced, wanted.why, header_only=True)
    return None


def _is_too_large(announced: int | None, policy: Policy) -> bool:
    limits = (policy.limit_octets, policy.larger_than)
    return announced is not None and any(n is not None and announced > n for n in limits)


def decide_check(check: Check, header_sha256: bytes, candidates: Sequence[Row]) -> Row | None:
    """Return the known message that a listed one is, or None if it is another.

    Args:
        check: what is in doubt.
        header_sha256: of its header, as TOP gave it.
        candidates: rows of `check.candidates` that no other message was matched with.
    """
    for row in candidates:
        is_same = row.header_sha256 == header_sha256 and row.key.uidl in check.candidates
        if is_same and was_stored(row):
            return row
    return None


def was_stored(row: Row) -> bool:
    """Tell whether a message was once durable here, whole, whatever the server has of it now."""
    return row.state in {State.STORED, State.GONE} and row.stored_at is not None


@dataclass(frozen=True, slots=True)
class Delete:
    """A message to delete from the server."""

    number: int
    id: int
    uidl: bytes
    why: Why


@dataclass(slots=True)
class Deletions:
    """What to delete, and why the rest that the policy means is not."""

    delete: list[Delete] = field(default_factory=list)
    keep: list[Skipped] = field(default_factory=list)


def plan_deletes(
    listing: Listing,
    safe: Mapping[tuple[bytes, int], Safe],
    policy: Policy,
    *,
    now: int,
    is_clock_sane: bool,
) -> Deletions:
    """Return what to delete, of messages that are listed in this very session.

    Args:
        listing: of this session.
        safe: what is durable in every destination, by unique-id and ordinal.
        policy: what the user wants.
        now: seconds since 1970.
        is_clock_sane: see `judge_clock`.
    """
    planned = Deletions()
    if not policy.deletes:
        return planned
    twins = {uidl for uidl, count in Counter(listing.uidls or ()).items() if count > 1}
    kept_newest = set(listing.numbers[-policy.keep_newest :]) if policy.keep_newest else set()
    for number, uidl, ordinal, announced in _messages(listing):
        found = safe.get((uidl, ordinal))
        if found is None or number in kept_newest:
            continue
        why = _why_delete(found, policy, now)
        if why is None:
            continue
        reason = _why_not_delete(uidl, found, why, twins, is_clock_sane=is_clock_sane)
        if reason is None:
            planned.delete.append(Delete(number, found.id, uidl, why))
        else:
            planned.keep.append(Skipped(number, uidl, announced, reason))
    return planned


def _why_delete(safe: Safe, policy: Policy, now: int) -> Why | None:
    """Return why the policy wants a stored message deleted that is not among the newest."""
    if policy.delete_after_s is not None:
        return Why.POLICY_AGE if now - safe.stored_at >= policy.delete_after_s else None
    return Why.POLICY_DELETE if policy.delete else Why.POLICY_NEWEST


def _why_not_delete(
    uidl: bytes, safe: Safe, why: Why, twins: set[bytes], *, is_clock_sane: bool
) -> Why | None:
    if uidl in twins:
        return Why.TWIN
    if safe.note == SUSPECT:
        return Why.SUSPECT
    if why is Why.POLICY_AGE and not is_clock_sane:
        return Why.CLOCK
    return None


_CLOCK_BACK_S = 300
"""What setting a clock right may take back."""
_CLOCK_JUMP_S = 2 * DAY_S


def judge_clock(last_seen: int | None, now: int, *, was_doubted: bool) -> bool:
    """Tell whether time may be believed enough to delete by age (S-13).

    A clock that went back is not believed. One that jumped two days forward is not believed once: a
    machine that sleeps for weeks deletes at its second run.

    Args:
        last_seen: the latest time in the journal.
        now: seconds since 1970.
        was_doubted: whether the run before found a jump.
    """
    if last_seen is None:
        return True
    if now < last_seen - _CLOCK_BACK_S:
        return False
    return was_doubted or now - last_seen <= _CLOCK_JUMP_S


def is_suspect(announced: int | None, received: int) -> bool:
    """Tell whether a message arrived so much shorter than announced that it may be cut (S-46).

    Servers that count wrongly count too little (LF instead of CRLF) or a little too much; a tenth
    and 64 octets are given.
    """
    return announced is not None and received + announced // 10 + 64 < announced
