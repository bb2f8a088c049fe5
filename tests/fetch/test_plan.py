"""What is fetched, left and deleted is decided without I/O: every state against every listing."""

import gc
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailkeep.fetch.events import Why
from mailkeep.fetch.listing import Listing
from mailkeep.fetch.names import MessageKey
from mailkeep.fetch.plan import (
    Check,
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
from mailkeep.fetch.policy import DAY_S, Initial, Larger, Policy
from mailkeep.fetch.rows import SUSPECT, Row, Safe, State

NOW = 1_700_000_000
HEADER = b"h" * 32


def row(
    uidl: bytes,
    state: State,
    *,
    announced: int | None = 100,
    ordinal: int = 0,
    generation: int = 0,
    header: bytes | None = HEADER,
    stored_at: int | None = NOW,
) -> Row:
    return Row(
        id=7,
        key=MessageKey(uidl, ordinal, generation),
        state=state,
        place=1,
        listed_at=NOW,
        announced=announced,
        octets=announced,
        sha256=header,
        header_sha256=header,
        stored_at=stored_at,
        missing_since=None,
        failures=0,
        note="",
    )


def listing(*messages: tuple[bytes, int | None]) -> Listing:
    uidls, octets = [uidl for uidl, _ in messages], [size for _, size in messages]
    return Listing(range(1, len(messages) + 1), uidls, octets)


def known(
    settled: Mapping[bytes, int | None] | None = None, *rows: Row, first: bool = False
) -> Known:
    others = {(one.key.uidl, one.key.ordinal): one for one in rows}
    return Known(settled or {}, others, is_first_run=first)


def decisions(plan: Plan) -> dict[int, str]:
    """Return one word a message; a message with two has been decided twice."""
    found: dict[int, str] = {}
    checked = [check.wanted for check in plan.check]
    for word, some in (("fetch", plan.fetch), ("check", checked), ("leave", plan.leave)):
        for one in some:
            assert found.setdefault(one.number, word) == word
    for skipped in plan.skip:
        assert found.setdefault(skipped.number, "skip") == "skip"
    return found


def only(plan: Plan) -> tuple[str, MessageKey, Why, frozenset[bytes]]:
    """Return the decision on the only message of a listing."""
    if plan.stored:
        assert not decisions(plan)
        return "stored", MessageKey(b""), Why.STORED, frozenset()
    ((word,),) = [[*decisions(plan).values()]]
    if word == "skip":
        (skipped,) = plan.skip
        return word, MessageKey(skipped.uidl), skipped.why, frozenset()
    if word == "check":
        (check,) = plan.check
        return word, check.wanted.key, check.wanted.why, check.candidates
    (wanted,) = plan.fetch or plan.leave
    return word, wanted.key, wanted.why, frozenset()


STORED = ("stored", MessageKey(b""), Why.STORED, frozenset[bytes]())


def fetch(key: MessageKey, why: Why) -> tuple[str, MessageKey, Why, frozenset[bytes]]:
    return "fetch", key, why, frozenset()


def check(key: MessageKey, why: Why) -> tuple[str, MessageKey, Why, frozenset[bytes]]:
    return "check", key, why, frozenset({key.uidl})


@pytest.mark.parametrize("announced", [100, 101, None])
@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.FETCHING, fetch(MessageKey(b"A"), Why.AGAIN)),
        (State.DELETING, STORED),
        (State.GONE, check(MessageKey(b"A", 0, 1), Why.REUSED)),
        (State.QUARANTINED, ("skip", MessageKey(b"A"), Why.QUARANTINED, frozenset())),
        (State.HEADER, fetch(MessageKey(b"A", 0, 1), Why.WHOLE_NOW)),
    ],
)
def test_every_open_state_has_one_decision_whatever_the_size(
    state: State, expected: object, announced: int | None
) -> None:
    """S-05, S-31, S-68: STORED and LEFT, for which the size counts, are below."""
    plan = plan_fetch(listing((b"A", announced)), known({}, row(b"A", state)), Policy())
    assert only(plan) == expected


