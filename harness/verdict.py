"""From a history to a verdict.

How a run's verdict follows from what was found
-----------------------------------------------
* `fail`: an invariant was violated, or an expectation not met.
* `unknown`, without such: the run broke off; no request was sent; a fault left no evidence of an effect; an expectation
  names a figure that could not be measured; a checker crashed; or an invariant is unknown that the run *owed* an
  occasion (below).
* `pass`: none of these. An invariant that had nothing to check is then listed as "not exercised", and a liveness check
  that the run was too short to decide as undecided; neither counts against a run that did not owe it.
* `expect: fail` turns pass into fail and fail into pass; unknown stays unknown.

What a fault owes (`owed`)
--------------------------
A scenario that puts a fault on something claims to test what the invariants say about it. So:

* a full outage of a provider (error, rate_limit, hang, refuse; share 1) in which some worker had `failure_threshold`
  failing attempts owes `refuse-when-open`; if it also healed during the load, `recovers`; and, if Redis was never at
  fault, `converges`;
* a provider that an operator forced open or drained owes `refuse-when-open`; forced open and past it, `recovers`;
* a fault on Redis or on the network that lasts owes `redis-off-path`; a kill, restart or failover of Redis, or a pause
  or partition longer than it takes to notice a dead subscription, that healed during the load, owes `rejoins`;
* a killed or restarted worker owes `joiner-knows` if it fell into a full outage that began at least SETTLED_S before
  and lasted at least SETTLED_S longer, with Redis in reach.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.checkers import CHECKERS, Case, Finding
from harness.checkers.finding import Verdict
from harness.checkers.windows import Window
from harness.faults import ANSWERS, OperatorDrain, OperatorOpen
from harness.history import History, RequestSent, RunEnded
from harness.metrics import measure
from harness.scenario import Expectation, Scenario

SETTLED_S = 5.0


@dataclass(frozen=True, slots=True)
class ExpectationFinding:
    """What became of one line of `expect:`. `actual`: the metric's value, None if it could not be measured."""

    text: str
    metric: str
    actual: float | None
    verdict: Verdict

    @property
    def matters(self) -> bool:
        """Whether it keeps the run from passing."""
        return self.verdict != "pass"

    @property
    def summary(self) -> str:
        """The finding in a line."""
        return f"expected {self.text}; " + ("not measured" if self.actual is None else f"it was {self.actual:.6g}")


@dataclass(frozen=True, slots=True)
class FaultFinding:
    """Whether one fault changed anything. `evidence`: what, and how often; None (verdict unknown): nothing was seen."""

    target: str
    inject: str
    at_s: float
    for_s: float | None
    evidence: str | None
    count: int
    verdict: Verdict

    @property
    def matters(self) -> bool:
        """Whether it keeps the run from passing."""
        return self.verdict != "pass"

    @property
    def summary(self) -> str:
        """The finding in a line."""
        return f"fault {self.inject} on {self.target} at {self.at_s:g} s: {self.evidence or 'no effect was seen'}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A run, judged. `reason` is the verdict in a sentence: the first violation in time, if there is one.

    `findings` has every checker but those the scenario switched off; `faults` one entry per fault of the scenario.
    """

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...]
    metrics: dict[str, float | None]
    expectations: tuple[ExpectationFinding, ...]
    faults: tuple[FaultFinding, ...]


def judge(scenario: Scenario, seed: int, history: History) -> Judgement:
    """Check, measure and weigh one run."""
    return judge_case(Case(scenario, seed, history))


def judge_case(case: Case, *, figures: bool = True) -> Judgement:
    """Check, measure and weigh one run; without `figures` nothing is measured that no expectation asks for."""
    scenario = case.scenario
    owes = owed(case)
    found = (c.check(case) for c in CHECKERS if c.id not in scenario.without)
    findings = tuple(replace(f, owed=True) if f.id in owes else f for f in found)
    expect = scenario.expect if scenario.expect != "fail" else ()
    metrics = measure(case) if figures or expect else {}
    expectations = tuple(_expectation(e, metrics) for e in expect)
    faults = tuple(_fault(case, i) for i in range(len(scenario.faults)))
    verdict, reason = _weigh(case, findings, expectations, faults)
    if scenario.expect == "fail":
        verdict, reason = _inverted(verdict, reason)
    return Judgement(verdict, reason, findings, metrics, expectations, faults)


def owed(case: Case) -> frozenset[str]:
    """The invariants that this run's faults should have given an occasion."""
    return frozenset(invariant for window in case.windows for invariant in _owed_by(case, window))


