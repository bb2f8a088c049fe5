"""One session with the server, from the listing to QUIT.

The order is the whole point: list, settle what was open, plan, fetch, make durable, journal, only
then DELE, then QUIT, and only its answer makes a message count as gone.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mailkeep.fetch.account import Account
from mailkeep.fetch.client import Client
from mailkeep.fetch.destinations.seam import Destination
from mailkeep.fetch.disk import Disk
from mailkeep.fetch.download import Download, Intending
from mailkeep.fetch.endings import Stopped
from mailkeep.fetch.events import Deleted, MessageAdopted, Planned, Reporter, Warned, Why
from mailkeep.fetch.failures import NetworkFailed, ProtocolBroken, ServerBusy, TlsRefused
from mailkeep.fetch.headers import date_of, header_hash, identify_by_headers, read_headers
from mailkeep.fetch.journal import Journal
from mailkeep.fetch.listing import Listing, Overview
from mailkeep.fetch.names import MessageKey, token_of
from mailkeep.fetch.plan import (
    Check,
    Delete,
    Deletions,
    Known,
    Plan,
    Wanted,
    decide_check,
    is_suspect,
    judge_clock,
    judge_size,
    newer_than,
    plan_deletes,
    plan_fetch,
    unknown_in,
    was_stored,
)
from mailkeep.fetch.policy import Initial, Policy
from mailkeep.fetch.refusals import quote
from mailkeep.fetch.rows import Intent, Row, Safe, State
from mailkeep.fetch.settling import adopt_found, find_everywhere, note_missing, settle
from mailkeep.fetch.storing import Entry, Storing, make_entry
from mailkeep.pop3 import commands
from mailkeep.values import MessageNumber

UNCHANGED = "unchanged"
"""The fact that says how the mailbox looked when everything that is wanted was stored."""

BEGAN = "began"
"""That there was a first run although it had nothing to note: what comes later is new."""
CLOCK = "clock"
DOUBTED = "clock doubted"
_YES = "yes"
_DELE_WINDOW = 500
_PROBE_MESSAGES = 20
"""Enough to see how a server counts, and few enough to lose no time one by one."""


@dataclass(slots=True)
class Parts:
    """What an account's run has, and every session of it uses.

    Attributes:
        deadline: of the event loop's clock, when the run is to end; None for never.
        excluded: messages that are not asked for again in this run.
        download: of the session under way, to tell which message a failure is of.
        trusts_lengths: the server counts octets as all do, as far as is known.
        is_probing: it is to be found out whether it does: some messages, one at a time.
    """

    account: Account
    policy: Policy
    destinations: Sequence[Destination]
    journal: Journal
    disk: Disk
    storing: Storing
    report: Reporter
    clock: Callable[[], float]
    stop: asyncio.Event
    deadline: float | None = None
    excluded: set[MessageKey] = field(default_factory=set)
    download: Download | None = None
    trusts_lengths: bool = True
    is_probing: bool = False

    @property
    def now(self) -> int:
        """Seconds since 1970."""
        return int(self.clock())

    def tell(self, event: Planned | MessageAdopted | Deleted | Warned) -> None:
        """Report an event of this account."""
        self.report(self.account.name, event)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a session would do: for `--dry-run`."""

    listing: Listing
    plan: Plan
    deletions: Deletions


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """What a session did.

    Attributes:
        fetched: messages that were asked for.
        deleted: gone for sure.
        unsettled: deleted, but QUIT was not answered.
        others: messages that were not as long as announced.
    """

    fetched: int
    deleted: int
    unsettled: int
    others: int = 0