@pytest.mark.parametrize(
    ("before", "announced", "expected"),
    [
        (100, 100, STORED),
        (100, None, STORED),
        (None, 100, STORED),
        (None, None, STORED),
        (100, 101, check(MessageKey(b"A"), Why.REUSED)),
        (100, 0, check(MessageKey(b"A"), Why.REUSED)),
        (0, 100, check(MessageKey(b"A"), Why.REUSED)),
    ],
)
def test_a_settled_message_is_doubted_only_with_another_size(
    before: int | None, announced: int | None, expected: object
) -> None:
    """S-31: a reused unique-id shows in the size; an unknown size accuses nobody."""
    plan = plan_fetch(listing((b"A", announced)), known({b"A": before}), Policy())
    assert only(plan) == expected


@pytest.mark.parametrize("state", [State.STORED, State.LEFT])
@pytest.mark.parametrize(
    ("before", "announced", "word"),
    [(100, 100, "stored"), (100, None, "stored"), (None, 100, "stored"), (100, 101, "check")],
)
def test_a_settled_twin_is_judged_like_any_other(
    state: State, before: int | None, announced: int | None, word: str
) -> None:
    """S-30: the second of two with one unique-id has a row of its own."""
    twin = row(b"A", state, announced=before, ordinal=1, generation=2)
    plan = plan_fetch(listing((b"A", 5), (b"A", announced)), known({b"A": 5}, twin), Policy())
    if word == "stored":
        assert plan == Plan(stored=2)
    else:
        wanted = Wanted(2, MessageKey(b"A", 1, 3), announced, Why.REUSED)
        assert plan == Plan(check=[Check(wanted, frozenset({b"A"}))], stored=1)


def test_twins_are_all_fetched_under_ordinals_of_their_own() -> None:
    """S-30: duplicated unique-ids in one listing are different messages until proved otherwise."""
    plan = plan_fetch(listing((b"A", 1), (b"B", 2), (b"A", 3), (b"A", 4)), known(), Policy())
    keys = [wanted.key for wanted in plan.fetch]
    assert keys == [
        MessageKey(b"A"),
        MessageKey(b"B"),
        MessageKey(b"A", 1),
        MessageKey(b"A", 2),
    ]


def test_sizes_of_imported_messages_are_learned_from_the_listing() -> None:
    """An imported row has no size; the first listing gives it one, so that reuse shows later."""
    plan = plan_fetch(
        listing((b"A", 5), (b"B", None), (b"C", 7), (b"D", 8)),
        known({b"A": None, b"B": None, b"C": 7}),
        Policy(),
    )
    assert plan.now_sized == [(b"A", 5)]
    assert plan.stored == 3
    assert [wanted.key.uidl for wanted in plan.fetch] == [b"D"]


@pytest.mark.parametrize(
    ("header", "stored_at"), [(None, NOW), (HEADER, None)], ids=["no header", "never whole"]
)
def test_what_is_gone_and_was_never_stored_whole_is_fetched(
    header: bytes | None, stored_at: int | None
) -> None:
    """A unique-id that comes back is compared only with what was durable here."""
    gone = row(b"A", State.GONE, generation=4, header=header, stored_at=stored_at)
    if header is None:
        assert decide_check(_check(b"A"), HEADER, [gone]) is None
    else:
        plan = plan_fetch(listing((b"A", 100)), known({}, gone), Policy())
        assert only(plan) == fetch(MessageKey(b"A", 0, 5), Why.REUSED)


def _check(*uidls: bytes) -> Check:
    return Check(Wanted(1, MessageKey(b"new"), 100, Why.NEW), frozenset(uidls))


