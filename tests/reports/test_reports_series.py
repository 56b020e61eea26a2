"""What the figures draw, counted out of a history."""

from __future__ import annotations

import math

import pytest
from made_history import OUTAGE, a_scenario, an_outage, frozen, replaced

from flexiai.core.circuit import State
from harness.checkers.case import Case
from harness.history import FaultInjected, History, WorkerUp
from harness.metrics import RequestSample, request_samples
from harness.scenario import Scenario
from reports.series.bands import bands_of, describe
from reports.series.fleet import Fleet, fleet_of, place_label
from reports.series.traffic import bin_width, quantiles_of, rates_of

PROVIDERS = ("openai", "anthropic")
END = 61.5


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return a_scenario()


@pytest.fixture(scope="module")
def outage(scenario: Scenario) -> History:
    return an_outage(scenario)


def a_worker(history: History, instance: int, slot: int) -> str:
    return next(up.worker for up in history.all(WorkerUp) if (up.instance, up.slot) == (instance, slot))


def at(fleet: Fleet, row: int, t: float, provider: str = "openai") -> list[State]:
    return [s.state for s in fleet.breakers[provider] if s.row == row and s.start <= t < s.end]


def test_every_worker_has_one_state_of_each_breaker_at_every_moment(outage: History) -> None:
    fleet = fleet_of(outage, PROVIDERS, END)
    assert fleet.rows == tuple(f"{i}.{w}" for i in (1, 2, 3) for w in (1, 2, 3, 4))
    for provider in PROVIDERS:
        for row in range(12):
            assert all(len(at(fleet, row, t, provider)) == 1 for t in (0.0, 15.6, 20.0, 33.3, 50.0, 61.0))


def test_an_outage_opens_every_worker_and_recovery_closes_them(outage: History) -> None:
    fleet = fleet_of(outage, PROVIDERS, END)
    assert {at(fleet, row, 10.0)[0] for row in range(12)} == {State.CLOSED}
    assert {at(fleet, row, 20.0)[0] for row in range(12)} == {State.OPEN}
    assert {at(fleet, row, 60.0)[0] for row in range(12)} == {State.CLOSED}


def test_a_replacement_keeps_the_row_and_gets_a_prime(outage: History) -> None:
    worker = a_worker(outage, 2, 1)
    fleet = fleet_of(replaced(outage, worker, 25.0, 26.2), PROVIDERS, END)
    assert len(fleet.rows) == 12
    assert fleet.label(worker) == "2.1"
    assert fleet.label(f"{worker}0") == "2.1′"
    assert at(fleet, 4, 25.5) == []
    assert at(fleet, 4, 27.0) == [State.OPEN]
    assert [(g.row, g.start, g.end) for g in fleet.gone] == [(4, 25.0, 26.2)]
    assert [(b.row, b.start) for b in fleet.births] == [(4, 26.2)]


def test_a_worker_that_is_not_replaced_is_gone_to_the_end(outage: History) -> None:
    worker = a_worker(outage, 1, 1)
    kept = [e for e in replaced(outage, worker, 25.0, 26.0).entries if getattr(e, "worker", "") != f"{worker}0"]
    gone = fleet_of(History(kept), PROVIDERS, END).gone
    assert [(g.row, g.start, g.end) for g in gone] == [(0, 25.0, END)]


def test_a_frozen_worker_is_marked_for_as_long(outage: History) -> None:
    fleet = fleet_of(frozen(outage, a_worker(outage, 3, 1), 27.0, 31.0), PROVIDERS, END)
    assert [(p.row, p.start, p.end) for p in fleet.paused] == [(8, 27.0, 31.0)]


@pytest.mark.parametrize(("generation", "label"), [(0, "1.3"), (1, "1.3′"), (2, "1.3″"), (3, "1.3‴"), (4, "1.3′×4")])
def test_generations_are_told_apart(generation: int, label: str) -> None:
    assert place_label(WorkerUp(t=0, worker="h:1", instance=1, slot=3, generation=generation)) == label


def test_sentences_name_workers_by_their_places(outage: History) -> None:
    worker = a_worker(outage, 2, 1)
    fleet = fleet_of(replaced(outage, worker, 25.0, 26.2), PROVIDERS, END)
    assert fleet.named(f"{worker} told {worker}0, not {worker}09") == f"2.1 told 2.1′, not {worker}09"


