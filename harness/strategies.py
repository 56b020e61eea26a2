"""Hypothesis strategies for scenarios and their parts: small by default, so that a run takes some ten milliseconds.

Rules
-----
* What is drawn lies within the bounds of a campaign plan, SMALL unless told otherwise: a campaign file's bounds serve
  here as well (`scenarios(harness.campaign.plan.load(…))`).
* Everything drawn is valid and can be written to a scenario file: no two faults that cannot both be, none beyond the
  end, nobody targeted who is not there.
* What matters least goes first when an example shrinks: faults vanish, then providers and workers, then values fall to
  the lower ends of their bounds, and parameters to their defaults.
* All faults are over when the safety phase is, so that the fleet has the liveness phase to find back.

    @given(scenarios(), seeds())
    def test_no_invariant_is_violated(scenario, drawn, seed):  # with the fixture of harness.pytest_plugin
        assert scenario(drawn, seed=seed).verdict != "fail"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from pydantic import BaseModel

from flexiai.types import BreakerConfig, RequestConfig, SyncConfig
from harness.campaign.draw import Document, bounded
from harness.campaign.health import in_time
from harness.campaign.plan import Plan, Section
from harness.campaign.spread import Spread
from harness.fault_strategies import Faults, values
from harness.faults import Fault
from harness.scenario import Load, ProviderSpec, RedisSpec, Scenario, Topology
from harness.units import format_duration, parse_duration

__all__ = [
    "SMALL",
    "breakers",
    "faults",
    "loads",
    "one_fault",
    "providers",
    "requests",
    "scenarios",
    "seeds",
    "syncs",
    "topologies",
    "values",
]

SMALL = Plan.model_validate(
    {
        "name": "small",
        "description": "Up to four workers, three providers and three faults, for some seconds.",
        "safety": "1s..2s",
        "liveness": "1s..2s",
        "topology": {"instances": "1..2", "workers": "1..2"},
        "providers": {"count": "1..3", "latency": "10ms..80ms", "tail": "1.5..4.0"},
        "load": {"rate": "4/s..8/s", "stream": ["0%", "40%", "100%"], "cancel": ["0%", "20%"], "users": "1..4"},
        "breaker": {
            "failure_threshold": "1..3",
            "min_calls": "4..20",
            "reset_timeout": "200ms..600ms",
            "max_reset_timeout": "500ms..1s",
            "half_open_max_calls": "1..2",
            "max_retry_after": "300ms..1s",
            "misconfigured_for": "300ms..1s",
        },
        "request": {
            "attempt_timeout": "300ms..600ms",
            "first_token_timeout": "300ms..600ms",
            "between_tokens_timeout": "100ms..600ms",
            "deadline": "600ms..2s",
            "retries": "0..1",
        },
        "sync": {
            "reconcile_interval": "500ms..1s",
            "health_interval": "500ms..1s",
            "pong_timeout": "200ms..400ms",
            "operation_timeout": "200ms..400ms",
            "join_timeout": "200ms..400ms",
            "reconnect_max": "200ms..400ms",
            "lease": "500ms..1s",
            "probe_idle": "200ms..400ms",
        },
        "faults": {"count": "0..3", "for": "100ms..1s"},
    }
)
"""The bounds of everything here, unless others are given."""

M = TypeVar("M", bound=BaseModel)


def seeds() -> SearchStrategy[int]:
    """Seeds of runs."""
    return st.integers(1, 2**32 - 1)


def topologies(plan: Plan = SMALL) -> SearchStrategy[Topology]:
    """How many instances, with how many workers each."""
    return _made(Topology, _keys(plan.topology, "instances", "workers", "balancer"))


def providers(plan: Plan = SMALL) -> SearchStrategy[tuple[ProviderSpec, ...]]:
    """A scenario's providers: p1, p2 …, by priority or (where the plan has such) all tied."""
    one = _provider(plan)
    some = values(plan.providers.count).flatmap(lambda count: st.tuples(*[one] * int(count)))
    return st.builds(_numbered, some, _perhaps(plan.providers.tied))


def _provider(plan: Plan) -> SearchStrategy[Document]:
    of = plan.providers
    return st.fixed_dictionaries({"latency": _latency(of.latency, of.tail), **_keys(of, "tokens", "token_interval")})


def _numbered(drawn: Sequence[Document], tied: bool) -> tuple[ProviderSpec, ...]:
    named = ({"name": f"p{n}", "priority": 1 if tied else n} | one for n, one in enumerate(drawn, 1))
    return tuple(ProviderSpec.model_validate(one) for one in named)