@pytest.mark.parametrize(
    ("initial", "amount", "dates", "fetched"),
    [
        (Initial.ALL, 0, None, [1, 2, 3, 4]),
        (Initial.NONE, 0, None, []),
        (Initial.LAST, 0, None, []),
        (Initial.LAST, 1, None, [4]),
        (Initial.LAST, 3, None, [2, 3, 4]),
        (Initial.LAST, 4, None, [1, 2, 3, 4]),
        (Initial.LAST, 999_999_999, None, [1, 2, 3, 4]),
        (Initial.NEWER, 10, {}, []),
        (Initial.NEWER, 10, {2: NOW, 4: None}, [2, 4]),
        (Initial.NEWER, 10, None, [1, 2, 3, 4]),
    ],
)
def test_a_first_run_fetches_what_it_was_asked_for(
    initial: Initial, amount: int, dates: dict[int, int | None] | None, fetched: list[int]
) -> None:
    """The rest is noted as left, so that the next run does not take it for new."""
    mailbox = listing(*((b"%d" % n, n) for n in range(1, 5)))
    policy = Policy(initial=initial, initial_amount=amount)
    plan = plan_fetch(mailbox, known(first=True), policy, dates)
    assert [wanted.number for wanted in plan.fetch] == fetched
    assert [wanted.number for wanted in plan.leave] == [n for n in range(1, 5) if n not in fetched]
    assert {wanted.why for wanted in plan.leave} <= {Why.BEFORE_FIRST_RUN}


@pytest.mark.parametrize("initial", Initial)
def test_a_later_run_fetches_everything_that_is_new(initial: Initial) -> None:
    """What a first run does is for a first run alone."""
    policy = Policy(initial=initial, initial_amount=0)
    plan = plan_fetch(listing((b"A", 1), (b"B", 2)), known({b"A": 1}), policy)
    assert [wanted.key for wanted in plan.fetch] == [MessageKey(b"B")]


def test_a_first_run_knows_the_age_only_of_what_has_a_date() -> None:
    """A message without a date is fetched: too much is better than too little."""
    policy = Policy(initial=Initial.NEWER, initial_amount=100)
    dates = {1: NOW - 101, 2: NOW - 100, 3: None, 4: NOW + 5, 5: 0}
    assert newer_than(dates, policy, NOW) == {2: NOW - 100, 3: None, 4: NOW + 5}


TOO_LARGE = ("skip", MessageKey(b"A"), Why.TOO_LARGE, frozenset[bytes]())
NEW = fetch(MessageKey(b"A"), Why.NEW)


@pytest.mark.parametrize(
    ("policy", "announced", "expected", "header_only"),
    [
        (Policy(larger_than=100), 100, NEW, False),
        (Policy(larger_than=100), 101, TOO_LARGE, False),
        (Policy(larger_than=100), None, NEW, False),
        (Policy(larger_than=0), 0, NEW, False),
        (Policy(larger_than=100, larger=Larger.HEADERS), 100, NEW, False),
        (Policy(larger_than=100, larger=Larger.HEADERS), 101, NEW, True),
        (Policy(larger_than=100, larger=Larger.HEADERS), 10**30, NEW, True),
        (Policy(limit_octets=100), 101, TOO_LARGE, False),
        (Policy(limit_octets=100, larger_than=200), 150, TOO_LARGE, False),
        (Policy(limit_octets=300, larger_than=200), 250, TOO_LARGE, False),
        (Policy(), 10**30, TOO_LARGE, False),
    ],
)
def test_a_size_limit_skips_or_asks_for_the_header(
    policy: Policy, announced: int | None, expected: object, header_only: bool
) -> None:
    """S-41, S-53: a message above a limit is not asked for, and an unknown size is no reason."""
    plan = plan_fetch(listing((b"A", announced)), known(), policy)
    assert only(plan) == expected
    assert [wanted.header_only for wanted in plan.fetch] == ([header_only] if plan.fetch else [])


