"""The run that is nearest to a failing one and does not fail of the same: without one of its faults, or of a
neighbouring seed. What the two do not share is where to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from harness.campaign.one import SeedRun, simulate
from harness.explain_words import told
from harness.history import Entry
from harness.scenario import Scenario
from harness.scenario_file import ScenarioError
from harness.shrink import document_of, fails, valid
from harness.shrink_moves import Document, that_can_come

SEEDS = 10
"""How far away a neighbouring seed may be."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A passing run. `difference`: from the failing one, in words."""

    difference: str
    ran: SeedRun


def nearest(scenario: Scenario, seed: int, check: str) -> Neighbour | None:
    """The first that does not fail `check`: without a fault, the last first, or of the next seeds; None: none."""
    for difference, changed, other_seed in _neighbours(scenario, seed):
        ran = simulate(changed, other_seed, figures=True)
        if ran.broke is None and not fails(ran, check):
            return Neighbour(difference, ran)
    return None


def divergence(failing: Sequence[Entry], passing: Sequence[Entry]) -> tuple[str, str] | None:
    """Where two histories part, after their first lines: what each says next; None if nowhere."""
    for a, b in zip_longest(failing, passing):
        if a != b and type(a).__name__ != "RunStarted":
            return _line(a), _line(b)
    return None


def _neighbours(scenario: Scenario, seed: int) -> Iterator[tuple[str, Scenario, int]]:
    for n in reversed(range(len(scenario.faults))):
        fault = scenario.faults[n]
        when = f"at {fault.at:g} s" if fault.after is None else f"{fault.at:g} s after {fault.after.event}"
        changed = _without_fault(document_of(scenario), n)
        if changed is not None:
            others = ", and what waits for it" if len(changed.faults) < len(scenario.faults) - 1 else ""
            yield f"without fault {n + 1}, {fault.inject} of {fault.target} {when}{others}", changed, seed
    for away in range(1, SEEDS + 1):
        yield f"seed {seed + away}", scenario, seed + away


def _without_fault(document: Document, n: int) -> Scenario | None:
    try:
        return valid({**document, "faults": that_can_come(document["faults"][:n] + document["faults"][n + 1 :])})
    except ScenarioError:
        return None


def _line(entry: Entry | None) -> str:
    return "(the end)" if entry is None else f"{entry.t:.6f} s  {told(entry)}"