def _latency(median: Spread, tail: Spread) -> SearchStrategy[Document]:
    def scaled(median: Any, tail: Any) -> Document:
        return {"median": median, "p99": format_duration(round(parse_duration(median) * float(tail), 6))}

    return st.builds(scaled, values(median), values(tail))


def breakers(plan: Plan = SMALL) -> SearchStrategy[BreakerConfig]:
    """Settings of breakers."""
    return _settings("breaker", plan.breaker)


def requests(plan: Plan = SMALL) -> SearchStrategy[RequestConfig]:
    """Settings of requests."""
    return _settings("request", plan.request)


def syncs(plan: Plan = SMALL) -> SearchStrategy[SyncConfig]:
    """Settings of the sync between workers."""
    return _settings("sync", plan.sync)


def _settings(name: str, section: Section) -> SearchStrategy[Any]:
    """A section of settings, by the scenario's own reading of it; what it does not speak of keeps its default."""
    drawn = st.fixed_dictionaries({key: values(spread) for key, spread in section.items()})
    return drawn.map(lambda document: getattr(Scenario.model_validate(_BARE | {name: bounded(document)}), name))


_BARE: Document = {
    "name": "x",
    "description": "x",
    "duration": "1s",
    "providers": [{"name": "x"}],
    "load": [{"arrival": "constant", "rate": "1/s"}],
}


def loads(plan: Plan = SMALL) -> SearchStrategy[Load]:
    """An open load or, where the plan has such, a closed one."""
    of = plan.load
    manner = _keys(of, "stream", "cancel", "retry")
    open_ = st.fixed_dictionaries({"arrival": values(of.arrival), "rate": values(of.rate), **manner})
    closed = st.fixed_dictionaries({"users": values(of.users), "pace": st.sampled_from(["500ms", "1s"]), **manner})
    drawn = st.one_of(*([open_] if of.closed < 1 else []), *([closed] if of.closed > 0 else []))
    return drawn.map(lambda document: Scenario.model_validate(_BARE | {"load": [document]}).load[0])


def scenarios(plan: Plan = SMALL, **parts: SearchStrategy[Any]) -> SearchStrategy[Scenario]:
    """Whole scenarios. `parts` take the place of what is drawn of the plan: `topology=st.just(Topology(…))`.

    Drawn providers answer in time unless a fault keeps them from it; given ones are as they are.
    """
    usual: dict[str, SearchStrategy[Any]] = {
        "topology": topologies(plan),
        "providers": providers(plan),
        "redis": _made(RedisSpec, {"latency": _latency(plan.redis.latency, plan.redis.tail)}),
        "breaker": breakers(plan),
        "request": requests(plan),
        "sync": syncs(plan),
        "load": st.tuples(loads(plan)),
    }
    return _scenarios(Faults(plan), st.fixed_dictionaries(usual | parts), healthy="providers" not in parts)


@st.composite
def _scenarios(draw: DrawFn, /, broken: Faults, parts: SearchStrategy[dict[str, Any]], *, healthy: bool) -> Scenario:
    plan, drawn = broken.plan, draw(parts)
    safety_s, liveness_s = (parse_duration(draw(values(phase))) for phase in (plan.safety, plan.liveness))
    world = Scenario(
        name=plan.name,
        description=f"Drawn within the bounds of {plan.name}.",
        duration=format_duration(round(safety_s + liveness_s, 3)),
        without=dict(plan.without),
        **drawn,
    )
    world = in_time(world) if healthy else world
    return world if "faults" in drawn else world.model_copy(update={"faults": draw(broken.of(world, safety_s))})


def faults(world: Scenario, plan: Plan = SMALL, until_s: float | None = None) -> SearchStrategy[tuple[Fault, ...]]:
    """Faults for the scenario `world`, in time order, all over by `until_s` (None: its end), and fit to be together."""
    return Faults(plan).of(world, world.duration if until_s is None else until_s)


def one_fault(
    kind: type[Fault], world: Scenario, plan: Plan = SMALL, until_s: float | None = None
) -> SearchStrategy[Fault]:
    """A fault of a kind that fits the fleet of the scenario `world`, over by `until_s` (None: its end)."""
    return Faults(plan).one(kind, world, world.duration if until_s is None else until_s)


def _made(part: type[M], drawn: dict[str, SearchStrategy[Any]]) -> SearchStrategy[M]:
    return st.fixed_dictionaries(drawn).map(part.model_validate)


def _keys(section: BaseModel, *names: str) -> dict[str, SearchStrategy[Any]]:
    return {name: values(getattr(section, name)) for name in names}


def _perhaps(share: float) -> SearchStrategy[bool]:
    return st.sampled_from([*([False] if share < 1 else []), *([True] if share > 0 else [])])