class Session:
    """One logged in connection at work.

    Attributes:
        parts: what the run has.
        client: logged in.
    """

    def __init__(self, parts: Parts, client: Client, *, pipelined: bool) -> None:
        self.parts = parts
        self.client = client
        self._pipelined = pipelined
        self._others = 0

    async def run(self, overview: Overview) -> SessionEnd:
        """Fetch what is wanted, delete what may be deleted, and quit.

        Args:
            overview: of the mailbox, in this session.

        Raises:
            Stopped: the user wants it to end.
            FetchFailed: the session ended early; what was stored is journalled.
        """
        parts = self.parts
        parts.storing.last, parts.storing.ended = None, []
        unchanged = fingerprint(overview, parts.policy, parts.destinations)
        before = await parts.disk.run(parts.journal.fact, UNCHANGED)
        if before == unchanged and overview.uidls is not None:
            return await self._find_nothing(overview)
        listing = await self._read_listing(overview)
        await parts.disk.run(settle, listing, parts.journal, now=parts.now)
        is_first = await parts.disk.run(parts.journal.is_empty)
        plan = await self._plan(listing)
        await self._check(plan)
        plan.fetch = [w for w in plan.fetch if w.key not in parts.excluded]
        if is_first or parts.journal.was_left_open:
            plan.fetch = await self._adopt_known_files(plan.fetch)
        await self._tell(listing, plan)
        await self._leave(plan)
        if is_first and not (plan.fetch or plan.leave):
            await parts.disk.run(parts.journal.set_facts, {BEGAN: _YES})
        await self._look_for_earlier(plan.fetch)
        await self._fetch(plan.fetch[: _PROBE_MESSAGES if parts.is_probing else None])
        deletions = await self._plan_deletes(listing)
        try:
            deleted = await self._delete(deletions.delete)
        except ProtocolBroken:
            await parts.storing.doubt_last()
            raise
        is_settled = not (parts.storing.tally.failed or parts.policy.deletes or parts.is_probing)
        await parts.disk.run(parts.journal.set_facts, {UNCHANGED: unchanged if is_settled else ""})
        return await self._quit(len(plan.fetch), deleted)

    async def _find_nothing(self, overview: Overview) -> SessionEnd:
        """End a session with a mailbox that is as it was when everything was done."""
        self.parts.tell(Planned(overview.messages, 0, 0, 0, 0))
        await self._say_goodbye()
        return SessionEnd(0, 0, 0)

    async def preview(self, overview: Overview) -> Preview:
        """Return what `run` would do, and change nothing."""
        listing = await self._read_listing(overview)
        plan = await self._plan(listing, is_preview=True)
        sized = [judge_size(check.wanted, self.parts.policy) for check in plan.check]
        plan.fetch += [wanted for wanted in sized if wanted is not None]
        deletions = await self._plan_deletes(listing, plan.fetch)
        await self._say_goodbye()
        return Preview(listing, plan, deletions)

    async def _read_listing(self, overview: Overview) -> Listing:
        listing = await self.client.read_listing(overview)
        if listing.is_contradicted:
            self.parts.tell(Warned("UIDL and LIST name different messages"))
        if listing.uidls is None:
            self.parts.tell(Warned("the server has no unique-ids; headers tell messages apart"))
            return await identify_by_headers(self.client, listing, pipelined=self._pipelined)
        return listing

    async def _plan(self, listing: Listing, *, is_preview: bool = False) -> Plan:
        parts = self.parts
        known = await parts.disk.run(read_known, parts.journal, listing)
        dates = None
        if known.is_first_run and parts.policy.initial is Initial.NEWER:
            headers = read_headers(self.client, listing.numbers, pipelined=self._pipelined)
            found = {number: date_of(header) async for number, header in headers}
            dates = newer_than(found, parts.policy, parts.now)
        listed = set(listing.uidls or ())
        if known.settled and not listed:
            parts.tell(Warned("the mailbox shows nothing; what is known of it is kept"))
        plan = plan_fetch(listing, known, parts.policy, dates)
        if len(plan.fetch) + len(plan.check):
            await self._look_for_vanished(known.settled.keys() - listed)
        if not is_preview:
            settled = set(known.settled)
            await parts.disk.run(note_missing, listed, settled, parts.journal, now=parts.now)
        return plan

    async def _adopt_known_files(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Find files of ours that a journal which was lost knew of, and return the rest (S-10).

        Their names are derived from the account and the unique-id, so they are found again. The
        lost journal may also have known that the unique-id was used twice (S-31): a file of another
        size is compared by its header, and another message gets a generation of its own.
        """
        parts, name = self.parts, self.parts.account.name
        tokens = {one.number: token_of(name, one.key) for one in wanted}
        found = await parts.disk.run(find_everywhere, parts.destinations, {*tokens.values()})
        files = {
            number: next(iter(found[token].values()))
            for number, token in tokens.items()
            if token in found
        }
        doubtful = [
            one.number
            for one in wanted
            if one.number in files and one.announced != files[one.number].octets
        ]
        async for number, header in read_headers(self.client, doubtful, pipelined=self._pipelined):
            if header is None or header_hash(header) != files[number].header_sha256:
                del files[number]
        here = [
            Intent(one.key, one.number, one.announced, is_suspect(one.announced, file.octets))
            for one in wanted
            if (file := files.get(one.number)) is not None
        ]
        await parts.disk.run(parts.journal.intend, here, now=parts.now)
        parts.storing.tally.adopted += await parts.disk.run(
            adopt_found, name, parts.destinations, parts.journal, now=parts.now
        )
        unfinished = {row.key for row in await parts.disk.run(parts.journal.rows, State.FETCHING)}
        others = set(doubtful) - files.keys()
        rest = [one for one in wanted if one.number not in files or one.key in unfinished]
        return [_next_generation(one) if one.number in others else one for one in rest]

    async def _look_for_vanished(self, uidls: set[bytes]) -> None:
        """Let what arrives be compared with what was stored and is no longer listed (S-32)."""
        parts = self.parts
        rows = await parts.disk.run(parts.journal.rows_of, uidls)
        parts.storing.vanished = {
            row.sha256: row for row in rows if row.sha256 is not None and was_stored(row)
        }

    async def _look_for_earlier(self, wanted: Sequence[Wanted]) -> None:
        """Let what arrives be compared with what had its unique-id, where a session broke off."""
        keys = [one.key for one in wanted if one.key.generation and one.why is Why.AGAIN]
        if keys:
            rows = await self.parts.disk.run(self.parts.journal.earlier, keys)
            self.parts.storing.vanished |= {
                row.sha256: row for row in rows if row.sha256 is not None and was_stored(row)
            }

    async def _check(self, plan: Plan) -> None:
        """Find out by their headers whether doubtful messages are known ones."""
        if not plan.check:
            return
        parts = self.parts
        checks = {check.wanted.number: check for check in plan.check}
        uidls = frozenset[bytes]().union(*{check.candidates for check in plan.check})
        rows = await parts.disk.run(parts.journal.rows_of, uidls)
        by_key = {(row.key.uidl, row.key.ordinal): row for row in rows}
        left: dict[bytes | None, list[Row]] = {}
        for row in rows:
            left.setdefault(row.header_sha256, []).append(row)
        same: list[tuple[Wanted, Row]] = []
        used_up: list[int] = []
        headers = read_headers(self.client, [*checks], pipelined=self._pipelined)
        async for number, header in headers:
            check, wanted = checks[number], checks[number].wanted
            hashed = None if header is None else header_hash(header)
            alike = left.get(hashed, [])
            known = None if hashed is None else decide_check(check, hashed, alike)
            if known is None:
                before = by_key.get((wanted.key.uidl, wanted.key.ordinal))
                used_up += self._fetch_anew(plan, check, before)
            else:
                alike.remove(known)
                same.append((wanted, known))
        if self._pipelined:  # an answer too many would come now, and all before it be another's
            for _ in range(2):
                await self.client.noop()
        await parts.disk.run(adopt_same, same, parts.journal, parts.now)
        await parts.disk.run(
            parts.journal.set_state, used_up, State.GONE, now=parts.now, note="unique-id used again"
        )
        for wanted, row in same:
            parts.storing.tally.adopted += 1
            parts.tell(MessageAdopted(wanted.key.uidl, row.octets or 0))

    def _fetch_anew(self, plan: Plan, check: Check, before: Row | None) -> list[int]:
        """Fetch a doubtful message; if its unique-id was used before, as a new generation.

        Args:
            plan: takes it.
            check: what was in doubt.
            before: the newest row with its unique-id and ordinal.

        Returns:
            the row that the new message takes the unique-id from.
        """
        wanted = check.wanted
        if before is not None:
            generation = max(wanted.key.generation, before.key.generation + 1)
            wanted = replace(wanted, key=replace(wanted.key, generation=generation))
            if before.sha256 is not None and was_stored(before):
                self.parts.storing.vanished[before.sha256] = before
        if (sized := judge_size(wanted, self.parts.policy)) is None:
            return []
        plan.fetch.append(sized)
        return [] if before is None else [before.id]

    async def _tell(self, listing: Listing, plan: Plan) -> None:
        deletions = await self._plan_deletes(listing, plan.fetch)
        octets = sum(wanted.announced or 0 for wanted in plan.fetch)
        skipped = len(plan.skip) + len(plan.leave)
        self.parts.tell(
            Planned(len(listing.numbers), len(plan.fetch), octets, len(deletions.delete), skipped)
        )

    async def _leave(self, plan: Plan) -> None:
        parts = self.parts
        if plan.leave:
            left = [Intent(w.key, w.number, w.announced) for w in plan.leave]
            await parts.disk.run(parts.journal.leave, left, now=parts.now, note="first run")
        if plan.now_sized:
            await parts.disk.run(parts.journal.set_sizes, plan.now_sized)

    async def _fetch(self, wanted: Sequence[Wanted]) -> None:
        if not wanted:
            return
        parts = self.parts
        intending = Intending(wanted, parts.disk, self._journal_some)
        parts.download = Download(
            self.client,
            parts.storing,
            intending,
            parts.policy.limit_octets,
            parts.report,
            pipelined=self._pipelined,
            trusts_lengths=parts.trusts_lengths,
        )
        try:
            await parts.download.run(parts.stop, parts.deadline)
        finally:
            await intending.close()
            await parts.storing.flush()
        self._others, parts.download = parts.download.others, None

    def _journal_some(self, wanted: Sequence[Wanted]) -> list[Entry]:
        """Journal messages before they are asked for. Blocks."""
        parts = self.parts
        intents = [Intent(w.key, w.number, w.announced, w.header_only) for w in wanted]
        intended = parts.journal.intend(intents, now=parts.now)
        tried = [i.id for i, w in zip(intended, wanted, strict=True) if i.was_there]
        held = parts.journal.held(tried)
        name = parts.account.name
        return [
            make_entry(name, w, i, held.get(i.id)) for i, w in zip(intended, wanted, strict=True)
        ]

    async def _plan_deletes(self, listing: Listing, coming: Sequence[Wanted] = ()) -> Deletions:
        """Return what may be deleted, now or once `coming` is stored."""
        parts = self.parts
        if not parts.policy.deletes:
            return Deletions()
        names = [destination.name for destination in parts.destinations]
        safe = await parts.disk.run(parts.journal.deletable, names)
        safe |= {
            (one.key.uidl, one.key.ordinal): Safe(0, parts.now, "")
            for one in coming
            if not one.header_only
        }
        clock = await parts.disk.run(parts.journal.fact, CLOCK)
        doubted = await parts.disk.run(parts.journal.fact, DOUBTED)
        is_sane = judge_clock(int(clock) if clock else None, parts.now, was_doubted=doubted == _YES)
        return plan_deletes(listing, safe, parts.policy, now=parts.now, is_clock_sane=is_sane)

    async def _delete(self, planned: Sequence[Delete]) -> list[Delete]:
        """Say DELE for each, and return those that the server marked; none is gone yet."""
        marked: list[Delete] = []
        window = _DELE_WINDOW if self._pipelined else 1
        for start in range(0, len(planned), window):
            if self.parts.stop.is_set():
                raise Stopped
            some = planned[start : start + window]
            self.client.send(*(commands.Dele(MessageNumber(one.number)) for one in some))
            for one in some:
                status = (await self.client.answer()).status
                if status.is_ok:
                    marked.append(one)
                else:
                    self.parts.tell(Warned(f"the server refuses DELE: {quote(status)}"))
        return marked

    async def _quit(self, fetched: int, deleted: Sequence[Delete]) -> SessionEnd:
        """End the session; a lost answer is neither success nor failure (rule 1 of section 7)."""
        parts = self.parts
        ids = [one.id for one in deleted]
        if not ids:
            await self._say_goodbye()
            return SessionEnd(fetched, 0, 0, self._others)
        await parts.disk.run(parts.journal.set_state, ids, State.DELETING, now=parts.now)
        try:
            await self.client.quit()
        except (NetworkFailed, ProtocolBroken, ServerBusy, TlsRefused) as failure:
            parts.tell(
                Warned(f"{len(ids)} messages may or may not be deleted: {failure}; the next run"
                       " finds out")
            )  # fmt: skip
            return SessionEnd(fetched, 0, len(ids), self._others)
        await parts.disk.run(parts.journal.set_state, ids, State.GONE, now=parts.now)
        parts.tell(Deleted(len(ids)))
        return SessionEnd(fetched, len(ids), 0, self._others)

    async def _say_goodbye(self) -> None:
        """End a session that has deleted nothing; whether it is answered does not matter."""
        try:
            await self.client.quit()
        except ProtocolBroken:
            await self.parts.storing.doubt_last()
            self.client.close()
        except (NetworkFailed, ServerBusy, TlsRefused):
            self.client.close()


def _next_generation(wanted: Wanted) -> Wanted:
    return replace(wanted, key=replace(wanted.key, generation=wanted.key.generation + 1))


def fingerprint(overview: Overview, policy: Policy, destinations: Sequence[Destination]) -> str:
    """Return what is the same as long as nothing has to be done.

    The octets that STAT counts stand for the size of each message: one that took another's
    unique-id and has another size changes the sum.
    """
    names = sorted(destination.name for destination in destinations)
    said = b"%b\n%b" % (overview.totals, overview.uidls or b"")
    return hashlib.sha256(f"{policy} {names} ".encode() + said).hexdigest()


def read_known(journal: Journal, listing: Listing) -> Known:
    """Return what planning needs of a journal. Blocks."""
    others = {(row.key.uidl, row.key.ordinal): row for row in journal.others()}
    is_first_run = journal.fact(BEGAN) is None and journal.is_empty()
    known = Known(journal.settled(), others, is_first_run=is_first_run)
    gone = journal.gone(unknown_in(listing, known))
    others |= {(row.key.uidl, row.key.ordinal): row for row in gone}
    return known


def adopt_same(same: Sequence[tuple[Wanted, Row]], journal: Journal, now: int) -> None:
    """Note that listed messages are known ones: with another size, or another unique-id. Blocks."""
    resized = {
        row.id: wanted.announced
        for wanted, row in same
        if row.key.uidl == wanted.key.uidl and row.state is not State.GONE
    }
    journal.set_announced(resized)
    moved = [(wanted, row) for wanted, row in same if row.id not in resized]
    intents = [Intent(wanted.key, wanted.number, wanted.announced) for wanted, _ in moved]
    intended = journal.intend(intents, now=now)
    pairs = [(new.id, row) for new, (_, row) in zip(intended, moved, strict=True)]
    journal.adopt(pairs, now=now)
