"""One account's run: lock, journal, sessions, and an end that says how it was.

A run may need several sessions: the connection broke, a message was too long to be read on, a
server that said PIPELINING did not mean it, a server that shows its mail in parts. What was stored
is never fetched again, whatever ends a session.

A server may take a second to open a big mailbox. Meanwhile the destinations are made ready, and
what only a mailbox with mail needs is imported: a run that finds nothing new is as long as the
server's work.
"""

import asyncio
import contextlib
import os
import re
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mailkeep.fetch.account import Account
from mailkeep.fetch.client import Client
from mailkeep.fetch.connecting import connect, refuse_cleartext
from mailkeep.fetch.disk import Disk
from mailkeep.fetch.endings import MessageTooLong, NothingCame, OtherLength, Stopped
from mailkeep.fetch.events import Ended, Event, Reporter, Warned
from mailkeep.fetch.failures import FetchExit, FetchFailed, NetworkFailed, ProtocolBroken
from mailkeep.fetch.journal import Journal, open_journal
from mailkeep.fetch.policy import Policy
from mailkeep.fetch.remembered import REMEMBERED, judge_expire
from mailkeep.fetch.state_folder import AccountFolder
from mailkeep.pop3 import RemoteProtocolError
from mailkeep.sasl import Login

if TYPE_CHECKING:
    from mailkeep.fetch.destinations.seam import Destination
    from mailkeep.fetch.download import Download
    from mailkeep.fetch.listing import Overview
    from mailkeep.fetch.session import Parts, Preview, Session

RECONNECT_DELAYS_S = (0.5, 2.0, 5.0, 10.0, 20.0)
"""Between the sessions of one run when a connection breaks in the middle: short, because the mail
is half here, and few, because `--every` and timers try again anyway."""

TRACE_VARIABLE = "MAILKEEP_TRACE"
"""Set to anything, it lets the trace of an internal error through."""

PIPELINING = "pipelining"
"""The fact that says what is known of a server's PIPELINING beside that it offers it (S-26)."""
_BROKEN = "broken"
_DOUBTED = "doubted"
"""An answer had not the length that was announced: some messages are fetched one by one to see
whether that is the server's way of counting."""
_SILENT = "silent once"
"""Answers did not come, which may have been the network; the second time it is broken."""

LENGTHS = "lengths"
_OWN = "its own"
"""The server counts octets in its own way, so a length says nothing of whose answer it is."""

_INTERRUPTED = 130


LoginSource = Callable[[], Awaitable[Login]]
"""Returns name and secret; asked before every connection, because a token may have expired."""


@dataclass(slots=True)
class Options:
    """How a run is made.

    Attributes:
        retry: ask again for messages in quarantine.
        max_s: end after so many seconds; None for when all is done.
        accept_change: go on although something got worse than it was seen before.
        stop: set to end the run in order: what is stored stays, nothing more is asked for.
        clock: seconds since 1970.
        reconnect_delays_s: see `RECONNECT_DELAYS_S`.
    """

    accept_change: bool = False
    retry: bool = False
    max_s: float | None = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    clock: Callable[[], float] = time.time
    reconnect_delays_s: Sequence[float] = RECONNECT_DELAYS_S


@dataclass(frozen=True, slots=True)
class Opened:
    """What a run holds from its beginning.

    Attributes:
        journal: of the account, whose lock is held.
        disk: where it is used.
    """

    journal: Journal
    disk: Disk


