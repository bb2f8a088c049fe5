"""Events counted for Prometheus: how much of everything, never who or what.

Responsible for the names of the metrics, which dashboards and alerts rely on, and for their labels,
which have a bounded number of values whatever a client sends: every series that there can be is
there from the start, at 0, so that the first of anything is seen as a rise. It must not know HTTP,
nor who keeps the figures that are looked up at a scrape. No state is shared between two sinks.
What is told is gathered and counted many at a time, at the latest when figures are asked for, so
that these are always exact; Prometheus' library is asked at a scrape only.

Known limit: what happened before a restart is forgotten, as Prometheus expects.
"""

import math
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from mailkeep.events import types
from mailkeep.events.fanout import NeverFull
from mailkeep.events.figures import Count, Counts, Durations, histogram
from mailkeep.events.run_types import MessagesRead, ReadPart, Run
from mailkeep.events.types import EVENT_CLASSES, Event, EventType

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `MetricsSink.exposition`: the text format that every Prometheus reads."""

OTHER = "other"
"""What a label says of a value that it does not know."""

VERBS = (
    *("APOP", "AUTH", "CAPA", "DELE", "LANG", "LIST", "NOOP", "PASS", "QUIT", "RETR", "RSET"),
    *("STAT", "STLS", "TOP", "UIDL", "USER", "UTF8"),
)
"""RFC 1939, RFC 2449, RFC 2595, RFC 5034, RFC 6856: what a client may say."""

MECHANISMS = (
    *("USER", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2"),
    "EXTERNAL",
)
"""`USER` is USER with PASS."""

TLS_VERSIONS = ("TLSv1.2", "TLSv1.3")
"""Older ones are never spoken (RFC 8996)."""

REASONS_LIMIT = 16
"""Reasons for refused connections that get a series of their own; they are constants of ours, and
should one ever hold something of a client's, it fills no more than these."""

_REASON_LENGTH = 60
"""Characters of a reason that its series is named after."""

GATHERED = 256
"""Events, and commands, that wait to be counted: so many take a third of a millisecond. Counted one
by one in between other work, each would cost several times as much."""

_COMMAND_BUCKETS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)
"""From an answer out of memory (under 1 ms) over one that waits for a disk to a big message on a
slow line."""

_DELAY_BUCKETS_S = (1.0, 3.0, 6.0, 12.0, 25.0)
"""Between the delays that the door knows (2, 4, 8 and 15 s), each with its jitter."""

_SESSION_BUCKETS_S = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
"""A look for new mail, the fetching of some, and programs that stay connected."""


class Outcome(Enum):
    """How a login ended, as far as a figure tells."""

    ACCEPTED = "accepted"
    WRONG = "wrong"
    """No such account, or credentials that are not good for it."""
    NOT_ALLOWED = "not allowed"
    """Credentials that were, or an account that is, closed for this."""
    THROTTLED = "throttled"
    BANNED = "banned"
    DEFERRED = "deferred"
    """It could not be checked; the client was told to try again."""
    OTHER = OTHER


OUTCOMES = {
    "unusable name": Outcome.WRONG,
    "unknown account": Outcome.WRONG,
    "wrong password": Outcome.WRONG,
    "wrong proof": Outcome.WRONG,
    "bad token": Outcome.WRONG,
    "unknown certificate": Outcome.WRONG,
    "account disabled": Outcome.NOT_ALLOWED,
    "account expired": Outcome.NOT_ALLOWED,
    "main password not accepted": Outcome.NOT_ALLOWED,
    "device expired": Outcome.NOT_ALLOWED,
    "device not allowed from there": Outcome.NOT_ALLOWED,
    "new country": Outcome.NOT_ALLOWED,
    "too far away since the last login": Outcome.NOT_ALLOWED,
    "policy server": Outcome.NOT_ALLOWED,
    "password tried on many accounts": Outcome.NOT_ALLOWED,
    "main password refused from unfamiliar sources": Outcome.NOT_ALLOWED,
    "throttled": Outcome.THROTTLED,
    "too soon after the last login": Outcome.THROTTLED,
    "banned": Outcome.BANNED,
}
"""By the reason that a refusal names."""


class Reading(Enum):
    """A figure that is looked up at a scrape: its metric's name and what it says."""

    CONNECTIONS = ("mailkeep_connections", "Connections that are open now, logged in or not.")
    BANS = ("mailkeep_bans", "Bans that are in force now.")
    CHECKS_RUNNING = ("mailkeep_password_checks_running", "Password hashes being computed now.")
    CHECKS_WAITING = ("mailkeep_password_checks_waiting", "Logins that wait for a password hash.")
    TRAIL_QUEUE = ("mailkeep_trail_queue_events", "Events not written to the audit trail yet.")


