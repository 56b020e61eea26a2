"""How requests are asked: by the seed and their ids alone, so that both worlds ask alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.scenario import Scenario
from harness.workload import PLAIN, Manners

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
