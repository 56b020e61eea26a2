"""What the fleet makes of its workers' reports: against an oracle that sees every attempt of everybody, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State
from flexiai.core.evidence import VOTE_GRACE_MS, Evidence, Report, Terms, hear, judge

FIVE = Terms(threshold=5, window_ms=1000)
TWO = Terms(threshold=5, window_ms=1000, quorum=2)
NOW_MS = 1_000_000
CLOSED = Circuit(epoch=7)
OPENING = Proposal(
    base=7, state=State.OPEN, reason=Cause.RETRY_AFTER, worker="a", seen_at=0.0, open_for_ms=9000, quorum=2
)
CLOSING = replace(OPENING, state=State.CLOSED, reason=Cause.PROBE_SUCCEEDED, open_for_ms=0)


def report(worker: str, *failed_ms: int, ok_ms: int | None = None, base: int = 7) -> Report:
    return Report(base, worker, failed_ms, ok_ms, open_for_ms=30_000)


def heard(*reports: Report, terms: Terms = FIVE, held: Evidence | None = None) -> tuple[Evidence, Circuit | None, bool]:
    """What comes of these reports, all at once."""
    evidence, opened, begun = held or Evidence(), None, False
    for each in reports:
        assert opened is None
        evidence, opened, begun = hear(evidence, CLOSED, each, terms, NOW_MS)
    return evidence, opened, begun


def test_five_failures_of_five_workers_open_it() -> None:
    _, opened, _ = heard(*(report(worker, 10 - n) for n, worker in enumerate("abcde")))
    assert opened == Circuit(
        NOW_MS, State.OPEN, Cause.CONSECUTIVE_FAILURES, "e", NOW_MS - 6, open_for_ms=30_000, failure_count=5
    )


def test_a_report_replaces_the_last_one_of_its_worker() -> None:
    evidence, opened, _ = heard(*[report("a", 9, 8, 7)] * 10)
    assert opened is None
    assert evidence.count == 3


def test_the_beginning_of_a_streak_is_told_once() -> None:
    evidence, _, begun = heard(report("a", 9))
    assert begun
    assert not heard(report("b", 8), held=evidence)[2]


def test_any_workers_success_ends_what_was_before_it() -> None:
    evidence, _, _ = heard(report("a", 9, 8), report("b", 6, 3), report("c", ok_ms=5))
    assert evidence.failures == {"b": (NOW_MS - 3,)}
    evidence, _, _ = heard(report("a", 9, 8, 7, 6), held=evidence)  # as things stood before, and are now no more
    assert evidence.count == 1


def test_what_is_older_than_the_window_does_not_count() -> None:
    evidence, _, _ = heard(report("a", 1000, 999), terms=FIVE)
    assert evidence.count == 1


def test_evidence_of_another_record_is_void() -> None:
    evidence, _, _ = heard(report("a", 9, 8, 7, 6))
    later = replace(CLOSED, epoch=8)
    assert hear(evidence, later, report("b", 5), FIVE, NOW_MS) == (evidence, None, False)
    after, opened, begun = hear(evidence, later, report("b", 5, base=8), FIVE, NOW_MS)
    assert (after.count, opened, begun) == (1, None, True)


def test_what_an_operator_holds_open_is_not_opened_and_a_drain_goes_on() -> None:
    reports = report("a", 5, 4, 3, 2, 1)
    held_open = replace(CLOSED, mode=Mode.OPEN, held_at_ms=NOW_MS, held_for_ms=10)
    assert hear(Evidence(), held_open, reports, FIVE, NOW_MS)[1] is None
    drained = replace(held_open, mode=Mode.DRAIN, note="why")
    opened = hear(Evidence(), drained, reports, FIVE, NOW_MS)[1]
    assert opened is not None
    assert (opened.mode, opened.note) == (Mode.DRAIN, "why")


def test_with_a_quorum_one_worker_opens_nothing_whatever_it_sees() -> None:
    evidence, opened, _ = heard(report("a", 5, 4, 3, 2, 1), terms=TWO)
    assert opened is None
    evidence, opened, noted = judge(evidence, CLOSED, OPENING, 0, NOW_MS)
    assert (opened, noted) == (None, True)
    assert judge(evidence, CLOSED, OPENING, 0, NOW_MS)[1] is None  # and not by saying it twice
    assert heard(report("b", 1), terms=TWO, held=evidence)[1] is not None


def test_so_many_votes_are_a_quorum() -> None:
    evidence, _, _ = judge(Evidence(), CLOSED, OPENING, 0, NOW_MS)
    _, opened, noted = judge(evidence, CLOSED, replace(OPENING, worker="b"), 0, NOW_MS + 1)
    assert opened is not None
    assert (opened.worker, opened.reason, noted) == ("b", Cause.RETRY_AFTER, False)


def test_a_vote_ends_by_its_time_or_by_its_workers_closing() -> None:
    evidence, _, _ = judge(Evidence(), CLOSED, OPENING, 0, NOW_MS)
    later_ms = NOW_MS + OPENING.open_for_ms + VOTE_GRACE_MS
    assert judge(evidence, CLOSED, replace(OPENING, worker="b"), 0, later_ms - 1)[1] is not None
    assert judge(evidence, CLOSED, replace(OPENING, worker="b"), 0, later_ms)[1] is None
    evidence, accepted, _ = judge(evidence, CLOSED, CLOSING, 0, NOW_MS)
    assert accepted is None
    assert judge(evidence, CLOSED, replace(OPENING, worker="b"), 0, NOW_MS)[1] is None


def test_operators_and_who_opens_again_need_no_quorum() -> None:
    forced = replace(OPENING, forced=True)
    assert judge(Evidence(), CLOSED, forced, 0, NOW_MS)[1] is not None
    already = replace(CLOSED, state=State.OPEN)
    assert judge(Evidence(), already, OPENING, 0, NOW_MS)[1] is not None
    assert judge(Evidence(), already, CLOSING, 0, NOW_MS)[1] is not None


def test_a_store_that_lost_the_record_takes_its_closing_without_a_quorum() -> None:
    assert judge(Evidence(), Circuit(), CLOSING, 0, NOW_MS)[1] is not None


# --- a fleet whose reports and notices take their time, are lost or repeated ------------------------------------------


@dataclass
class Voice:
    """One worker's reporter: its failures in a row, its latest success, and since when it knows of a streak."""

    failed_at: list[int] = field(default_factory=list)
    ok_at: int | None = None
    knows_since: int | None = None


