"""What many seeds came to. A few counters and examples, whatever the number of seeds; the order in which parts are
added changes nothing, so that shards, resumed runs and any number of processes come to the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec

KEPT = 3
"""Failing seeds kept of each cause: the lowest."""

MOST_CAUSES = 200
"""Causes told apart; a flood of others is one more."""

OTHERS = "further causes"
K = TypeVar("K")


class Failure(msgspec.Struct, frozen=True, order=True):
    """A seed that failed. `reason`: its first violation; `faults`: the kinds that were injected."""

    seed: int
    reason: str
    sha256: str
    faults: tuple[str, ...]


class Group(msgspec.Struct):
    """The failures of one cause. `common`: kinds of fault that all of them had."""

    seeds: int = 0
    common: tuple[str, ...] = ()
    first: list[Failure] = []

    def add(self, other: Group) -> None:
        """Take in another part's failures of the same cause."""
        common = set(self.common) & set(other.common) if self.seeds else other.common
        self.common = tuple(sorted(common))
        self.seeds += other.seeds
        self.first = sorted({*self.first, *other.first})[:KEPT]


class Totals(msgspec.Struct):
    """Counters over seeds.

    simulated_ms    simulated time
    occasions       by invariant: how often it had something to forbid or demand; `exercised`: in how many seeds
    injected        by kind of fault; `effective`: how many of them changed something
    paths           by rare path: in how many seeds it was taken
    unknowns        by reason: seeds that said nothing for certain
    failed, broken  seeds by cause: of a violation, and of the harness's own
    """

    seeds: int = 0
    passed: int = 0
    unknown: int = 0
    simulated_ms: int = 0
    requests: int = 0
    events: int = 0
    occasions: dict[str, int] = {}
    exercised: dict[str, int] = {}
    injected: dict[str, int] = {}
    effective: dict[str, int] = {}
    paths: dict[str, int] = {}
    unknowns: dict[str, int] = {}
    failed: dict[str, Group] = {}
    broken: dict[str, Group] = {}

    @property
    def failures(self) -> int:
        """How many seeds failed."""
        return sum(group.seeds for group in self.failed.values())

    @property
    def breakages(self) -> int:
        """In how many seeds the harness itself broke."""
        return sum(group.seeds for group in self.broken.values())

    def add(self, other: Totals) -> None:
        """Take in another part."""
        for name in ("seeds", "passed", "unknown", "simulated_ms", "requests", "events"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("occasions", "exercised", "injected", "effective", "paths", "unknowns"):
            count(getattr(self, name), getattr(other, name).items())
        _join(self.failed, other.failed)
        _join(self.broken, other.broken)


def count(into: dict[str, int], counts: Iterable[tuple[str, int]]) -> None:
    """Add counts, each to its own."""
    for name, number in counts:
        into[name] = into.get(name, 0) + number


def _join(into: dict[str, Group], groups: dict[str, Group]) -> None:
    for cause, group in groups.items():
        known = cause if cause in into or len(into) < MOST_CAUSES else OTHERS
        into.setdefault(known, Group()).add(group)