class MetricsSink(NeverFull):
    """Counts every event (see `EventSink`). Any thread may call it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._counting = threading.Lock()
        self._events: deque[Event] = deque()
        self._answered: deque[tuple[str, float]] = deque()
        self._figures = _Figures()
        self._registry.register(_Collector(self._metrics))
        self._readings = {
            reading: Gauge(*reading.value, registry=self._registry) for reading in Reading
        }
        for gauge in self._readings.values():
            gauge.set(math.nan)  # not known, which is not the same as none

    def emit(self, event: Event) -> None:
        """Count an event; never raises and never waits."""
        if isinstance(event, Run):  # many events, which need not wait for others
            with self._counting:
                self._figures.count_run(event)
            return
        events = self._events
        events.append(event)
        if len(events) >= GATHERED:
            self._count()

    def command(self, verb: str, seconds: float) -> None:
        """Count a command that was answered.

        Args:
            verb: as the client sent it, in capitals; one that is none counts as `other`.
            seconds: from its last octet to the last of its answer, as far as it was handed over.
        """
        answered = self._answered
        answered.append((verb, seconds))
        if len(answered) >= GATHERED:
            self._count()

    def watch(self, reading: Reading, look_up: Callable[[], float]) -> None:
        """Have a figure looked up at every scrape, in the thread that asks; it must not wait."""
        self._readings[reading].set_function(lambda: _or_unknown(look_up))

    def exposition(self) -> bytes:
        """Return all figures in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self._registry)

    def _count(self) -> None:
        with self._counting:
            self._count_gathered()

    def _count_gathered(self) -> None:
        """Count what was told so far; the lock is held, so that each is taken once."""
        events, answered = self._events, self._answered
        self._figures.count([events.popleft() for _ in range(len(events))])
        for _ in range(len(answered)):
            self._figures.count_command(*answered.popleft())

    def _metrics(self) -> list[Metric]:
        """Return all figures as they are at one moment."""
        with self._counting:
            self._count_gathered()
            return [*self._figures.metrics()]