def test_a_header_is_enough_as_long_as_the_message_is_too_large() -> None:
    """A raised limit fetches the message whole, as a generation of its own."""
    header = row(b"A", State.HEADER, generation=1)
    policy = Policy(larger_than=50, larger=Larger.HEADERS)
    assert only(plan_fetch(listing((b"A", 100)), known({}, header), policy)) == STORED
    policy = Policy(larger_than=100, larger=Larger.HEADERS)
    whole = fetch(MessageKey(b"A", 0, 2), Why.WHOLE_NOW)
    assert only(plan_fetch(listing((b"A", 100)), known({}, header), policy)) == whole


def test_after_a_migration_new_messages_are_compared_with_vanished_ones_of_their_size() -> None:
    """S-32: new unique-ids for old mail; a header decides before anything is downloaded."""
    before = {b"old1": 100, b"old2": 100, b"old3": 300, b"still": 100, b"unsized": None}
    mailbox = listing((b"still", 100), (b"new1", 100), (b"new2", 200), (b"new3", None))
    plan = plan_fetch(mailbox, known(before), Policy())
    assert plan.stored == 1
    assert [wanted.key.uidl for wanted in plan.fetch] == [b"new2", b"new3"]
    (doubt,) = plan.check
    assert doubt.wanted.key == MessageKey(b"new1")
    assert doubt.candidates == {b"old1", b"old2"}


@pytest.mark.parametrize(
    ("candidate", "is_same"),
    [
        (row(b"A", State.STORED), True),
        (row(b"A", State.GONE), True),
        (row(b"A", State.STORED, header=b"x" * 32), False),
        (row(b"A", State.STORED, header=None), False),
        (row(b"B", State.STORED), False),
        (row(b"A", State.GONE, stored_at=None), False),
        (row(b"A", State.STORED, stored_at=None), False),
        (row(b"A", State.HEADER), False),
        (row(b"A", State.LEFT), False),
        (row(b"A", State.FETCHING), False),
        (row(b"A", State.QUARANTINED), False),
        (row(b"A", State.DELETING), False),
    ],
)
def test_a_header_proves_only_what_was_stored_whole(candidate: Row, is_same: bool) -> None:
    """S-31, S-32: a message counts as known if the whole of it was durable here."""
    other = row(b"A", State.STORED, header=b"y" * 32)
    found = decide_check(_check(b"A"), HEADER, [other, candidate])
    assert found is (candidate if is_same else None)


def test_was_stored_knows_every_state() -> None:
    """A state that is added must be thought of here."""
    stored = {state for state in State if was_stored(row(b"A", state))}
    assert stored == {State.STORED, State.GONE}


def test_a_size_is_judged_without_a_plan() -> None:
    """A message that a header proved to be new is judged like any other."""
    wanted = Wanted(1, MessageKey(b"A"), 101, Why.REUSED)
    assert judge_size(wanted, Policy()) is wanted
    assert judge_size(wanted, Policy(larger_than=100)) is None
    header = judge_size(wanted, Policy(larger_than=100, larger=Larger.HEADERS))
    assert header == Wanted(1, MessageKey(b"A"), 101, Why.REUSED, header_only=True)


def test_an_empty_listing_plans_nothing() -> None:
    """S-36: a mailbox that shows nothing is no reason to do anything."""
    state = known({b"A": 1}, row(b"B", State.FETCHING))
    assert plan_fetch(listing(), state, Policy()) == Plan()
    assert unknown_in(listing(), state) == set()


def test_what_no_row_names_is_unknown() -> None:
    """The rows of what is gone are read for these alone."""
    state = known({b"A": 1}, row(b"B", State.FETCHING), row(b"C", State.STORED, ordinal=1))
    assert unknown_in(listing((b"A", 1), (b"B", 1), (b"C", 1), (b"D", 1)), state) == {b"D"}