class Fleet:
    """Workers, a store, and the oracle: every attempt of everybody in order of time (ms)."""

    def __init__(self, workers: int, terms: Terms) -> None:
        self.now = NOW_MS
        self.terms = terms
        self.voices: Mapping[str, Voice] = {f"w{n}": Voice() for n in range(workers)}
        self.evidence = Evidence()
        self.opened: Circuit | None = None
        self.attempts: list[tuple[int, bool]] = []
        self.told_ok_ms = 0  # the latest success that the store was told of

    def ends(self, worker: str, failed: bool) -> None:
        voice = self.voices[worker]
        self.attempts.append((self.now, failed))
        if failed:
            voice.failed_at = [*voice.failed_at, self.now][-self.terms.threshold :]
        else:
            voice.failed_at, voice.ok_at = [], self.now

    def says(self, worker: str) -> Report:
        voice = self.voices[worker]
        failed_ms = tuple(self.now - t for t in voice.failed_at)
        return Report(0, worker, failed_ms, None if voice.ok_at is None else self.now - voice.ok_at, 30_000)

    def hears(self, said: Report) -> None:
        if said.ok_ms is not None:
            self.told_ok_ms = max(self.told_ok_ms, self.now - said.ok_ms)
        self.evidence, self.opened, _ = hear(self.evidence, Circuit(), said, self.terms, self.now)

    @property
    def in_a_row(self) -> int:
        """By the oracle, as far as the store can know: failures of all, later than the latest success it was told of."""
        return sum(failed and t > self.told_ok_ms for t, failed in self.attempts)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["w0", "w1", "w2"]),
        st.sampled_from(["fails", "works", "tells", "tells again"]),
        st.integers(0, 20),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(events=EVENTS, threshold=st.integers(1, 5), quorum=st.integers(1, 3))
def test_it_opens_only_for_failures_in_a_row_and_at_the_first_report_that_makes_them_enough(
    events: list[tuple[str, str, int]], threshold: int, quorum: int
) -> None:
    fleet = Fleet(3, Terms(threshold, 10**6, quorum))
    for worker, event, passed in events:
        fleet.now += passed
        if event in ("fails", "works"):
            fleet.ends(worker, event == "fails")
            continue
        for _ in range(2 if event == "tells again" and fleet.opened is None else 1):
            if fleet.opened is None:
                fleet.hears(fleet.says(worker))
        told = fleet.evidence.count if fleet.opened is None else fleet.opened.failure_count
        assert told <= fleet.in_a_row
        if fleet.opened is not None:
            assert told >= threshold
            return
        assert told < threshold or fleet.evidence.workers < quorum


@settings(max_examples=200)
@given(failing=st.lists(st.sampled_from("abcdefgh"), min_size=5, max_size=5), before_ms=st.integers(1, 100))
def test_told_at_once_a_dead_provider_is_opened_by_exactly_so_many_failures(failing: list[str], before_ms: int) -> None:
    """Whoever fails, however they are spread: no attempt more than the threshold, whatever worked before."""
    fleet = Fleet(0, FIVE)
    fleet.voices = {worker: Voice(ok_at=fleet.now) for worker in "abcdefgh"}
    fleet.now += before_ms
    for n, worker in enumerate(failing, 1):
        fleet.now += 1
        fleet.ends(worker, failed=True)
        fleet.hears(fleet.says(worker))
        assert (fleet.opened is not None) == (n == 5)