class _Collector(Collector):
    """What Prometheus' library asks at a scrape."""

    def __init__(self, metrics: Callable[[], Iterable[Metric]]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """Return all figures."""
        return self._metrics()


class _Figures:
    """The metrics that events raise, and which event raises which."""

    def __init__(self) -> None:
        self._events = Counts(
            "mailkeep_events",
            "Events, by the name they have in the log.",
            ("event",),
            {of: (of.type.value,) for of in _CLASSES},
        )
        self._commands = {verb: Durations(_COMMAND_BUCKETS_S) for verb in (*VERBS, OTHER)}
        self._logins = Counts(
            "mailkeep_logins",
            "Logins, by how they ended.",
            ("outcome", "mechanism"),
            {(it, of): (it.value, of) for it in Outcome for of in (*MECHANISMS, OTHER)},
        )
        self._login_delays = Durations(_DELAY_BUCKETS_S)
        self._opened = Count("mailkeep_connections_opened", "Connections made.")
        self._refused = _BoundedCounts(
            "mailkeep_connections_refused", "Connections turned away without a word."
        )
        self._tls = _by_value(
            "mailkeep_tls_handshakes", "TLS agreed on.", "version", (*TLS_VERSIONS, OTHER)
        )
        self._bans = Count("mailkeep_bans_imposed", "Bans, by the door or by hand.")
        self._sessions = 0
        self._session_durations = Durations(_SESSION_BUCKETS_S)
        self._sent = _by_value(
            "mailkeep_messages_sent", "Messages sent.", "command", ("RETR", "TOP", OTHER)
        )
        self._octets = Count("mailkeep_message_bytes", "Octets of messages sent, in wire form.")
        self._deleted = Count("mailkeep_messages_deleted", "Messages removed at a QUIT.")
        self._dropped = Count(
            "mailkeep_trail_dropped_events", "Events that the audit trail had no room for."
        )
        self._not_after_s = math.nan
        self._version: str | None = None
        self._alike: dict[type[Event], Count] = {
            types.ConnectionOpened: self._opened,
            types.DeletionDone: self._deleted,
            types.PrefixBanned: self._bans,
        }
        """Counters that count nothing but the events of a class."""
        self._raising: dict[type[Event], Callable[[Any], None]] = {
            types.MessageRead: self._count_read,
            types.TlsAgreed: self._count_tls,
            types.LoginAccepted: self._count_accepted,
            types.LoginRefused: self._count_refused,
            types.LoginDeferred: self._count_deferred,
            types.LoginDelayed: self._count_delayed,
            types.SessionEnded: self._count_ended,
            types.ConnectionRefused: self._count_turned_away,
            types.EventsDropped: self._count_dropped,
            types.CertificateLoaded: self._note_certificate,
            types.Started: self._note_version,
        }
        """What is done with an event of a class, beside counting it."""

    def metrics(self) -> Iterator[Metric]:
        """Yield what is shown, always in the same order."""
        yield self._events.metric()
        yield from self._about_commands()
        yield self._logins.metric()
        delayed = "How long delayed logins waited."
        yield histogram("mailkeep_login_delay_seconds", delayed, [((), self._login_delays)])
        for some in (self._opened, self._refused, self._tls, self._bans):
            yield some.metric()
        yield GaugeMetricFamily("mailkeep_sessions", "Maildrops that are open.", self._sessions)
        lasted = "From the opening of a maildrop to its session's end."
        yield histogram(
            "mailkeep_session_duration_seconds", lasted, [((), self._session_durations)]
        )
        for some in (self._sent, self._octets, self._deleted, self._dropped):
            yield some.metric()
        yield from self._about_the_server()

    def count(self, told: Sequence[Event]) -> None:
        """Raise the counts of events' types, and what else they raise."""
        kinds = [*map(type, told)]
        for kind, count in Counter(kinds).items():
            self._events.values[kind] += count
            if kind in self._alike:
                self._alike[kind].value += count
        raising = self._raising
        for kind, event in zip(kinds, told, strict=True):
            if kind in raising:
                raising[kind](event)

    def count_run(self, run: Run[Any]) -> None:
        """Raise what the events of a run raise."""
        kind, count = run.of, len(run.each)
        self._events.values[kind] += count
        if kind in self._alike:
            self._alike[kind].value += count
        if isinstance(run, MessagesRead):
            for part in run.each:
                self._count_read(part)

    def count_command(self, verb: str, seconds: float) -> None:
        """Count a command; see `MetricsSink.command`."""
        commands = self._commands
        (commands.get(verb) or commands[OTHER]).observe(seconds)

    def _count_read(self, event: types.MessageRead | ReadPart) -> None:
        sent = self._sent.values
        sent[event.command if event.command in sent else OTHER] += 1
        self._octets.value += max(event.octets, 0)

    def _count_tls(self, event: types.TlsAgreed) -> None:
        versions = self._tls.values
        versions[event.version if event.version in versions else OTHER] += 1

    def _count_accepted(self, event: types.LoginAccepted) -> None:
        self._count_login(Outcome.ACCEPTED, event.mechanism)
        self._sessions += 1

    def _count_refused(self, event: types.LoginRefused) -> None:
        self._count_login(OUTCOMES.get(event.reason, Outcome.OTHER), event.mechanism)

    def _count_deferred(self, event: types.LoginDeferred) -> None:
        self._count_login(Outcome.DEFERRED, event.mechanism)

    def _count_delayed(self, event: types.LoginDelayed) -> None:
        self._login_delays.observe(event.seconds)

    def _count_ended(self, event: types.SessionEnded) -> None:
        self._sessions -= 1
        self._session_durations.observe(event.seconds)

    def _count_turned_away(self, event: types.ConnectionRefused) -> None:
        self._refused.add(event.reason.partition(":")[0], event.count)

    def _count_dropped(self, event: types.EventsDropped) -> None:
        self._dropped.value += max(event.count, 0)

    def _note_certificate(self, event: types.CertificateLoaded) -> None:
        self._not_after_s = _timestamp(event.not_after)

    def _note_version(self, event: types.Started) -> None:
        self._version = event.version

    def _count_login(self, outcome: Outcome, mechanism: str) -> None:
        known = mechanism if mechanism in _MECHANISMS else OTHER
        self._logins.values[outcome, known] += 1

    def _about_commands(self) -> Iterator[Metric]:
        answered = {verb: sum(it.counts) for verb, it in self._commands.items()}
        counts = _by_value("mailkeep_commands", "Commands answered.", "verb", answered)
        counts.values.update(answered)
        yield counts.metric()
        yield histogram(
            "mailkeep_command_duration_seconds",
            "From a command's arrival to the end of its answer.",
            [((verb,), it) for verb, it in self._commands.items()],
            ("verb",),
        )

    def _about_the_server(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "mailkeep_certificate_not_after_timestamp_seconds",
            "When the certificate that is shown ends, in seconds since 1970.",
            self._not_after_s,
        )
        build = GaugeMetricFamily("mailkeep_build_info", "1.", labels=["version"])
        if self._version is not None:
            build.add_metric([self._version], 1)
        yield build


_ORDER = [*EventType]
_CLASSES = sorted(EVENT_CLASSES, key=lambda of: _ORDER.index(of.type))
_MECHANISMS = frozenset(MECHANISMS)


def _by_value(name: str, says: str, label: str, values: Iterable[str]) -> Counts[str]:
    return Counts(name, says, (label,), {value: (value,) for value in values})


class _BoundedCounts:
    """A counter by reason: the first reasons have a series each, all others share one."""

    def __init__(self, name: str, says: str) -> None:
        self._counts = _by_value(name, says, "reason", (OTHER,))

    def add(self, reason: str, count: int) -> None:
        """Count so many of a reason."""
        values = self._counts.values
        if reason not in values:
            if len(values) < REASONS_LIMIT and len(reason) <= _REASON_LENGTH:
                self._counts.add_series(reason, (reason,))
            else:
                reason = OTHER
        values[reason] += max(count, 0)

    def metric(self) -> Metric:
        """Return what is shown of it."""
        return self._counts.metric()


def _or_unknown(look_up: Callable[[], float]) -> float:
    """Keep a figure that cannot be had from costing all the others."""
    try:
        return look_up()
    except Exception:  # noqa: BLE001  # the top of a scrape: whoever is asked must not end it
        return math.nan


def _timestamp(not_after: str) -> float:
    try:
        return datetime.fromisoformat(not_after).timestamp()
    except ValueError:
        return math.nan