UIDLS = st.sampled_from([b"A", b"B", b"C", b"D", b"E"])
SIZES = st.sampled_from([None, 0, 100, 101, 10**30])
LISTINGS = st.lists(st.tuples(UIDLS, SIZES), max_size=9).map(lambda some: listing(*some))
ROWS = st.builds(
    row,
    UIDLS,
    st.sampled_from(State),
    announced=SIZES,
    ordinal=st.integers(0, 2),
    generation=st.integers(0, 2),
    header=st.sampled_from([HEADER, None]),
    stored_at=st.sampled_from([NOW, None]),
)
SETTLED: st.SearchStrategy[dict[bytes, int | None]] = st.dictionaries(UIDLS, SIZES)
KNOWN = st.builds(
    lambda settled, rows, first: known(settled, *rows, first=first),
    SETTLED,
    st.lists(ROWS, max_size=9),
    st.booleans(),
)
POLICIES = st.builds(
    Policy,
    initial=st.sampled_from(Initial),
    initial_amount=st.integers(0, 9),
    larger_than=st.sampled_from([None, 0, 100]),
    larger=st.sampled_from(Larger),
)


@given(LISTINGS, KNOWN, POLICIES)
def test_every_listed_message_gets_exactly_one_decision(
    mailbox: Listing, state: Known, policy: Policy
) -> None:
    """Nothing is both fetched and skipped, and nothing is forgotten."""
    plan = plan_fetch(mailbox, state, policy)
    decided = decisions(plan)
    assert len(decided) + plan.stored == len(mailbox.numbers)
    assert decided.keys() <= set(mailbox.numbers)
    keys = [one.key for one in (*plan.fetch, *plan.leave, *(c.wanted for c in plan.check))]
    assert len(set(keys)) == len(keys), "two messages would have one name"


@given(LISTINGS, KNOWN, POLICIES)
def test_nothing_is_fetched_in_the_place_of_what_is_stored(
    mailbox: Listing, state: Known, policy: Policy
) -> None:
    """A message that is fetched anew has a key of its own: a file is never taken for another."""
    plan = plan_fetch(mailbox, state, policy)
    used = {
        one.key for one in state.others.values() if one.state not in {State.FETCHING, State.LEFT}
    }
    assert not used & {wanted.key for wanted in plan.fetch}
    for wanted in plan.fetch:
        if wanted.key.ordinal == 0:
            assert wanted.key.uidl not in state.settled


def test_a_hundred_thousand_messages_with_nothing_new_are_compared_quickly() -> None:
    """A second run must take a second, most of it for the network."""
    count = 100_000
    uidls = [b"%032x" % number for number in range(count)]
    sizes = [number % 5000 for number in range(count)]
    state = known(dict(zip(uidls, sizes, strict=True)))
    mailbox = Listing(range(1, count + 1), [bytes(one) for one in uidls], sizes)
    assert plan_in(0.5, mailbox, state) == Plan(stored=count)


def test_a_hundred_thousand_messages_and_a_new_one_are_compared_quickly() -> None:
    """One new message must not make each old one dear."""
    count = 100_000
    uidls = [b"%032x" % number for number in range(count + 1)]
    state = known(dict.fromkeys(uidls[:count], 4000))
    mailbox = Listing(range(1, count + 2), uidls, [4000] * (count + 1))
    plan = plan_in(0.5, mailbox, state)
    assert plan.stored == count
    assert [wanted.key.uidl for wanted in plan.fetch] == uidls[count:]


def test_a_migration_of_messages_of_one_size_takes_no_memory_for_each_pair() -> None:
    """S-32: ten thousand new ones and as many old ones share one set of candidates."""
    count = 10_000
    state = known({b"old%d" % number: 4000 for number in range(count)})
    mailbox = listing(*((b"new%d" % number, 4000) for number in range(count)))
    plan = plan_in(1.0, mailbox, state)
    assert len(plan.check) == count
    assert len({id(doubt.candidates) for doubt in plan.check}) == 1


