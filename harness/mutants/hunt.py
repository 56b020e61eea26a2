"""A mutant under a campaign: in how many seeds it is found, and by which checkers. Pure counting; no I/O."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from harness.campaign.draw import draw
from harness.campaign.one import simulate
from harness.campaign.plan import Plan
from harness.mutants.catalogue import MUTANTS

UNHARMED = "none"
"""Stands for the code as it is: what is found there is no mutant's doing."""


@dataclass(slots=True)
class Hunt:
    """What some seeds of one mutant came to. `by`: seeds in which each checker objected; `first`: the first seed."""

    mutant: str
    seeds: int = 0
    found: int = 0
    by: Counter[str] = field(default_factory=Counter)
    first: int | None = None

    def add(self, other: Hunt) -> None:
        """Add another part of the same hunt."""
        self.seeds += other.seeds
        self.found += other.found
        self.by += other.by
        self.first = min((s for s in (self.first, other.first) if s is not None), default=None)


def hunt(plan: Plan, mutant: str, seeds: Sequence[int], enough: int = 0) -> Hunt:
    """Run seeds with a mutant in the code; stops after `enough` finds (0: never)."""
    logging.disable(logging.CRITICAL)  # a mutant's complaints are as many as its seeds
    result = Hunt(mutant)
    for seed in seeds:
        objected = _objections(plan, mutant, seed)
        result.seeds += 1
        if objected:
            result.found += 1
            result.by.update(objected)
            result.first = seed if result.first is None else min(result.first, seed)
        if enough and result.found >= enough:
            break
    return result


def _objections(plan: Plan, mutant: str, seed: int) -> set[str]:
    scenario = draw(plan, seed)
    if mutant == UNHARMED:
        ran = simulate(scenario, seed)
    else:
        with MUTANTS[mutant].planted():
            ran = simulate(scenario, seed)
    if ran.broke is not None:
        return {"the world broke"}
    return {finding.id for finding in ran.judged.findings if finding.violations}


def table(hunts: Iterable[Hunt]) -> list[str]:
    """The finds as a Markdown table."""
    lines = ["| mutant | what is wrong | seeds | found in | first | by |", "|---|---|---|---|---|---|"]
    for h in hunts:
        by = ", ".join(f"`{checker}` {count}" for checker, count in h.by.most_common())
        defect = MUTANTS[h.mutant].defect if h.mutant in MUTANTS else "nothing: the code as it is"
        first = "–" if h.first is None else str(h.first)
        lines.append(f"| `{h.mutant}` | {defect} | {h.seeds} | {h.found} | {first} | {by or '**nobody**'} |")
    return lines
