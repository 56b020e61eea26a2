"""A fleet at Hypothesis' mercy: whatever breaks and heals, in whatever order, no invariant is violated.

The machine drives a simulated world by hand, heals everything in the end, lets the fleet find back, and judges what
happened as any run. That it can find something is shown by defects planted in the production code.
"""

import pytest
import yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from harness.campaign.draw import settled_s
from harness.checkers import Case
from harness.faults import ANSWERS, kinds_of
from harness.mutants import MUTANTS
from harness.scenario import Scenario
from harness.sim.by_hand import ByHand
from harness.strategies import seeds
from harness.verdict import judge_case

CI = settings(
    max_examples=60,
    stateful_step_count=12,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
HUNT = settings(CI, max_examples=300, phases=[Phase.generate])
WORLD = {
    "name": "machine",
    "description": "A fleet at Hypothesis' mercy.",
    "duration": "1s",
    "providers": [
        {"name": "p1", "priority": 1, "latency": {"median": "20ms", "p99": "60ms"}},
        {"name": "p2", "priority": 2, "latency": {"median": "20ms", "p99": "60ms"}},
    ],
    "breaker": {"failure_threshold": 2, "reset_timeout": "400ms", "max_reset_timeout": "800ms", "min_calls": 20},
    "request": {"attempt_timeout": "300ms", "first_token_timeout": "300ms", "deadline": "1s"},
    "sync": {
        "reconcile_interval": "700ms",
        "health_interval": "700ms",
        "pong_timeout": "300ms",
        "operation_timeout": "300ms",
        "join_timeout": "300ms",
        "reconnect_max": "300ms",
        "lease": "800ms",
        "probe_idle": "300ms",
    },
    "load": [{"arrival": "constant", "rate": "6/s"}],
}
PROVIDERS = st.sampled_from(["provider/p1", "provider/p2"])
REDIS_LASTS = ("kill", "pause", "failover", "readonly", "noauth")
REDIS_HITS = ("flush", "reset", "subscribers_killed", "overflow")


def fault(target, inject, **parameters):
    kind = kinds_of(target.partition("/")[0])[inject]
    return kind.model_validate({"at": "0s", "target": target, "inject": inject, **parameters})


class Fleet(RuleBasedStateMachine):
    """Workers, Redis and two providers. Redis is the fleet's only store."""

    hand: ByHand | None = None

    @initialize(seed=seeds(), instances=st.integers(1, 2), workers=st.integers(1, 2))
    def start(self, seed, instances, workers):
        self.seed = seed
        topology = {"instances": instances, "workers": workers}
        self.hand = ByHand(Scenario.model_validate(WORLD | {"topology": topology}), seed)

    def put(self, *args, **parameters):
        """Put a fault in effect, unless it cannot be beside what is."""
        one = fault(*args, **parameters)
        if self.hand.can(one):
            self.hand.inject(one)

    def some(self, number):
        places = self.hand.scenario.topology.places
        instance, worker = places[number % len(places)]
        return f"{instance}.{worker}"

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 2.0]))
    def time_passes(self, seconds):
        self.hand.wait(seconds)

    @rule(count=st.integers(1, 8))
    def requests_come(self, count):
        self.hand.send(count, within_s=0.2)
        self.hand.wait(0.2)

    @rule(provider=PROVIDERS, how=st.sampled_from(sorted(ANSWERS)))
    def a_provider_breaks(self, provider, how):
        self.put(provider, how)

    @rule(who=st.integers(0, 3), how=st.sampled_from(["kill", "restart", "deaf"]))
    def a_worker_is_hit(self, who, how):
        self.put("worker", how, workers=self.some(who))

    @rule(who=st.integers(0, 3))
    def a_worker_is_frozen(self, who):
        self.put("worker", "pause", workers=self.some(who))

    @rule(how=st.sampled_from(REDIS_LASTS))
    def redis_breaks(self, how):
        self.put("redis", how)

    @rule(how=st.sampled_from(REDIS_HITS))
    def redis_is_hit(self, how):
        self.put("redis", how)

    @rule(who=st.integers(0, 3), of=st.sampled_from(["redis", "network"]))
    def a_worker_is_cut_off(self, who, of):
        self.put(of, "partition", workers=self.some(who))

    @rule(who=st.integers(0, 3))
    def a_worker_hears_no_news(self, who):
        self.put("redis", "drop_messages", workers=self.some(who))

    @rule(provider=PROVIDERS, who=st.integers(0, 3), how=st.sampled_from(["open", "drain", "reset"]))
    def an_operator_speaks(self, provider, who, how):
        self.put(provider, f"operator_{how}", workers=self.some(who))

    @precondition(lambda self: self.hand is not None and self.hand.standing)
    @rule(which=st.integers(0, 7))
    def something_heals(self, which):
        standing = sorted(self.hand.standing)
        self.hand.heal(standing[which % len(standing)])

    def teardown(self):
        if self.hand is None:
            return
        told = self.hand.end(settle_s=settled_s(self.hand.scenario))
        judged = judge_case(Case(told.scenario, self.seed, told.history), figures=False)
        document = told.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
        assert judged.verdict != "fail", f"{judged.reason}\nseed {self.seed} of\n{yaml.safe_dump(document)}"


def test_whatever_breaks_and_heals_no_invariant_is_violated():
    run_state_machine_as_test(Fleet, settings=CI)


@pytest.mark.parametrize("mutant", ["never-opens", "breaker-not-asked", "joins-without-reading", "deaf-after-loss"])
def test_the_machine_finds_what_is_planted(mutant):
    with MUTANTS[mutant].planted(), pytest.raises(AssertionError, match="seed"):
        run_state_machine_as_test(Fleet, settings=HUNT)
