"""Figures, against values computed by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from flexiai.events import EvidenceSent
from harness.checkers.spans import Span
from harness.history import RedisSample, RequestDone, RequestSent
from harness.metrics import METRICS, measure, openings, request_samples, sync_samples
from harness.quantiles import quantile
from tests.harness.histories import OUTAGE, C, H, O, Story

OK, FAILED, NEUTRAL = Outcome.SUCCESS, Outcome.FAILURE, Outcome.NEUTRAL


class TestQuantiles:
    @pytest.mark.parametrize(
        ("q", "value"), [(0.5, 5), (0.51, 6), (0.9, 9), (0.99, 10), (1.0, 10), (0.1, 1), (0.05, 1)]
    )
    def test_nearest_rank_of_one_to_ten(self, q, value):
        assert quantile([3, 1, 2, 10, 9, 8, 7, 6, 5, 4], q) == value

    def test_the_99th_percentile_of_a_hundred_is_the_99th(self):
        assert quantile(range(1, 101), 0.99) == 99

    def test_no_samples_have_no_quantile(self):
        assert quantile([], 0.5) is None

    @pytest.mark.parametrize("q", [0, -0.1, 1.1])
    def test_a_share_outside_of_0_to_1_is_refused(self, q):
        with pytest.raises(ValueError, match="expected 0 < q <= 1"):
            quantile([1.0], q)

    @given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
    def test_it_is_the_smallest_sample_that_covers_the_share(self, samples, q):
        found = quantile(samples, q)
        assert found in samples
        assert sum(s <= found for s in samples) >= q * len(samples) - 1e-6
        assert sum(s < found for s in samples) < q * len(samples) + 1e-6


def test_every_metric_of_the_catalogue_is_measured_even_when_nothing_happened():
    figures = measure(Story(workers=()).case())
    assert list(figures) == list(METRICS)
    assert figures["availability"] is None
    assert figures["sync_latency.p99"] is None
    assert figures["requests"] == 0


class TestRequests:
    def test_each_end_is_counted_and_the_callers_own_errors_are_nobodys_failure(self):
        story = Story().serves("w1", 1).serves("w1", 2).asks("w1", 3, ("a", FAILED)).asks("w1", 4, ("a", NEUTRAL))
        story.add(RequestSent(t=5.0, request="x", instance=1, intended=5.0))
        story.add(RequestDone(t=6.0, request="x", result="info"))
        figures = measure(story.case())
        assert [figures[f"{end}_requests"] for end in ("ok", "failed", "lost", "rejected")] == [2, 1, 1, 1]
        assert figures["availability"] == 0.5

    def test_latency_counts_from_when_it_should_have_been_sent(self):
        story = Story().add(RequestSent(t=2.0, request="x", instance=1, intended=1.5))
        story.add(RequestDone(t=2.25, request="x", result="ok", provider="a"))
        assert measure(story.case())["latency.max"] == 0.75
        assert request_samples(story.case())[0].provider == "a"

    def test_a_streams_latency_is_that_of_its_first_token(self):
        story = Story().serves("w1", 1, took=3.0).streams("w1", 2, ("a", FAILED, 0), ("b", OK, 5))
        figures = measure(story.streams("w1", 3, ("a", FAILED, 2)).case())
        assert figures["first_token.max"] == pytest.approx(0.15)
        assert figures["latency.max"] == pytest.approx(3.0)
        assert [figures[name] for name in ("streams", "broken_streams", "failed_requests")] == [2, 1, 1]

    def test_who_left_is_nobodys_failure(self):
        story = Story().serves("w1", 1).add(RequestSent(t=5.0, request="x", instance=1, intended=5.0))
        figures = measure(story.add(RequestDone(t=9.0, request="x", result="left")).case())
        assert [figures[name] for name in ("cancelled_requests", "lost_requests", "failed_requests")] == [1, 0, 0]
        assert figures["availability"] == 1.0
        assert figures["latency.max"] == pytest.approx(0.1)

    def test_availability_by_phase(self):
        story = Story(OUTAGE).fault().serves("w1", 5).asks("w1", 15, ("a", FAILED)).serves("w1", 20).serves("w1", 40)
        figures = measure(story.case())
        assert [figures[f"availability.{p}"] for p in ("before", "during", "after")] == [1.0, 0.5, 1.0]

    def test_what_failing_over_added(self):
        story = Story().serves("w1", 1).asks("w1", 2, ("a", FAILED), ("b", OK), took=0.25)
        figures = measure(story.case())
        assert figures["failover_added_latency.p50"] == pytest.approx(0.25)
        assert figures["amplification"] == 1.5


class TestOutages:
    def _outage(self):
        story = Story(OUTAGE).fault().opens("w1", 10.5).opens("w2", 10.6).told("w3", 10.7, 1, move=(C, O))
        story.moves("w1", 20, O, H, Cause.PROBE_GRANTED).asks("w1", 20, ("a", FAILED), ("b", OK), probe=True)
        story.moves("w1", 20.1, H, O, Cause.PROBE_FAILED).moves("w1", 31, O, H, Cause.PROBE_GRANTED)
        story.serves("w1", 31, probe=True).moves("w1", 31.1, H, C, Cause.PROBE_SUCCEEDED)
        story.told("w2", 31.2, 2, C, move=(O, C)).told("w3", 31.4, 2, C, move=(O, C))
        return story

    def test_an_opening_lasts_from_the_first_trip_to_the_first_close(self):
        assert openings(self._outage().case(), "a") == [Span(10.5, 31.1)]
        assert openings(Story().opens("w1", 1).case(), "a") == [Span(1, math.inf)]

    def test_the_fleets_evidence_opens_too_at_the_report_that_tipped_the_scales(self):
        story = Story(OUTAGE, workers=("w1", "w2")).fault().serves("w1", 9)
        story.asks("w1", 10.1, ("a", FAILED)).asks("w2", 10.2, ("a", FAILED)).asks("w1", 10.25, ("a", FAILED))
        for worker, t in (("w1", 10.2), ("w2", 10.3)):
            story.add(EvidenceSent(t=t, worker=worker, provider="a", base=0, failures=1))
        story.told("w2", 10.301, 100, move=(C, O), origin="w2", via="reply", accepted=True)
        story.told("w1", 10.304, 100, move=(C, O), origin="w2")
        story.told("w1", 20, 50, origin="w2")  # an older one, heard late, opens nothing
        case = story.moves("w2", 40, O, H, Cause.PROBE_GRANTED).moves("w2", 40.1, H, C, Cause.PROBE_SUCCEEDED).case()
        assert openings(case, "a") == [Span(10.3, 40.1)]
        figures = measure(case)
        assert figures["detection_s"] == pytest.approx(0.3)
        assert (figures["attempts_to_open"], figures["attempts_in_flight_at_open"]) == (2, 1)
        assert (figures["evidence_reports"], figures["private_opens"]) == (2, 0)
        assert figures["sync_latency.max"] == pytest.approx(0.004)

    def test_what_a_worker_does_in_private_opens_and_closes_nothing_for_the_fleet(self):
        story = Story(sync={"open_quorum": 2}).opens("w1", 11, private=True)
        story.moves("w1", 16, O, H, Cause.PROBE_GRANTED, private=True)
        case = story.moves("w1", 16.1, H, C, Cause.PROBE_SUCCEEDED, private=True).case()
        assert openings(case, "a") == []
        assert (measure(case)["opens"], measure(case)["private_opens"]) == (0, 1)

    def test_openings_detection_and_recovery(self):
        figures = measure(self._outage().case())
        assert (figures["opens"], figures["reopens"], figures["closes"], figures["probes"]) == (1, 1, 1, 2)
        assert figures["detection_s"] == 0.5
        assert figures["recovery_s"] == pytest.approx(1.4)
        assert [figures[f"detection.{q}"] for q in ("p50", "p90", "max")] == [0.5, 0.5, 0.5]
        assert figures["recovery.max"] == figures["recovery_s"]
        assert figures["probing_workers_max"] == 1

    def test_attempts_in_vain_beyond_the_threshold_are_duplicates(self):
        story = self._outage()
        for n in range(5):
            story.asks("w2", 10.05 + n / 100, ("a", FAILED), ("b", OK))
        assert measure(story.case())["duplicate_attempts"] == 3
        assert measure(story.case())["failing_attempts"] == 6

    def test_attempts_by_those_who_had_not_heard_are_stale(self):
        story = self._outage().asks("w3", 10.4, ("a", FAILED), ("b", OK)).asks("w3", 10.65, ("a", FAILED), ("b", OK))
        assert measure(story.case())["stale_attempts"] == 1

    def test_a_fault_that_nobody_noticed_has_no_detection(self):
        figures = measure(Story(OUTAGE).fault().case())
        assert (figures["detection_s"], figures["detection.p50"]) == (None, None)


class TestSync:
    def _spread(self, *faults):
        story = Story(*faults).opens("w1", 10.0).told("w1", 10.001, 1, via="reply", accepted=True)
        return story.told("w2", 10.002, 1, move=(C, O)).told("w3", 10.005, 1, move=(C, O))

    def test_latency_runs_from_the_first_workers_transition(self):
        figures = measure(self._spread().case())
        assert figures["sync_latency.p50"] == pytest.approx(0.002)
        assert figures["sync_latency.max"] == pytest.approx(0.005)
        assert figures["sync_spread.max"] == pytest.approx(0.005)
        assert figures["sync_spread.p99"] == figures["sync_spread.max"]  # one sample
        assert (figures["lost_notices"], figures["transitions"]) == (0, 1)

    def test_samples_say_who_told_whom_and_how(self):
        first, second = sync_samples(self._spread().case())
        assert (first.frm, first.to, first.via, first.cut, first.epoch) == ("w1", "w2", "notice", False, 1)
        assert second.to == "w3"

    def test_a_transition_that_another_worker_made_first_has_no_samples(self):
        story = self._spread().opens("w3", 10.003)
        assert len(sync_samples(story.case())) == 2

    def test_a_record_belongs_to_the_last_change_that_was_told_not_to_those_the_store_never_heard_of(self):
        story = Story(workers=("w1", "w2")).opens("w1", 10)
        for t in (15, 20):
            story.moves("w1", t - 0.1, O, H, Cause.PROBE_GRANTED).moves("w1", t, H, O, Cause.PROBE_FAILED)
        reason = {"reason": Cause.PROBE_FAILED}
        story.told("w1", 20.1, 1, via="reply", **reason).told("w2", 20.25, 1, **reason)
        (sample,) = sync_samples(story.case())
        assert (sample.t, sample.latency_s) == (20, 0.25)

    def test_a_record_got_by_reading_is_a_lost_notice(self):
        story = Story(workers=("w1", "w2")).opens("w1", 10).told("w1", 10.1, 1).told("w2", 10.9, 1, via="read")
        assert measure(story.case())["lost_notices"] == 1

    def test_a_worker_that_never_hears_is_a_lost_notice_without_a_latency(self):
        figures = measure(Story(workers=("w1", "w2")).opens("w1", 10).told("w1", 10.1, 1).case())
        assert (figures["lost_notices"], figures["sync_latency.max"]) == (1, None)

    def test_a_worker_cut_off_from_redis_counts_for_convergence_only(self):
        cut = {"at": "9s", "for": "5s", "target": "redis", "inject": "partition", "workers": "1.3"}
        story = Story(cut).fault(on=("w3",)).opens("w1", 10).told("w1", 10.001, 1).told("w2", 10.002, 1)
        figures = measure(story.told("w3", 14.5, 1, via="read").case())
        assert figures["sync_latency.max"] == pytest.approx(0.002)
        assert figures["lost_notices"] == 0
        assert figures["partition_convergence.max"] == pytest.approx(0.5)

    def test_a_worker_killed_before_it_heard_is_no_sample(self):
        story = Story(workers=("w1", "w2")).opens("w1", 10).told("w1", 10.1, 1).killed("w2", 10.05)
        assert sync_samples(story.case()) == []

    def test_commands_are_counted_over_restarts(self):
        story = self._spread()
        for t, commands, published in ((0, 100, 5), (20, 150, 6), (21, 3, 0), (60, 40, 4)):
            story.add(RedisSample(t=t, commands=commands, published=published))
        figures = measure(story.case())
        assert figures["redis_commands"] == 50 + 3 + 37
        assert figures["messages_per_transition"] == 1 + 4


def test_workers_and_how_soon_they_were_ready():
    figures = measure(Story().joins("w4", 20, synced=False).case())
    assert (figures["workers"], figures["ready_workers"], figures["unsynced_starts"]) == (4, 4, 1)
    assert figures["ready.max"] == pytest.approx(0.03)


class TestLatencyUnderRedisFaults:
    def _story(self, before_s: float, during_s: float, count: int = 200) -> Story:
        story = Story({"at": "10s", "for": "20s", "target": "redis", "inject": "pause"}).fault()
        for start, took in ((0.0, before_s), (10.0, during_s)):
            for n in range(count):
                t, name = start + n * 9.0 / count, f"{start}-{n}"
                story.add(
                    RequestSent(t=t, request=name, instance=1, intended=t),
                    RequestDone(t=t + took, request=name, result="ok", provider="a", status=200),
                )
        return story

    def test_the_ratio_is_that_of_the_quantiles(self):
        figures = measure(self._story(0.1, 0.3).case())
        assert figures["redis_fault_latency_ratio.p50"] == pytest.approx(3.0)
        assert figures["redis_fault_latency_ratio.p99"] == pytest.approx(3.0)
        assert figures["redis_fault_latency_ratio.p99_sure"] == pytest.approx(3.0)

    def test_what_a_few_stragglers_may_explain_is_not_sure(self):
        story = self._story(0.1, 0.1)
        for n in range(4):
            story.add(
                RequestSent(t=20.0 + n, request=f"slow-{n}", instance=1, intended=20.0 + n),
                RequestDone(t=20.5 + n, request=f"slow-{n}", result="ok", provider="a", status=200),
            )
        figures = measure(story.case())
        assert figures["redis_fault_latency_ratio.p99"] == pytest.approx(5.0)
        assert figures["redis_fault_latency_ratio.p99_sure"] == pytest.approx(1.0)

    def test_too_few_requests_are_no_measure(self):
        assert measure(self._story(0.1, 0.3, count=50).case())["redis_fault_latency_ratio.p99"] is None

    def test_without_a_redis_fault_there_is_none(self):
        assert measure(Story().case())["redis_fault_latency_ratio.p50"] is None
