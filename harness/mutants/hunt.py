"""A mutant under a campaign: in how many seeds it is found, by which checkers; and what is kept of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import msgspec

from harness.campaign.draw import draw
from harness.campaign.one import SeedRun, simulate
from harness.campaign.plan import Plan
from harness.mutants.catalogue import MUTANTS
from harness.rundir import Record, RunDir, fresh
from harness.scenario import Scenario
from harness.shrink import MOST_RUNS, shrink

UNHARMED = "none"
"""Stands for the code as it is: what is found there is no mutant's doing."""


class Size(msgspec.Struct, frozen=True):
    """What a mutant's first seed was shrunk to, in how many runs."""

    runs: int
    faults: int
    workers: int
    duration_s: float

    @classmethod
    def of(cls, scenario: Scenario, runs: int) -> Size:
        """The size of a scenario."""
        return cls(runs, len(scenario.faults), len(scenario.topology.places), scenario.duration)

    def __str__(self) -> str:
        faults, workers = _plural(self.faults, "fault"), _plural(self.workers, "worker")
        bound = " (the bound)" if self.at_bound else ""
        return f"{self.runs} runs{bound}: {faults}, {workers}, {self.duration_s:.3g} s"

    @property
    def at_bound(self) -> bool:
        """Whether the runs were used up: it might have become smaller still."""
        return self.runs >= MOST_RUNS


class Hunt(msgspec.Struct):
    """What some seeds of one mutant came to. `by`: seeds in which each checker objected; `first`: the first seed;
    `anyway`: seeds that fail without the mutant too, which are no finds."""

    mutant: str
    plan: str = "mutants"
    seeds: int = 0
    found: int = 0
    anyway: int = 0
    by: dict[str, int] = {}
    first: int | None = None
    shrunk: Size | None = None

    def add(self, other: Hunt) -> None:
        """Add another part of the same hunt."""
        self.seeds += other.seeds
        self.found += other.found
        self.anyway += other.anyway
        for checker, count in other.by.items():
            self.by[checker] = self.by.get(checker, 0) + count
        self.first = min((s for s in (self.first, other.first) if s is not None), default=None)

    @property
    def finders(self) -> list[tuple[str, int]]:
        """The checkers that objected, the most frequent first."""
        return sorted(self.by.items(), key=lambda item: (-item[1], item[0]))


def hunt(plan: Plan, mutant: str, seeds: Sequence[int], enough: int = 0) -> Hunt:
    """Run seeds with a mutant in the code; stops after `enough` finds (0: never)."""
    logging.disable(logging.CRITICAL)  # a mutant's complaints are as many as its seeds
    result = Hunt(mutant, plan.name)
    for seed in seeds:
        result.add(_hunt_one(plan, mutant, seed))
        if enough and result.found >= enough:
            break
    return result


def _hunt_one(plan: Plan, mutant: str, seed: int) -> Hunt:
    objected = _objections(plan, mutant, seed)
    if not objected:
        return Hunt(mutant, plan.name, seeds=1)
    if mutant != UNHARMED and _objections(plan, UNHARMED, seed):
        return Hunt(mutant, plan.name, seeds=1, anyway=1)
    return Hunt(mutant, plan.name, seeds=1, found=1, by=dict.fromkeys(objected, 1), first=seed)


def keep(plan: Plan, mutant: str, seed: int, folder: Path) -> None:
    """Write the run directory of a mutant's failing seed: `folder/MUTANT`."""
    logging.disable(logging.CRITICAL)
    with _with(mutant):
        ran = simulate(draw(plan, seed), seed, figures=True)
    _write(ran, mutant, folder, mutant)


def shrunk(plan: Plan, mutant: str, seed: int, folder: Path | None = None) -> Size | None:
    """What a mutant's failing seed shrinks to, also written to `folder/MUTANT-shrunk`; None if it fails nothing."""
    logging.disable(logging.CRITICAL)
    with _with(mutant):
        found = shrink(draw(plan, seed), seed)
    if found is None:
        return None
    if folder is not None:
        _write(found.ran, mutant, folder, f"{mutant}-shrunk")
    return Size.of(found.scenario, found.runs)


def _write(ran: SeedRun, mutant: str, folder: Path, name: str) -> None:
    record = Record(ran.scenario, "sim", ran.seed, ran.history, ran.judged, ran.wall_s, mutant)
    RunDir(fresh(folder, name)).write(record, latest=False)


def _objections(plan: Plan, mutant: str, seed: int) -> set[str]:
    scenario = draw(plan, seed)
    with _with(mutant):
        ran = simulate(scenario, seed)
    if ran.broke is not None:
        return {"the world broke"}
    return {finding.id for finding in ran.judged.findings if finding.violations}


def _with(mutant: str) -> AbstractContextManager[None]:
    return nullcontext() if mutant == UNHARMED else MUTANTS[mutant].planted()


def page(hunts: Iterable[Hunt]) -> list[str]:
    """The finds as a page in Markdown: the code as it is first, then the mutants, those that were found least first."""
    every = sorted(hunts, key=lambda h: (h.mutant != UNHARMED, h.found / max(1, h.seeds), h.mutant))
    planted = [h for h in every if h.mutant != UNHARMED]
    found = sum(bool(h.found) for h in planted)
    return [
        "# Planted defects",
        "",
        "<!-- Made by `harness mutants --shrink --table docs/mutants.md`. -->",
        "",
        f"{found} of {len(planted)} planted defects were found. What each is, where such a one was met, and how it is",
        "planted: `harness mutants --list` and [harness.md](harness.md#planted-defects).",
        "",
        *_objected(every),
        *table(every),
        *_worst(planted),
    ]


def table(hunts: Iterable[Hunt]) -> list[str]:
    """The finds as a Markdown table, in the order given."""
    lines = [
        "| mutant | what is wrong | campaign | found in | first seed | by | first seed shrunk in |",
        "|---|---|---|---|---|---|---|",
    ]
    for h in hunts:
        by = ", ".join(f"`{checker}` {count}" for checker, count in h.finders)
        defect = MUTANTS[h.mutant].defect if h.mutant in MUTANTS else "nothing: the code as it is"
        cells = (f"`{h.mutant}`", defect, f"`{h.plan}`", f"{h.found} of {h.seeds}", _or_none(h.first))
        lines.append(f"| {' | '.join(cells)} | {by or '**nobody**'} | {_or_none(h.shrunk)} |")
    return lines


def _objected(hunts: Sequence[Hunt]) -> list[str]:
    """That the code as it is was objected to, if it was."""
    seeds = sum(h.found if h.mutant == UNHARMED else h.anyway for h in hunts)
    if not seeds:
        return []
    return [f"**The code as it is was objected to**, in {_plural(seeds, 'seed')}: these are no finds.", ""]


def _worst(hunts: Sequence[Hunt]) -> list[str]:
    sizes = [h.shrunk for h in hunts if h.shrunk is not None]
    if not sizes:
        return []
    runs, faults = max(s.runs for s in sizes), max(s.faults for s in sizes)
    workers = max(s.workers for s in sizes)
    most = f"{_plural(faults, 'fault')} and {_plural(workers, 'worker')}"
    told = f"To shrink the first seed of each took at most {runs} runs, and left at most {most}."
    stopped = sum(s.at_bound for s in sizes)
    return ["", told, *([f"At the bound of {MOST_RUNS} runs ended {stopped} of {len(sizes)}."] if stopped else [])]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _or_none(value: object) -> str:
    return "–" if value is None else str(value)
