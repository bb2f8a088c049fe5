"""The figures for Prometheus: which event raises which, and that no client adds one."""

import math
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from tests.events.samples import run_of
from tests.harness.programs import find_program

from mailkeep.accounts.seam import Refusal
from mailkeep.defence.seam import Turning
from mailkeep.events import Event, EventType, types
from mailkeep.events.metrics import (
    GATHERED,
    MECHANISMS,
    OUTCOMES,
    VERBS,
    MetricsSink,
    Outcome,
    Reading,
)

PEER = "192.0.2.7:40000"
SERIES_LIMIT = 600
"""Far from what costs a Prometheus anything, and from what costs the loop more than some ms."""
LABELS = ("outcome", "mechanism", "verb", "event", "reason", "version", "command", "le")


def figures(sink: MetricsSink) -> dict[tuple[str, ...], float]:
    """Return every sample by name and label values."""
    families = text_string_to_metric_families(sink.exposition().decode())
    return {
        (
            sample.name,
            *(sample.labels[name] for name in LABELS if name in sample.labels),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def raised_by(*events: Event) -> dict[tuple[str, ...], float]:
    """Return what these events raise, the count by type and the process's own figures left out."""
    sink = MetricsSink()
    before = figures(sink)
    for event in events:
        sink.emit(event)
    return {
        name: value - before.get(name, 0)
        for name, value in figures(sink).items()
        if value != before.get(name, 0) and not math.isnan(value)
        if not name[0].startswith(("process_", "mailkeep_events_total"))
    }


def accepted(mechanism: str = "PLAIN") -> types.LoginAccepted:
    return types.LoginAccepted(
        session="s", account="a@example.com", peer=PEER, mechanism=mechanism, familiar=True
    )


def refused(reason: str, mechanism: str = "PLAIN") -> types.LoginRefused:
    return types.LoginRefused(
        session="s", peer=PEER, mechanism=mechanism, reason=reason, name="alice"
    )


def ended(seconds: float = 0.5) -> types.SessionEnded:
    return types.SessionEnded(
        session="s",
        account="a@example.com",
        peer=PEER,
        how="quit",
        seconds=seconds,
        retrieved=1,
        topped=0,
        octets=10,
        deleted=0,
        removed=0,
    )


def read(command: str, octets: int) -> types.MessageRead:
    return types.MessageRead(
        session="s",
        account="a@example.com",
        peer=PEER,
        command=command,
        uidl="u",
        octets=octets,
    )


def hostile_events(text: str) -> Iterator[Event]:
    """Yield every event with a field that becomes a label, with this text in it."""
    yield accepted(text)
    yield refused(text, text)
    yield types.LoginDeferred(session=text, peer=text, mechanism=text, reason=text, name=text)
    yield types.ConnectionRefused(peer=text, listener=text, reason=text)
    yield types.TlsAgreed(session=text, peer=text, version=text, suite=text)
    yield read(text, 1)
    yield types.PrefixBanned(prefix=text, reason=text)
    yield types.CertificateLoaded(path=text, not_after=text)


def test_every_series_is_there_before_anything_happened() -> None:
    """A counter that appears at 1 shows no rise: the first hot password would alarm nobody."""
    there = figures(MetricsSink())
    for kind in EventType:
        assert there["mailkeep_events_total", kind.value] == 0
    for outcome in Outcome:
        assert there["mailkeep_logins_total", outcome.value, "PLAIN"] == 0
    for verb in VERBS:
        assert there["mailkeep_commands_total", verb] == 0
        assert there["mailkeep_command_duration_seconds_count", verb] == 0


def test_every_event_is_counted_by_its_type() -> None:
    """`mailkeep_events_total` has the name that the log has."""
    sink = MetricsSink()
    sink.emit(types.AcceptingResumed())
    assert figures(sink)["mailkeep_events_total", "accepting resumed"] == 1


@pytest.mark.parametrize("reason", [*Refusal, *Turning])
def test_every_reason_for_a_refusal_has_an_outcome(reason: Refusal | Turning) -> None:
    """A reason that is added in another room and not here would be an `other`."""
    assert reason.value in OUTCOMES


def test_no_outcome_is_for_a_reason_that_is_none() -> None:
    """A reason that was renamed elsewhere is renamed here."""
    assert OUTCOMES.keys() == {reason.value for reason in (*Refusal, *Turning)}


@pytest.mark.parametrize(
    ("event", "outcome", "mechanism"),
    [
        (refused("wrong password"), "wrong", "PLAIN"),
        (refused("unknown account", "USER"), "wrong", "USER"),
        (refused("account disabled"), "not allowed", "PLAIN"),
        (refused("throttled", "SCRAM-SHA-256"), "throttled", "SCRAM-SHA-256"),
        (refused("banned"), "banned", "PLAIN"),
        (refused("a reason of tomorrow"), "other", "PLAIN"),
        (refused("wrong password", "CRAM-MD5"), "wrong", "other"),
        (
            types.LoginDeferred(
                session="s", peer=PEER, mechanism="EXTERNAL", reason="database", name="a"
            ),
            "deferred",
            "EXTERNAL",
        ),
    ],
)
def test_a_login_is_counted_by_outcome_and_mechanism(
    event: Event, outcome: str, mechanism: str
) -> None:
    """Each login is in one series exactly."""
    assert raised_by(event) == {("mailkeep_logins_total", outcome, mechanism): 1}


def test_a_session_is_there_while_it_lasts() -> None:
    """The gauge rises with the login and falls with the end; the length is kept."""
    assert raised_by(accepted())["mailkeep_sessions",] == 1
    after = raised_by(accepted(), ended(seconds=42))
    assert ("mailkeep_sessions",) not in after
    assert after["mailkeep_session_duration_seconds_sum",] == 42
    assert after["mailkeep_session_duration_seconds_bucket", "60.0"] == 1
    assert ("mailkeep_session_duration_seconds_bucket", "10.0") not in after


def test_messages_and_octets_are_counted_as_they_are_sent() -> None:
    """RETR and TOP apart; octets together."""
    assert raised_by(read("RETR", 5000), read("RETR", 1), read("TOP", 20)) == {
        ("mailkeep_messages_sent_total", "RETR"): 2,
        ("mailkeep_messages_sent_total", "TOP"): 1,
        ("mailkeep_message_bytes_total",): 5021,
    }


@pytest.mark.parametrize(
    ("event", "raised"),
    [
        (
            types.DeletionDone(session="s", account="a", peer=PEER, uidl="u"),
            {("mailkeep_messages_deleted_total",): 1},
        ),
        (
            types.ConnectionOpened(session="s", peer=PEER, listener="pop3s"),
            {("mailkeep_connections_opened_total",): 1},
        ),
        (
            types.ConnectionRefused(peer=PEER, listener="pop3s", reason="banned"),
            {("mailkeep_connections_refused_total", "banned"): 1},
        ),
        (
            types.TlsAgreed(session="s", peer=PEER, version="TLSv1.3", suite="x"),
            {("mailkeep_tls_handshakes_total", "TLSv1.3"): 1},
        ),
        (
            types.PrefixBanned(prefix="192.0.2.7/32", seconds=900, reason="r"),
            {("mailkeep_bans_imposed_total",): 1},
        ),
        (types.EventsDropped(count=7), {("mailkeep_trail_dropped_events_total",): 7}),
        (types.Started(version="1.2"), {("mailkeep_build_info", "1.2"): 1}),
        (types.AcceptingResumed(), {}),
    ],
)
def test_an_event_raises_its_figure_and_no_other(
    event: Event, raised: dict[tuple[str, ...], float]
) -> None:
    """One row an event."""
    assert raised_by(event) == raised


def test_a_delay_is_kept_with_its_length() -> None:
    """The buckets lie between the delays that the door knows."""
    event = types.LoginDelayed(session="s", peer=PEER, seconds=4.3, name="alice")
    after = raised_by(event)
    assert after["mailkeep_login_delay_seconds_count",] == 1
    assert after["mailkeep_login_delay_seconds_bucket", "6.0"] == 1
    assert ("mailkeep_login_delay_seconds_bucket", "3.0") not in after


def test_the_end_of_the_certificate_is_not_known_before_one_is_loaded() -> None:
    """0 would be 1970, and an alert; NaN is less than nothing."""
    sink = MetricsSink()
    name = ("mailkeep_certificate_not_after_timestamp_seconds",)
    assert math.isnan(figures(sink)[name])
    end = datetime(2027, 6, 1, tzinfo=UTC)
    sink.emit(types.CertificateLoaded(path="p", not_after=end.isoformat()))
    assert figures(sink)[name] == end.timestamp()
    sink.emit(types.CertificateLoaded(path="p", not_after="soon"))
    assert math.isnan(figures(sink)[name])


def test_commands_are_counted_and_timed_by_verb() -> None:
    """What a client invents is one verb, `other`."""
    sink = MetricsSink()
    sink.command("RETR", 0.003)
    sink.command("XTND", 0.5)
    sink.command("HELO", 0.5)
    after = figures(sink)
    assert after["mailkeep_commands_total", "RETR"] == 1
    assert after["mailkeep_commands_total", "other"] == 2
    assert after["mailkeep_command_duration_seconds_bucket", "RETR", "0.005"] == 1
    assert after["mailkeep_command_duration_seconds_bucket", "RETR", "0.001"] == 0
    assert after["mailkeep_command_duration_seconds_sum", "other"] == 1


@pytest.mark.parametrize("count", [0, 1, GATHERED - 1, GATHERED, GATHERED + 1, 3 * GATHERED])
def test_figures_are_exact_whenever_they_are_asked_for(count: int) -> None:
    """Whatever of it was counted already; and a second look counts nothing twice."""
    sink = MetricsSink()
    for _ in range(count):
        sink.emit(accepted())
        sink.command("RETR", 1.0)
    for _ in range(2):
        after = figures(sink)
        assert after["mailkeep_sessions",] == count
        assert after["mailkeep_events_total", "login accepted"] == count
        assert after["mailkeep_commands_total", "RETR"] == count
        assert after["mailkeep_command_duration_seconds_sum", "RETR"] == count


def test_a_run_raises_what_its_events_raise() -> None:
    """Whoever looks at figures need not know in what they were told."""
    who = {"session": "s", "account": "a@b", "uidl": "u"}
    for events in (
        [read("RETR", 10), read("TOP", 20), read("x", -1)],
        [types.DeletionAsked(**who)] * 3,
        [types.DeletionDone(**who, peer=PEER)] * 3,
    ):
        alone, together = MetricsSink(), MetricsSink()
        for event in events:
            alone.emit(event)
        together.emit(run_of(*events))
        assert _without_process(figures(together)) == _without_process(figures(alone))


def _without_process(found: dict[tuple[str, ...], float]) -> dict[tuple[str, ...], str]:
    """Return figures but for the process's own; as texts, for NaN is not equal to itself."""
    return {it: str(of) for it, of in found.items() if not it[0].startswith("process_")}


def test_what_waits_to_be_counted_is_bounded() -> None:
    """A site that nobody scrapes keeps neither events nor commands for ever."""
    for_events, for_commands = MetricsSink(), MetricsSink()
    for _ in range(10 * GATHERED + 1):
        for_events.emit(accepted())
        for_commands.command("RETR", 0.1)
    assert len(for_events._events) < GATHERED
    assert len(for_commands._answered) < GATHERED


def test_nothing_is_lost_or_counted_twice_between_threads() -> None:
    """Several tell while another scrapes."""
    sink, seen, is_over = MetricsSink(), [0.0], threading.Event()

    def tell() -> None:
        for _ in range(2000):
            sink.emit(accepted())
            sink.command("RETR", 0.1)

    def scrape() -> None:
        while not is_over.is_set():
            seen.append(figures(sink)["mailkeep_commands_total", "RETR"])

    telling = [threading.Thread(target=tell) for _ in range(4)]
    scraping = threading.Thread(target=scrape)
    for thread in (scraping, *telling):
        thread.start()
    for thread in telling:
        thread.join()
    is_over.set()
    scraping.join()
    after = figures(sink)
    assert after["mailkeep_events_total", "login accepted"] == 8000
    assert after["mailkeep_commands_total", "RETR"] == 8000
    assert seen == sorted(seen)


def test_a_reading_is_looked_up_at_each_scrape() -> None:
    """Who keeps the figure need not tell of its changes."""
    sink = MetricsSink()
    waiting = [3.0]
    sink.watch(Reading.CHECKS_WAITING, lambda: waiting[0])
    assert figures(sink)["mailkeep_password_checks_waiting",] == 3
    waiting[0] = 0
    assert figures(sink)["mailkeep_password_checks_waiting",] == 0
    assert math.isnan(figures(sink)["mailkeep_bans",])  # nobody watches it


def test_a_reading_that_fails_costs_no_other_figure() -> None:
    """A scrape is most needed when something is broken."""
    sink = MetricsSink()

    def fail() -> float:
        raise RuntimeError("gone")

    sink.watch(Reading.BANS, fail)
    sink.emit(types.AcceptingResumed())
    after = figures(sink)
    assert math.isnan(after["mailkeep_bans",])
    assert after["mailkeep_events_total", "accepting resumed"] == 1


def test_hostile_values_make_no_series() -> None:
    """An attacker chooses names, mechanisms and verbs; memory and Prometheus do not notice."""
    sink = MetricsSink()
    for number in range(2000):
        text = f'{number}"}} 1\nmailkeep_forged_total{{a="\\'
        for event in hostile_events(text):
            sink.emit(event)
        sink.command(text, 0.1)
    series = figures(sink)
    assert len(series) < SERIES_LIMIT
    assert not any("forged" in name for name, *_ in series)
    assert series["mailkeep_commands_total", "other"] == 2000
    assert series["mailkeep_logins_total", "accepted", "other"] == 2000
    refusals = [value for name, value in series.items() if "connections_refused_total" in name[0]]
    assert sum(refusals) == 2000


@given(st.text(), st.floats(), st.integers())
def test_no_event_is_refused(text: str, seconds: float, count: int) -> None:
    """`emit` never raises, whatever a field holds."""
    sink = MetricsSink()
    for event in hostile_events(text):
        sink.emit(event)
    sink.emit(ended(seconds))
    sink.emit(read("RETR", count))
    sink.emit(types.EventsDropped(count=count))
    sink.command(text, seconds)
    assert figures(sink)["mailkeep_events_total", "session ended"] == 1


def test_two_sinks_share_nothing() -> None:
    """Two sites in one process, or two tests, count apart."""
    first, second = MetricsSink(), MetricsSink()
    first.emit(types.AcceptingResumed())
    assert figures(second)["mailkeep_events_total", "accepting resumed"] == 0


def test_labels_are_those_that_are_documented() -> None:
    """Known mechanisms have a series each, for every outcome, and the unknown share one."""
    logins = [name[1:] for name in figures(MetricsSink()) if name[0] == "mailkeep_logins_total"]
    assert set(logins) == {
        (outcome.value, mechanism) for outcome in Outcome for mechanism in (*MECHANISMS, "other")
    }


def test_the_exposition_is_what_prometheus_reads() -> None:
    """`promtool check metrics` has nothing to say about names, types or help."""
    sink = MetricsSink()
    sink.emit(accepted())
    sink.command("RETR", 0.1)
    done = subprocess.run(
        [find_program("promtool"), "check", "metrics"],
        input=sink.exposition(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


async def test_a_count_always_has_room() -> None:
    """Figures never hold a login up."""
    await MetricsSink().ready()