def plan_in(seconds: float, mailbox: Listing, state: Known) -> Plan:
    """Plan within so many seconds of CPU; the best of three counts, as the machine may be busy."""
    took = []
    plan = Plan()
    for _ in range(3):
        gc.collect()
        began = time.process_time()
        plan = plan_fetch(mailbox, state, Policy())
        took.append(time.process_time() - began)
    assert min(took) < seconds
    return plan


def deleted(
    mailbox: Listing,
    safe: Mapping[tuple[bytes, int], Safe],
    policy: Policy,
    *,
    is_clock_sane: bool = True,
) -> tuple[list[int], dict[int, Why]]:
    """Return the numbers to delete, and why others are kept that the policy means."""
    planned = plan_deletes(mailbox, safe, policy, now=NOW, is_clock_sane=is_clock_sane)
    for one in planned.delete:
        assert safe[mailbox.uidls[one.number - 1], 0].id == one.id if mailbox.uidls else False
    return [one.number for one in planned.delete], {one.number: one.why for one in planned.keep}


def safe_since(*ages_s: int) -> dict[tuple[bytes, int], Safe]:
    return {(b"%d" % n, 0): Safe(n, NOW - age, "") for n, age in enumerate(ages_s, 1)}


FIVE = listing(*((b"%d" % n, n) for n in range(1, 6)))
AGES = safe_since(50 * DAY_S, 40 * DAY_S, 14 * DAY_S, 14 * DAY_S - 1, 0)


@pytest.mark.parametrize(
    ("policy", "numbers"),
    [
        (Policy(), []),
        (Policy(delete=True), [1, 2, 3, 4, 5]),
        (Policy(delete_after_s=14 * DAY_S), [1, 2, 3]),
        (Policy(delete_after_s=0), [1, 2, 3, 4, 5]),
        (Policy(delete=True, delete_after_s=14 * DAY_S), [1, 2, 3]),
        (Policy(keep_newest=2), [1, 2, 3]),
        (Policy(keep_newest=0), [1, 2, 3, 4, 5]),
        (Policy(keep_newest=5), []),
        (Policy(keep_newest=100), []),
        (Policy(keep_newest=3, delete_after_s=14 * DAY_S), [1, 2]),
        (Policy(keep_newest=1, delete_after_s=14 * DAY_S), [1, 2, 3]),
        (Policy(keep_newest=4, delete=True), [1]),
    ],
)
def test_a_policy_deletes_what_it_says(policy: Policy, numbers: list[int]) -> None:
    """Rules that are given together all hold: what one of them keeps stays."""
    assert deleted(FIVE, AGES, policy) == (numbers, {})


def test_newest_is_counted_in_the_mailbox_and_not_among_what_is_stored() -> None:
    """`--keep-newest 2` leaves the two newest on the server, whether they are stored or not."""
    safe = {key: one for key, one in AGES.items() if one.id != 5}
    assert deleted(FIVE, safe, Policy(keep_newest=2)) == ([1, 2, 3], {})


def test_what_is_not_safe_is_not_deleted() -> None:
    """Rule 0 of the message states: only what is durable in every destination."""
    assert deleted(FIVE, {}, Policy(delete=True)) == ([], {})
    assert deleted(listing(), AGES, Policy(delete=True)) == ([], {})


def test_twins_and_suspects_are_never_deleted() -> None:
    """S-30, S-46: a number that may be another message, and a message that may be cut."""
    mailbox = listing((b"A", 1), (b"B", 2), (b"A", 3), (b"C", 4))
    safe = {
        (b"A", 0): Safe(1, NOW, ""),
        (b"A", 1): Safe(2, NOW, ""),
        (b"B", 0): Safe(3, NOW, SUSPECT),
        (b"C", 0): Safe(4, NOW, "another note"),
    }
    numbers, why = deleted(mailbox, safe, Policy(delete=True))
    assert numbers == [4]
    assert why == {1: Why.TWIN, 2: Why.SUSPECT, 3: Why.TWIN}