class AccountRun:
    """Everything that one account's run needs, from its lock on."""

    def __init__(  # noqa: PLR0917  # the parts of a run, put together in one place
        self,
        account: Account,
        policy: Policy,
        destinations: "Callable[[], Sequence[Destination]]",
        folder: AccountFolder,
        login: LoginSource,
        report: Reporter,
        options: Options | None = None,
    ) -> None:
        """Put the run together; nothing is opened yet.

        Args:
            account: where.
            policy: what is wanted.
            destinations: makes them, off the loop, when the server has let us in.
            folder: of the account's state.
            login: who.
            report: who is told.
            options: how.
        """
        self._account = account
        self._policy = policy
        self._make_destinations = destinations
        self._folder = folder
        self._login = login
        self._report = report
        self._options = options or Options()
        self._parts: Parts | None = None
        self._deleted = 0
        self._unsettled = 0
        self._started = 0.0
        self._login_delay_s = 0
        self._is_lock_step = False
        self._was_pipelined = False

    @property
    def login_delay_s(self) -> int:
        """What the server's LOGIN-DELAY asks for, once it was heard (RFC 2449 section 6.5)."""
        return self._login_delay_s

    async def fetch(self) -> Ended:
        """Fetch the account to its end; never raises.

        Returns:
            how it ended, which was reported too.
        """
        self._started = time.monotonic()
        failure: FetchFailed | None = None
        code = int(FetchExit.DONE)
        try:
            async with self._open() as opened:
                await self._sessions(opened)
        except Stopped:
            code = _INTERRUPTED
        except FetchFailed as caught:
            failure, code = caught, int(caught.code)
        except Exception as caught:  # noqa: BLE001  # the top of one account; the others go on
            failure, code = _apology(caught), int(FetchExit.WRONG)
        ended = self._end(code, failure)
        self._report(self._account.name, ended)
        return ended

    async def preview(self) -> "Preview":
        """Return what `fetch` would do; nothing is stored, deleted or remembered of messages.

        Raises:
            FetchFailed: it cannot be found out.
        """
        async with self._open() as opened, self._begun(opened) as (session, opening):
            return await session.preview(await opening)

    @contextlib.asynccontextmanager
    async def _open(self) -> AsyncIterator[Opened]:
        """Lock the account, open its journal, and let everything go at the end."""
        refuse_cleartext(self._account)
        self._folder.make()
        disk = Disk()
        with contextlib.ExitStack() as closing:
            closing.callback(disk.close)
            closing.enter_context(self._folder.locked())
            journal = await disk.run(open_journal, self._folder.journal)
            closing.callback(journal.close)
            try:
                yield Opened(journal, disk)
            finally:
                await self._close_parts(disk, journal)

    async def _close_parts(self, disk: Disk, journal: Journal) -> None:
        if self._parts is None:
            return
        await self._parts.storing.close()
        for destination in self._parts.destinations:
            destination.close()
        await disk.run(self._remember_time, journal)

    def _begin_work(self, opened: Opened) -> "Parts":
        """Import what mail needs, and make the destinations. Blocks."""
        from mailkeep.fetch.destinations.folder import FolderDestination
        from mailkeep.fetch.session import Parts
        from mailkeep.fetch.storing import Storing

        destinations = self._make_destinations()
        clock = self._options.clock
        storing = Storing(
            self._account.name,
            destinations,
            opened.journal,
            opened.disk,
            self._report,
            clock,
            FolderDestination(self._folder.quarantine),
        )
        return Parts(
            self._account,
            self._policy,
            destinations,
            opened.journal,
            opened.disk,
            storing,
            self._report,
            clock,
            self._options.stop,
        )

    async def _recover(self, parts: "Parts") -> None:
        """Make the destinations ready, and take over what a crashed run left there."""
        from mailkeep.fetch.session import UNCHANGED
        from mailkeep.fetch.settling import adopt_found, prepare_destinations

        if self._options.retry:
            await parts.disk.run(parts.journal.release_quarantined)
            await parts.disk.run(parts.journal.set_facts, {UNCHANGED: ""})
        told = await parts.disk.run(prepare_destinations, parts.destinations, parts.journal)
        for line in told:
            parts.tell(Warned(line))
        parts.storing.tally.adopted += await parts.disk.run(
            adopt_found, self._account.name, parts.destinations, parts.journal, now=parts.now
        )

    async def _sessions(self, opened: Opened) -> None:
        """Hold sessions until one ends well with nothing more to come."""
        delays = iter(self._options.reconnect_delays_s)
        max_s = self._options.max_s
        deadline = None if max_s is None else asyncio.get_running_loop().time() + max_s
        while True:
            try:
                fetched = await self._session(opened, deadline)
            except (MessageTooLong, NetworkFailed, ProtocolBroken) as failure:
                await self._judge_failure(failure, delays)
                continue
            if not fetched:
                return

    async def _session(self, opened: Opened, deadline: float | None) -> bool:
        """Hold one session, and return whether another one is to follow."""
        if self._parts is not None:
            self._parts.download = None
        is_first = self._parts is None
        async with self._begun(opened) as (session, opening):
            session.parts.deadline = deadline
            if is_first:
                await self._recover(session.parts)
            overview = await opening
            self._heed_capabilities(session.client)
            end = await session.run(overview)
        self._deleted += end.deleted
        self._unsettled += end.unsettled
        was_probing = session.parts.is_probing and end.fetched > 0
        await self._learn(opened, was_probing=was_probing, others=end.others)
        return was_probing or (self._account.hides_read_mail and end.fetched > 0)

    async def _learn(self, opened: Opened, *, was_probing: bool, others: int) -> None:
        """Remember what a session that ended well says of the server's PIPELINING."""
        facts: dict[str, str] = {}
        if was_probing:
            facts = {PIPELINING: "", LENGTHS: _OWN} if others else {PIPELINING: _BROKEN}
        elif self._was_pipelined:
            facts = {PIPELINING: ""}
        known = await opened.disk.run(opened.journal.facts)
        if any(known.get(name, "") != value for name, value in facts.items()):
            await opened.disk.run(opened.journal.set_facts, facts)

    @contextlib.asynccontextmanager
    async def _begun(
        self, opened: Opened
    ) -> "AsyncIterator[tuple[Session, asyncio.Task[Overview]]]":
        """Log in, and get ready while the server opens the mailbox."""
        self._was_pipelined = False
        client, facts = await self._connect(opened)
        pipelined = self._was_pipelined = self._may_pipeline(client, facts)
        opening = asyncio.create_task(client.open_mailbox(pipelined=pipelined))
        try:
            if self._parts is None:
                self._parts = await asyncio.to_thread(self._begin_work, opened)
            self._parts.trusts_lengths = facts.get(LENGTHS) != _OWN
            self._parts.is_probing = facts.get(PIPELINING) == _DOUBTED and client.can_pipeline
            from mailkeep.fetch.session import Session

            yield Session(self._parts, client, pipelined=pipelined), opening
        finally:
            client.close()
            opening.cancel()
            await asyncio.wait([opening])

    async def _judge_failure(self, failure: Exception, delays: Iterator[float]) -> None:
        """Decide whether another session may do better; else raise the failure.

        Only a session that came to its messages is followed by another. A message during which it
        ended is counted as failed; one that is to blame for sure is not asked for again.
        """
        parts = self._parts
        if parts is not None and self._is_of_pipelining(failure, parts.download):
            await self._doubt_pipelining(parts, failure)
            return
        if parts is None or parts.download is None:
            raise failure
        entry = parts.download.current
        delay = next(delays, None)
        if entry is not None:
            quarantined = await parts.storing.fail(entry, str(failure))
            if quarantined or not isinstance(failure, NetworkFailed):
                parts.excluded.add(entry.wanted.key)
        if delay is None:
            if isinstance(failure, MessageTooLong):
                raise ProtocolBroken(str(failure)) from failure
            raise failure
        parts.tell(Warned(f"{failure}; connecting again"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._options.stop.wait(), delay)
        if self._options.stop.is_set():
            raise Stopped

    def _is_of_pipelining(self, failure: Exception, download: "Download | None") -> bool:
        """Tell whether many commands at once may be why a session failed (S-26)."""
        if not self._was_pipelined or isinstance(failure, NothingCame):
            return self._was_pipelined
        if download is None:
            return isinstance(failure.__cause__, RemoteProtocolError)
        return isinstance(failure, ProtocolBroken)

    async def _doubt_pipelining(self, parts: "Parts", failure: Exception) -> None:
        """Go on with one command at a time."""
        parts.tell(Warned(f"{failure}; going on with one command at a time"))
        self._is_lock_step = not isinstance(failure, OtherLength)
        verdict = _BROKEN
        if isinstance(failure, OtherLength):
            verdict = _DOUBTED
        elif isinstance(failure, NothingCame):
            before = await parts.disk.run(parts.journal.fact, PIPELINING) or ""
            verdict = _BROKEN if before == _SILENT else _SILENT
            if parts.download is not None and parts.download.is_in_body:
                verdict = before  # it stopped in its middle: that is the network's way
        if verdict is not _DOUBTED:
            await parts.storing.recheck()
        await parts.disk.run(parts.journal.set_facts, {PIPELINING: verdict})

    def _may_pipeline(self, client: Client, facts: Mapping[str, str]) -> bool:
        """Tell whether commands may follow each other."""
        is_doubtful = facts.get(PIPELINING) in {_BROKEN, _DOUBTED}
        return client.can_pipeline and not is_doubtful and not self._is_lock_step

    async def _connect(self, opened: Opened) -> tuple[Client, Mapping[str, str]]:
        """Return a client that is logged in, and what is known of its server."""
        login = await self._login()
        facts = await opened.disk.run(opened.journal.facts)
        before = {} if self._options.accept_change else facts
        client, seen = await connect(self._account, login, before, self._tell, self._heed_delay)
        if self._options.accept_change:
            seen = dict.fromkeys(REMEMBERED, "") | seen
        if any(facts.get(name, "") != value for name, value in seen.items()):
            await opened.disk.run(opened.journal.set_facts, seen)
        return client, facts

    def _heed_capabilities(self, client: Client) -> None:
        """Take note of what the server says of itself after login."""
        self._heed_delay(client)
        if warning := judge_expire(client.capabilities.get("EXPIRE", ())):
            self._tell(Warned(warning))

    def _heed_delay(self, client: Client) -> None:
        delay = "".join(client.capabilities.get("LOGIN-DELAY", ())[:1])
        if re.fullmatch("[0-9]{1,9}", delay):
            self._login_delay_s = int(delay)

    def _tell(self, event: Event) -> None:
        self._report(self._account.name, event)

    def _remember_time(self, journal: Journal) -> None:
        """Keep the latest time that was seen, and whether it came in a jump (S-13)."""
        from mailkeep.fetch.plan import judge_clock
        from mailkeep.fetch.session import CLOCK, DOUBTED

        now = int(self._options.clock())
        last = journal.fact(CLOCK)
        last_seen = int(last) if last else None
        is_sane = judge_clock(last_seen, now, was_doubted=False)
        jumped = not is_sane and last_seen is not None and now > last_seen
        journal.set_facts(
            {CLOCK: str(max(now, last_seen or now)), DOUBTED: "yes" if jumped else "no"}
        )

    def _end(self, code: int, failure: FetchFailed | None) -> Ended:
        tally = self._parts.storing.tally if self._parts else None
        failed = tally.failed if tally else 0
        if code == FetchExit.DONE and failed:
            code = FetchExit.PARTIAL
        if code == FetchExit.DONE and self._unsettled:
            code = FetchExit.NETWORK
        return Ended(
            code=code,
            fetched=tally.stored if tally else 0,
            octets=tally.octets if tally else 0,
            adopted=tally.adopted if tally else 0,
            failed=failed,
            deleted=self._deleted,
            unsettled=self._unsettled,
            seconds=time.monotonic() - self._started,
            error_untrusted=str(failure) if failure else None,
            hint=failure.hint if failure else None,
        )


def _apology(cause: Exception) -> FetchFailed:
    """Return what to say of a fault of ours; the trace is shown when it is asked for."""
    if os.environ.get(TRACE_VARIABLE):
        traceback.print_exception(cause)
    return FetchFailed(
        f"internal error ({type(cause).__name__}); this is a fault of Mailkeep, sorry",
        hint=f"run it again with {TRACE_VARIABLE}=1 and report what it prints",
    )