def _owed_by(case: Case, window: Window) -> Iterator[str]:
    name, of = window.fault.name, window.fault.of
    if of == "provider" and _full_outage(case, window):
        yield "refuse-when-open"
        if window.healed:
            yield "recovers"
            if not case.redis_windows:
                yield "converges"
    elif name == "stall" and getattr(window.fault, "after_tokens", 0) > 0:
        yield "no-failover-after-first-token"
    elif isinstance(window.fault, OperatorOpen | OperatorDrain):
        yield "refuse-when-open"
        if window.healed and isinstance(window.fault, OperatorOpen):
            yield "recovers"
    elif window.fault.on_redis and not window.fault.instant:
        yield "redis-off-path"
        lasting = window.end - window.start > 2 * case.bounds.notice
        if window.healed and (name in ("kill", "restart", "failover") or (name in ("pause", "partition") and lasting)):
            yield "rejoins"
    elif of == "worker" and name in ("kill", "restart") and _into_outage(case, window):
        yield "joiner-knows"


def _full_outage(case: Case, window: Window) -> bool:
    """Whether the fault took all answers away, and some worker saw enough of it to open its breaker."""
    if window.fault.name not in ANSWERS or getattr(window.fault, "share", 1.0) < 1.0:
        return False
    failed = Counter(
        a.started.worker
        for a in case.index.attempts
        if a.failed and a.started.provider == window.fault.provider and window.start <= a.started.t <= window.end
    )
    return max(failed.values(), default=0) >= case.scenario.breaker.failure_threshold


def _into_outage(case: Case, window: Window) -> bool:
    a, b = window.start - SETTLED_S, window.end + SETTLED_S
    if any(w.span.meets(a, b) for w in case.redis_windows):
        return False
    return any(w.start <= a and b <= w.end and w.fault.of == "provider" and _full_outage(case, w) for w in case.windows)


def _expectation(expected: Expectation, metrics: dict[str, float | None]) -> ExpectationFinding:
    actual = metrics.get(expected.metric)
    if actual is None:
        return ExpectationFinding(expected.text, expected.metric, None, "unknown")
    return ExpectationFinding(expected.text, expected.metric, actual, "pass" if expected.holds(actual) else "fail")


def _fault(case: Case, index: int) -> FaultFinding:
    fault = case.scenario.faults[index]
    windows = [w for w in case.windows if w.index == index]
    count = sum(w.effect_count for w in windows)
    evidence = _evidence(windows) if count else None
    verdict: Verdict = "pass" if evidence else "unknown"
    at_s = windows[0].start if windows and fault.after is not None else fault.at
    return FaultFinding(fault.target, fault.inject, at_s, fault.for_, evidence, count, verdict)


def _evidence(windows: list[Window]) -> str:
    """Each kind of effect with the highest count it reached, over all times that the fault came."""
    most: Counter[str] = Counter()
    for window in windows:
        own: dict[str, int] = {}
        for effect in window.effects:
            own[effect.what] = max(effect.count, own.get(effect.what, 0))
        most.update(own)
    return "; ".join(f"{what} ({count})" for what, count in most.items() if count)


def _weigh(
    case: Case,
    findings: tuple[Finding, ...],
    expectations: tuple[ExpectationFinding, ...],
    faults: tuple[FaultFinding, ...],
) -> tuple[Verdict, str]:
    violations = sorted((v for f in findings for v in f.violations), key=lambda v: v.t)
    if violations:
        return "fail", f"{violations[0].rule}, at {violations[0].t:.3f} s: {violations[0].text}"
    missed = next((e for e in expectations if e.verdict == "fail"), None)
    if missed is not None:
        return "fail", missed.summary
    unknown = next(_unknowns(case, findings, expectations, faults), None)
    if unknown is not None:
        return "unknown", unknown
    held = sum(f.verdict == "pass" for f in findings)
    return (
        "pass",
        f"{held} invariants held, {len(findings) - held} had no occasion, "
        f"{len(expectations)} {'expectation' if len(expectations) == 1 else 'expectations'} met",
    )


def _unknowns(
    case: Case,
    findings: tuple[Finding, ...],
    expectations: tuple[ExpectationFinding, ...],
    faults: tuple[FaultFinding, ...],
) -> Iterator[str]:
    """Every reason why this run says nothing for certain."""
    if not case.complete:
        ended = case.all(RunEnded)
        yield f"the run broke off: {ended[-1].why if ended and ended[-1].why else 'it has no end'}"
    if not case.all(RequestSent):
        yield "no request was sent"
    yield from (f.summary for f in faults if f.matters)
    yield from (f.summary for f in findings if f.matters)
    yield from (e.summary for e in expectations if e.matters)


def _inverted(verdict: Verdict, reason: str) -> tuple[Verdict, str]:
    if verdict == "unknown":
        return verdict, reason
    if verdict == "pass":
        return "fail", f"expected to show a known weakness, but passed: {reason}"
    return "pass", f"failed, as expected of a known weakness: {reason}"