def test_requests_per_second_add_up_to_the_requests(scenario: Scenario, outage: History) -> None:
    requests = request_samples(Case(scenario, 7, outage))
    rates = rates_of(requests, PROVIDERS, END)
    totals = (rates.failed, rates.unknown, rates.rejected, *rates.answered.values())
    assert sum(map(sum, totals)) * rates.width_s == pytest.approx(len(requests))
    assert rates.answered["anthropic"][5] == 0
    assert rates.answered["openai"][25] == 0


def test_an_answer_of_an_unlisted_provider_is_not_lost() -> None:
    rates = rates_of([RequestSample(1.0, "ok", 0.1, "elsewhere", 1)], PROVIDERS, 10.0)
    assert sum(rates.answered["other"]) * rates.width_s == pytest.approx(1)


def test_a_request_on_the_very_edge_of_the_run_is_counted_once_or_not_at_all() -> None:
    requests = [RequestSample(t, "ok", 0.1, "openai", 1) for t in (-0.5, 0.0, 9.999, 10.0)]
    rates = rates_of(requests, PROVIDERS, 10.0)
    assert sum(rates.answered["openai"]) * rates.width_s == pytest.approx(2)


def test_quantiles_need_enough_requests() -> None:
    few = [RequestSample(1.0, "ok", 0.1, "openai", 1)] * 4
    assert all(math.isnan(q) for q in quantiles_of(few, 60.0).p50)
    assert quantiles_of(few * 2, 60.0).p50[0] == pytest.approx(0.1)


def test_requests_without_an_end_have_no_latency() -> None:
    assert all(math.isnan(q) for q in quantiles_of([RequestSample(1.0, "info", None, None, 0)] * 9, 60.0).p99)


@pytest.mark.parametrize("end", [0.5, 1.0, 60.0, 61.5, 3600.0, 1e6])
def test_bins_are_few_and_cover_the_run(end: float) -> None:
    rates = rates_of([], PROVIDERS, end)
    assert 1 <= len(rates.edges) - 1 <= 81
    assert rates.edges[-1] >= end - 1e-6
    assert rates.width_s == bin_width(end)


def test_only_faults_that_were_in_effect_have_a_band(outage: History) -> None:
    more = a_scenario(faults=[OUTAGE, {"at": "40s", "target": "redis", "inject": "flush"}])
    assert [(b.fault, b.start, b.end) for b in bands_of(more, outage, END)] == [(0, 15.0, 35.0)]


def test_a_fault_that_never_healed_lasts_to_the_end(scenario: Scenario) -> None:
    history = History([FaultInjected(t=15.0, fault=0, target="provider/openai", inject="error")])
    assert [(b.start, b.end) for b in bands_of(scenario, history, END)] == [(15.0, END)]


def test_overlapping_faults_are_in_different_lanes() -> None:
    both = a_scenario(faults=[OUTAGE, {"at": "20s", "for": "5s", "target": "redis", "inject": "pause"}])
    assert {b.lane for b in bands_of(both, an_outage(both), END)} == {0, 1}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (OUTAGE, "openai: error 503"),
        ({**OUTAGE, "share": "25%"}, "openai: error 503, share 25%"),
        (
            {"at": "1s", "for": "2s", "target": "redis", "inject": "partition", "workers": "2 of 12"},
            "redis: partition, 2 of 12 workers",
        ),
        ({"at": "1s", "target": "worker", "inject": "kill", "workers": "1.3"}, "worker: kill, worker 1.3"),
        (
            {"at": "1s", "for": "2s", "target": "redis", "inject": "latency", "add": "100ms"},
            "redis: latency +100ms, all workers",
        ),
        (
            {"at": "1s", "for": "9s", "target": "provider/openai", "inject": "rate_limit", "retry_after": "8s"},
            "openai: rate limit, retry after 8s",
        ),
        (
            {"at": "1s", "for": "9s", "target": "provider/openai", "inject": "latency", "add": "2s", "grows": True},
            "openai: latency +2s, grows",
        ),
    ],
)
def test_a_fault_is_told_in_a_few_words(fault: dict[str, object], words: str) -> None:
    assert describe(a_scenario(faults=[fault]).faults[0]) == words
