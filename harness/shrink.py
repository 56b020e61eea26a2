"""A failing run to the smallest scenario that still fails the same check: greedily, one move after the other, until
none is left that may stay or the runs are used up.

Rules
-----
* The same check: the rule whose violation came first, or the expectation that was not met. Nothing else counts.
* Every candidate is a scenario file, checked like any other: one that is not valid costs no run.
* The seed stays: the same load, the same targets, as far as the smaller scenario has them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from harness import scenario_file
from harness.campaign.causes import first_violation
from harness.campaign.one import SeedRun, simulate
from harness.checkers import CHECKERS
from harness.metrics import METRICS
from harness.scenario import Scenario
from harness.shrink_moves import MOVES, Document
from harness.yaml_file import ScenarioError

MOST_RUNS = 200
Told = Callable[[int, Scenario], None]
"""Is told of each run: how many so far, and the smallest scenario found."""

Run = Callable[[Scenario, int], SeedRun]


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smallest failing scenario found. `check`: what it fails; `ran`: its run; `runs`: how many it took."""

    scenario: Scenario
    seed: int
    check: str
    ran: SeedRun
    runs: int


def failed_check(ran: SeedRun) -> str | None:
    """What a run failed: a rule, or an expectation's text; None: nothing."""
    first = first_violation(ran.judged)
    if first is not None:
        return first.rule
    return next((e.text for e in ran.judged.expectations if e.verdict == "fail"), None)


def fails(ran: SeedRun, check: str) -> bool:
    """Whether a run fails that check."""
    rules = {v.rule for f in ran.judged.findings for v in f.violations}
    return check in rules or any(e.text == check and e.verdict == "fail" for e in ran.judged.expectations)


def shrink(scenario: Scenario, seed: int, *, runs: int = MOST_RUNS, tell: Told = lambda n, s: None) -> Shrunk | None:
    """The smallest scenario that fails what `scenario` fails; None if it fails nothing."""
    first = simulate(scenario, seed, figures=bool(scenario.expect))
    check = failed_check(first)
    if check is None:
        return None
    search = _Search(first, check, runs, tell)
    search.run()
    return Shrunk(search.ran.scenario, seed, check, search.ran, search.runs)


@dataclass
class _Search:
    """The search. `ran`: the smallest failing run so far."""

    ran: SeedRun
    check: str
    most: int
    tell: Told
    runs: int = 1

    def __post_init__(self) -> None:
        self._document = document_of(self.ran.scenario)
        self._tried = {_text(self._document)}

    def run(self) -> None:
        """Make it smaller until nothing helps any more."""
        helped = True
        while helped and self.runs < self.most:
            helped = False
            for move in MOVES:
                helped = self._exhaust(move) or helped

    def _exhaust(self, move: Callable[[Document], Any]) -> bool:
        """One move, as often as it helps; whether it did."""
        helped = False
        while self._helped_once(move):
            helped = True
        return helped

    def _helped_once(self, move: Callable[[Document], Any]) -> bool:
        return any(self._stays(candidate) for candidate in move(self._document))

    def _stays(self, candidate: Document) -> bool:
        text = _text(candidate)
        if text in self._tried or self.runs >= self.most:
            return False
        self._tried.add(text)
        try:
            scenario = valid(candidate)
        except ScenarioError:
            return False
        self.runs += 1
        ran = simulate(scenario, self.ran.seed, figures=bool(scenario.expect))
        self.tell(self.runs, self.ran.scenario)
        if ran.broke is not None or not fails(ran, self.check):
            return False
        self._document, self.ran = candidate, ran
        return True


def document_of(scenario: Scenario) -> Document:
    """A scenario as its file has it, without what is so by default."""
    return scenario.written()


def written(shrunk: Shrunk, *, name: str, description: str) -> str:
    """The file: a scenario to read, to run in simulation and to run for real."""
    document = {**document_of(shrunk.scenario), "name": name, "description": description}
    first = (
        next(v for f in shrunk.ran.judged.findings for v in f.violations)
        if first_violation(shrunk.ran.judged)
        else None
    )
    why = f"# {shrunk.check}: {first.text}\n" if first is not None else f"# Not met: {shrunk.check}\n"
    lines = [f"# Fails with --seed {shrunk.seed}.\n", why, _yaml(document)]
    return "".join(lines)


def valid(document: Document) -> Scenario:
    """A document as a scenario. Raises ScenarioError."""
    return scenario_file.parse(_text(document), "candidate", METRICS, [c.id for c in CHECKERS])


def _text(document: Document) -> str:
    return yaml.safe_dump(document, sort_keys=True)


def _yaml(document: Document) -> str:
    """Block style above, one line for each small thing in it, as people write scenarios."""
    lines = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = "".join(f"\n  - {_flow(item)}" for item in value)
            lines.append(f"{key}:{items}")
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).replace("\n...", "").strip()
