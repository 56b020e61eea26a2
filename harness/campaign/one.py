"""One seed: drawn, run in simulation, checked, and boiled down to what a campaign counts."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from harness.campaign.causes import cause_of, shape
from harness.campaign.draw import draw
from harness.campaign.plan import Plan
from harness.campaign.totals import Failure, Group, Totals, count
from harness.checkers import Case
from harness.coverage import reached
from harness.garbage import collected_young
from harness.history import History, RequestSent
from harness.run import run
from harness.scenario import Scenario
from harness.session import make_world
from harness.verdict import Judgement, judge_case
from harness.world import Unsupported

NO_LOGS = Path()
_ALONE = threading.Lock()
"""A simulation sets hooks that belong to the whole interpreter, and a pool may have threads: one at a time."""


@dataclass(frozen=True, slots=True)
class SeedRun:
    """A simulated run, judged. `broke`: why the harness itself failed, if it did."""

    scenario: Scenario
    seed: int
    history: History
    judged: Judgement
    case: Case
    wall_s: float
    broke: str | None

    @property
    def cause(self) -> str | None:
        """What it failed of; None: of nothing."""
        return cause_of(self.judged, (p.name for p in self.scenario.providers))


def simulate(scenario: Scenario, seed: int, *, figures: bool = False) -> SeedRun:
    """Run a scenario in simulation and judge it."""
    with _ALONE, collected_young():
        done = run(make_world("sim", scenario, seed, NO_LOGS), scenario, seed, lambda *_: None)
    case = Case(scenario, seed, done.history)
    return SeedRun(scenario, seed, done.history, judge_case(case, figures=figures), case, done.wall_s, done.error)


def tally(plan: Plan, seed: int) -> tuple[Totals, History]:
    """Run a plan's seed: what it counts for, and its history."""
    try:
        ran = simulate(draw(plan, seed), seed)
    except (ValueError, Unsupported) as error:
        return _broken(seed, f"cannot be run: {shape(str(error))}", str(error)), History([])
    if ran.broke is not None:
        return _broken(seed, f"the world broke: {shape(ran.broke)}", ran.broke), ran.history
    return _counted(ran), ran.history


def kinds_in(scenario: Scenario) -> tuple[str, ...]:
    """The kinds of fault in a scenario, each once."""
    return tuple(sorted({f"{fault.of}/{fault.name}" for fault in scenario.faults}))


def _counted(ran: SeedRun) -> Totals:
    judged, scenario = ran.judged, ran.scenario
    totals = Totals(
        seeds=1,
        simulated_ms=round(1000 * max(ran.case.end, 0.0)),
        requests=len(ran.case.all(RequestSent)),
        events=len(ran.history.entries),
        occasions={f.id: f.checked for f in judged.findings if f.checked},
        exercised={f.id: 1 for f in judged.findings if f.checked},
        paths=dict.fromkeys(sorted(reached(ran.case)), 1),
    )
    for fault, found in zip(scenario.faults, judged.faults, strict=True):
        kind = f"{fault.of}/{fault.name}"
        count(totals.injected, [(kind, 1)])
        count(totals.effective, [(kind, 1 if found.evidence else 0)])
    _weigh(ran, totals)
    return totals


def _weigh(ran: SeedRun, totals: Totals) -> None:
    cause, judged = ran.cause, ran.judged
    if cause is not None:
        failure = Failure(ran.seed, judged.reason, ran.history.sha256(), kinds_in(ran.scenario))
        where = totals.failed if judged.verdict == "fail" else totals.broken
        where[cause] = Group(1, failure.faults, [failure])
    elif (why := _why_unknown(judged)) is not None:
        totals.unknown = 1
        totals.unknowns[why] = 1
    else:
        totals.passed = 1


def _why_unknown(judged: Judgement) -> str | None:
    """Why a run says nothing for certain. Not for a fault without effect: it was drawn, nobody claims to have tested
    anything by it, and `effective` counts it."""
    owed = next((f for f in judged.findings if f.matters), None)
    if owed is not None:
        return f"{owed.id} {owed.why}"
    idle = any(f.matters for f in judged.faults)
    return shape(judged.reason) if judged.verdict == "unknown" and not idle else None


def _broken(seed: int, cause: str, reason: str) -> Totals:
    return Totals(seeds=1, broken={cause: Group(1, (), [Failure(seed, reason, "", ())])})