def test_a_clock_that_jumped_stops_only_what_goes_by_age() -> None:
    """S-13: RTC at 1970, then NTP; what is deleted at once needs no clock."""
    by_age = Policy(delete_after_s=DAY_S)
    numbers, why = deleted(FIVE, AGES, by_age, is_clock_sane=False)
    assert numbers == []
    assert why == dict.fromkeys([1, 2, 3, 4], Why.CLOCK)
    assert deleted(FIVE, AGES, Policy(delete=True), is_clock_sane=False)[0] == [1, 2, 3, 4, 5]
    assert deleted(FIVE, AGES, Policy(keep_newest=4), is_clock_sane=False)[0] == [1]


SAFE: st.SearchStrategy[dict[tuple[bytes, int], Safe]] = st.dictionaries(
    st.tuples(UIDLS, st.integers(0, 2)),
    st.builds(
        Safe,
        st.integers(1, 99),
        st.integers(NOW - 3 * DAY_S, NOW + DAY_S),
        st.sampled_from(["", SUSPECT]),
    ),
)
DELETING = st.builds(
    Policy,
    delete=st.booleans(),
    delete_after_s=st.sampled_from([None, 0, DAY_S]),
    keep_newest=st.sampled_from([None, 0, 1, 3]),
)


@given(LISTINGS, SAFE, DELETING, st.booleans())
def test_nothing_is_deleted_that_must_not_be(
    mailbox: Listing, safe: dict[tuple[bytes, int], Safe], policy: Policy, is_clock_sane: bool
) -> None:
    """Only what is safe, whole, alone with its unique-id, and not among the newest."""
    planned = plan_deletes(mailbox, safe, policy, now=NOW, is_clock_sane=is_clock_sane)
    uidls: Sequence[bytes] = mailbox.uidls or ()
    counts = Counter(uidls)
    newest = [*mailbox.numbers][len(mailbox.numbers) - (policy.keep_newest or 0) :]
    assert policy.deletes or not planned.delete
    for one in planned.delete:
        assert one.uidl == uidls[one.number - 1]
        assert counts[one.uidl] == 1
        held = safe[one.uidl, 0]
        assert held.id == one.id
        assert held.note != SUSPECT
        assert one.number not in newest
        if policy.delete_after_s is not None:
            assert is_clock_sane
            assert NOW - held.stored_at >= policy.delete_after_s
    numbers = [*(one.number for one in planned.delete), *(one.number for one in planned.keep)]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize(
    ("last_seen", "was_doubted", "is_sane"),
    [
        (None, False, True),
        (NOW, False, True),
        (NOW + 300, False, True),
        (NOW + 301, False, False),
        (NOW + 301, True, False),
        (NOW - 2 * DAY_S, False, True),
        (NOW - 2 * DAY_S - 1, False, False),
        (NOW - 2 * DAY_S - 1, True, True),
        (0, False, False),
    ],
)
def test_a_clock_is_believed_unless_it_jumped(
    last_seen: int | None, was_doubted: bool, is_sane: bool
) -> None:
    """S-13: back is not believed, two days forward not at once."""
    assert judge_clock(last_seen, NOW, was_doubted=was_doubted) is is_sane


@pytest.mark.parametrize(
    ("announced", "received", "suspect"),
    [
        (None, 0, False),
        (0, 0, False),
        (64, 0, False),
        (71, 0, False),
        (72, 0, True),
        (1000, 836, False),
        (1000, 835, True),
        (1000, 5000, False),
        (10**30, 150 << 20, True),
    ],
)
def test_a_message_much_shorter_than_announced_may_be_cut(
    announced: int | None, received: int, suspect: bool
) -> None:
    """S-46: a lone dot that was not stuffed ends a body early; a tenth and 64 octets are given."""
    assert is_suspect(announced, received) is suspect
