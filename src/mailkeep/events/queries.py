"""Questions to the audit trail's table: which events, in the order in which they happened.

A row is an event or a run of them (`runs`), found under the number and the time of its first; what
is yielded are events.

Known limit: the table is what the running server has written, so the last quarter of a second may
be missing; `catch_up` brings in what a crash came between.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, false, or_, select

from mailkeep.database.engine import Database
from mailkeep.events.records import RUN_EVENTS, RUN_S, Record, fold_name
from mailkeep.events.runs import records_of
from mailkeep.events.tables import EVENTS, record_of

PAGE_ROWS = 1000
"""Rows read at a time: a question about a year holds no more of them at once."""


_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""There is no earlier event, and not every earlier time can be counted back from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which events are wanted; what is not said does not matter.

    Attributes:
        account: an account's address.
        names: what the account may be called by who logs in; without a success these are all
            that is known.
        since: not before.
        until: before.
        types: names of events.
        session: one connection.
        whole_sessions: with an account, everything that its sessions did, even before `since`;
            sessions that ended in the second before it may come too.
        after: only events with a greater number.
    """

    account: str | None = None
    names: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    types: Collection[str] = ()
    session: str | None = None
    whole_sessions: bool = False
    after: int = 0


def read_events(database: Database, question: Question) -> Iterator[Record]:
    """Yield the events that were asked for, oldest first.

    Raises:
        DatabaseUnavailable: the table cannot be read.
    """
    after_row = question.after - RUN_EVENTS
    while page := _page(database, question, after_row):
        for row in page:
            yield from [record for record in records_of(row) if _is_wanted(question, record)]
        after_row = page[-1].seq


def follow_events(
    database: Database, question: Question, wait: Callable[[], bool]
) -> Iterator[Record]:
    """Yield the events that were asked for and then those that happen.

    Args:
        database: the table.
        question: which.
        wait: called when there are no more for now; false ends it.

    Raises:
        DatabaseUnavailable: the table cannot be read.
    """
    while True:
        for record in read_events(database, question):
            yield record
            question = replace(question, after=record.seq)
        if not wait():
            return


def _is_wanted(question: Question, record: Record) -> bool:
    """Tell what the table cannot of a row that is a run: which of its events are asked for."""
    if record.seq <= question.after or (question.until and record.at >= question.until):
        return False
    if question.since is None or (question.whole_sessions and question.account is not None):
        return True
    return record.at >= question.since


def _page(database: Database, question: Question, after_row: int) -> list[Record]:
    query = _select(question, after_row).order_by(EVENTS.c.seq).limit(PAGE_ROWS)
    with database.reading() as connection:
        return [record_of(row) for row in connection.execute(query).mappings()]


def _select(question: Question, after_row: int) -> Select[tuple[object, ...]]:
    conditions: list[ColumnElement[bool]] = [EVENTS.c.seq > after_row]
    if question.types:
        conditions.append(EVENTS.c.type.in_(question.types))
    if question.session is not None:
        conditions.append(EVENTS.c.session == question.session)
    if question.until is not None:
        conditions.append(EVENTS.c.at < question.until)
    conditions.append(_of_account(question))
    return select(EVENTS).where(*conditions)


def _of_account(question: Question) -> ColumnElement[bool]:
    since = _began_since(question.since) if question.since is not None else EVENTS.c.seq > 0
    if question.account is None:
        return since
    names = {fold_name(name) for name in question.names}
    own = or_(
        EVENTS.c.account == question.account,
        EVENTS.c.claimed.in_(names) if names else false(),
    )
    if not question.whole_sessions:
        return and_(own, since)
    sessions = select(EVENTS.c.session).where(EVENTS.c.account == question.account, since)
    return or_(and_(own, since), EVENTS.c.session.in_(sessions))


def _began_since(since: datetime) -> ColumnElement[bool]:
    """Return the rows that may have an event since then: a run that began before may."""
    return EVENTS.c.at >= max(since, _EARLIEST) - timedelta(seconds=RUN_S)
