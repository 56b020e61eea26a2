"""How requests are asked: by the seed and their ids alone, so that both worlds ask alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import RequestDone
from harness.scenario import Scenario
from harness.workload import PLAIN, Manners, arrivals

NAMES = [f"r0-{n}" for n in range(1, 2001)]
CLOSED = {"users": 3, "pace": "1s"}
OPEN = {"arrival": "poisson", "rate": "10/s"}


def scenario(*load: Mapping[str, Any]) -> Scenario:
    spec = {"name": "a", "latency": "100ms", "tokens": 11, "token_interval": "10ms"}
    return Scenario.model_validate(
        {"name": "test", "description": "a test", "duration": "10s", "providers": [spec], "load": list(load)}
    )


@pytest.mark.parametrize("load", [OPEN, CLOSED])
def test_a_share_of_the_requests_are_streams_and_a_share_of_the_senders_leave(load: Mapping[str, Any]) -> None:
    manners = Manners(scenario({**load, "stream": "30%", "cancel": "10%"}), 7)
    asked = [manners.of(name) for name in NAMES]
    streams = [manner for manner in asked if manner.stream]
    leaving = [manner for manner in asked if manner.leaves_after_s is not None]
    assert len(streams) / len(asked) == pytest.approx(0.3, abs=0.05)
    assert len(leaving) / len(asked) == pytest.approx(0.1, abs=0.03)
    assert all(0 <= (m.leaves_after_s or 0.0) < (0.2 if m.stream else 0.1) for m in asked)
    assert max(m.leaves_after_s or 0.0 for m in streams) > 0.1


def test_a_request_is_asked_the_same_way_whenever_it_is_looked_at() -> None:
    what = scenario({**OPEN, "stream": "50%", "cancel": "50%"})
    forth, back = Manners(what, 7), Manners(what, 7)
    assert [forth.of(name) for name in NAMES] == [back.of(name) for name in reversed(NAMES)][::-1]
    other = Manners(what, 8)
    assert [forth.of(name) for name in NAMES] != [other.of(name) for name in NAMES]


def test_each_load_has_its_own_shares() -> None:
    manners = Manners(scenario(OPEN, {**CLOSED, "stream": "100%"}), 7)
    assert manners.of("r0-1") is PLAIN
    assert manners.of("r1-2-1").stream


RAMPS = st.tuples(st.integers(0, 60), st.integers(0, 60)).filter(any)


@given(RAMPS, st.integers(0, 4), st.integers(1, 6), st.sampled_from(["poisson", "constant"]))
def test_a_ramp_sends_within_its_time_and_in_order(rates: tuple[int, int], at: int, lasts: int, arrival: str) -> None:
    rate, to = rates
    load = {"arrival": arrival, "rate": f"{rate}/s", "to": f"{to}/s", "at": f"{at}s", "for": f"{lasts}s"}
    sent = list(arrivals(scenario(load), 3))
    assert sent == sorted(sent, key=lambda one: one[0])
    assert all(at <= t <= at + lasts for t, _ in sent)
    assert [name for _, name in sent] == [f"r0-{n}" for n in range(1, len(sent) + 1)]


@given(RAMPS, st.integers(1, 6))
def test_a_constant_ramp_sends_as_many_as_the_area_under_it(rates: tuple[int, int], lasts: int) -> None:
    rate, to = rates
    sent = list(
        arrivals(scenario({"arrival": "constant", "rate": f"{rate}/s", "to": f"{to}/s", "for": f"{lasts}s"}), 3)
    )
    assert len(sent) == pytest.approx((rate + to) / 2 * lasts, abs=1)


def test_a_ramp_is_steeper_at_its_high_end() -> None:
    up = [t for t, _ in arrivals(scenario({"arrival": "poisson", "rate": "0/s", "to": "200/s"}), 3)]
    early = sum(t < 5 for t in up)
    assert early / len(up) == pytest.approx(0.25, abs=0.05)


def test_a_ramp_that_stays_is_an_even_load() -> None:
    even = arrivals(scenario({"arrival": "constant", "rate": "10/s"}), 3)
    ramp = arrivals(scenario({"arrival": "constant", "rate": "10/s", "to": "10/s"}), 3)
    assert [t for t, _ in ramp][:99] == pytest.approx([t for t, _ in even][:99])


def done(request: str, result: str = "fail", **more: Any) -> RequestDone:
    return RequestDone(t=1.0, request=request, result=result, **more)


def test_what_failed_is_sent_again_as_often_as_was_said_each_time_later() -> None:
    manners = Manners(scenario({**OPEN, "retry": 2, "backoff": "200ms"}), 7)
    assert manners.again(done("r0-7")) == (0.2, "r0-7.1")
    assert manners.again(done("r0-7.1", "info")) == (0.4, "r0-7.2")
    assert manners.again(done("r0-7.2")) is None


def test_who_asks_again_heeds_retry_after() -> None:
    manners = Manners(scenario({**OPEN, "retry": 1}), 7)
    assert manners.again(done("r0-7", retry_after_s=3.0)) == (3.0, "r0-7.1")


@pytest.mark.parametrize("result", ["ok", "left"])
def test_who_was_answered_or_left_does_not_ask_again(result: str) -> None:
    assert Manners(scenario({**OPEN, "retry": 1}), 7).again(done("r0-7", result)) is None


def test_nobody_asks_again_unless_told_so() -> None:
    assert Manners(scenario(CLOSED), 7).again(done("r0-2-1")) is None
