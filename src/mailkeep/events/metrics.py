"""Events counted for Prometheus: how much of everything, never who or what.

Responsible for the names of the metrics, which dashboards and alerts rely on, and for their labels,
which have a bounded number of values whatever a client sends: every series that there can be is
there from the start, at 0, so that the first of anything is seen as a rise. It must not know HTTP,
nor who keeps the figures that are looked up at a scrape. No state is shared between two sinks.

Known limit: what happened before a restart is forgotten, as Prometheus expects.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import Enum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from mailkeep.events import types
from mailkeep.events.types import Event, EventType

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


class MetricsSink:
    """Counts every event (see `EventSink`). Any thread may call it."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._registry)
        self._figures = _Figures(self._registry)
        self._readings = {
            reading: Gauge(*reading.value, registry=self._registry) for reading in Reading
        }
        for gauge in self._readings.values():
            gauge.set(math.nan)  # not known, which is not the same as none

    def emit(self, event: Event) -> None:
        """Count an event; never raises and never waits."""
        self._figures.events[event.type].inc()
        self._figures.count(event)

    async def ready(self) -> None:
        """Return at once: a count always has room."""

    def command(self, verb: str, seconds: float) -> None:
        """Count a command that was answered.

        Args:
            verb: as the client sent it, in capitals; one that is none counts as `other`.
            seconds: from its last octet to the last of its answer, as far as it was handed over.
        """
        commands, durations = self._figures.commands, self._figures.command_durations
        known = verb if verb in commands else OTHER
        commands[known].inc()
        durations[known].observe(seconds)

    def watch(self, reading: Reading, look_up: Callable[[], float]) -> None:
        """Have a figure looked up at every scrape, in the thread that asks; it must not wait."""
        self._readings[reading].set_function(lambda: _or_unknown(look_up))

    def exposition(self) -> bytes:
        """Return all figures in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(_WithoutCreated(self._registry))


class _Figures:
    """The metrics that events raise, and which event raises which.

    The children of labelled metrics are kept here: to look one up costs more than to raise it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self.events = self._per_event()
        self.commands = self._counters(
            "mailkeep_commands", "Commands answered.", "verb", (*VERBS, OTHER)
        )
        self.command_durations = self._command_durations()
        self._logins = self._login_counters()
        self._login_delays = self._histogram(
            "mailkeep_login_delay_seconds", "How long delayed logins waited.", _DELAY_BUCKETS_S
        )
        self._opened = self._counter("mailkeep_connections_opened", "Connections made.")
        self._refused = _BoundedCounter(
            Counter(
                "mailkeep_connections_refused",
                "Connections turned away without a word.",
                ["reason"],
                registry=registry,
            )
        )
        self._tls = self._counters(
            "mailkeep_tls_handshakes", "TLS agreed on.", "version", (*TLS_VERSIONS, OTHER)
        )
        self._bans = self._counter("mailkeep_bans_imposed", "Bans, by the door or by hand.")
        self._sessions = Gauge("mailkeep_sessions", "Maildrops that are open.", registry=registry)
        self._session_durations = self._histogram(
            "mailkeep_session_duration_seconds",
            "From the opening of a maildrop to its session's end.",
            _SESSION_BUCKETS_S,
        )
        self._sent = self._counters(
            "mailkeep_messages_sent", "Messages sent.", "command", ("RETR", "TOP", OTHER)
        )
        self._octets = self._counter(
            "mailkeep_message_bytes", "Octets of messages sent, in wire form."
        )
        self._deleted = self._counter("mailkeep_messages_deleted", "Messages removed at a QUIT.")
        self._dropped = self._counter(
            "mailkeep_trail_dropped_events", "Events that the audit trail had no room for."
        )
        self._not_after = Gauge(
            "mailkeep_certificate_not_after_timestamp_seconds",
            "When the certificate that is shown ends, in seconds since 1970.",
            registry=registry,
        )
        self._not_after.set(math.nan)
        self._build = Gauge("mailkeep_build_info", "1.", ["version"], registry=registry)

    def count(self, event: Event) -> None:  # noqa: C901, PLR0912  # a table, the commonest first
        """Raise what an event raises beside the count of its type."""
        match event:
            case types.MessageRead(command=command, octets=octets):
                self._sent[command if command in self._sent else OTHER].inc()
                self._octets.inc(max(octets, 0))
            case types.DeletionDone():
                self._deleted.inc()
            case types.ConnectionOpened():
                self._opened.inc()
            case types.TlsAgreed(version=version):
                self._tls[version if version in self._tls else OTHER].inc()
            case types.LoginAccepted(mechanism=mechanism):
                self._count_login(Outcome.ACCEPTED, mechanism)
                self._sessions.inc()
            case types.SessionEnded(seconds=seconds):
                self._sessions.dec()
                self._session_durations.observe(seconds)
            case types.LoginRefused(mechanism=mechanism, reason=reason):
                self._count_login(OUTCOMES.get(reason, Outcome.OTHER), mechanism)
            case types.LoginDeferred(mechanism=mechanism):
                self._count_login(Outcome.DEFERRED, mechanism)
            case types.LoginDelayed(seconds=seconds):
                self._login_delays.observe(seconds)
            case types.ConnectionRefused(reason=reason, count=count):
                self._refused.inc(reason.partition(":")[0], count)
            case types.PrefixBanned():
                self._bans.inc()
            case types.EventsDropped(count=count):
                self._dropped.inc(max(count, 0))
            case types.CertificateLoaded(not_after=not_after):
                self._not_after.set(_timestamp(not_after))
            case types.Started(version=version):
                self._build.clear()
                self._build.labels(version).set(1)

    def _count_login(self, outcome: Outcome, mechanism: str) -> None:
        known = mechanism if (outcome, mechanism) in self._logins else OTHER
        self._logins[outcome, known].inc()

    def _per_event(self) -> dict[EventType, Counter]:
        counters = self._counters(
            "mailkeep_events", "Events, by the name they have in the log.", "event", _EVENT_NAMES
        )
        return {kind: counters[kind.value] for kind in EventType}

    def _login_counters(self) -> dict[tuple[Outcome, str], Counter]:
        logins = Counter(
            "mailkeep_logins",
            "Logins, by how they ended.",
            ["outcome", "mechanism"],
            registry=self._registry,
        )
        return {
            (outcome, mechanism): logins.labels(outcome.value, mechanism)
            for outcome in Outcome
            for mechanism in (*MECHANISMS, OTHER)
        }

    def _command_durations(self) -> dict[str, Histogram]:
        durations = Histogram(
            "mailkeep_command_duration_seconds",
            "From a command's arrival to the end of its answer.",
            ["verb"],
            buckets=_COMMAND_BUCKETS_S,
            registry=self._registry,
        )
        return {verb: durations.labels(verb) for verb in (*VERBS, OTHER)}

    def _counter(self, name: str, says: str) -> Counter:
        return Counter(name, says, registry=self._registry)

    def _counters(
        self, name: str, says: str, label: str, values: Iterable[str]
    ) -> dict[str, Counter]:
        counter = Counter(name, says, [label], registry=self._registry)
        return {value: counter.labels(value) for value in values}

    def _histogram(self, name: str, says: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, says, buckets=buckets, registry=self._registry)


_EVENT_NAMES = tuple(kind.value for kind in EventType)


class _BoundedCounter:
    """A counter by reason: the first reasons have a series each, all others share one."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._known: dict[str, Counter] = {OTHER: counter.labels(OTHER)}

    def inc(self, reason: str, amount: int = 1) -> None:
        known = self._known.get(reason)
        if known is None:
            known = self._known[OTHER]
            if len(self._known) < REASONS_LIMIT and len(reason) <= _REASON_LENGTH:
                known = self._known[reason] = self._counter.labels(reason)
        known.inc(amount)


class _WithoutCreated(Collector):
    """A registry without the time at which each series began, which Prometheus does not need.

    The library can leave them out for a whole process only, and they would be half of all lines.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [one for one in metric.samples if not one.name.endswith("_created")]
            yield metric


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
