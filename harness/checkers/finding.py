"""What a checker says, and how it comes to say it.

* `checked` counts antecedents: the occasions on which the invariant had something to forbid or to demand.
* A violation makes `fail`. Without one, no occasion at all makes `unknown` (vacuous), and so does an occasion that
  could not be decided, because the run ended too soon. Only occasions that were decided, all of them, make `pass`.
* A checker that crashes says `unknown` and why; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from harness.checkers.case import Case
from harness.history import Entry

Verdict = Literal["pass", "fail", "unknown"]
Why = Literal["decided", "vacuous", "undecided", "crashed"]

KEPT = 50
"""Violations kept in a finding; `Finding.found` counts all of them."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach of an invariant. `t`: seconds since the run began; `proof`: the few entries that show it."""

    rule: str
    t: float
    worker: str | None
    provider: str | None
    text: str
    proof: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What one checker found. `note` says why it is unknown, if it is; `owed`: something in the scenario should have
    given it occasions, so that to be unknown counts against the run (`harness.verdict` decides)."""

    id: str
    verdict: Verdict
    checked: int
    violations: tuple[Violation, ...] = ()
    found: int = 0
    why: Why = "decided"
    note: str | None = None
    owed: bool = False

    @property
    def matters(self) -> bool:
        """Whether it keeps the run from passing."""
        return self.verdict == "fail" or (self.verdict == "unknown" and (self.owed or self.why == "crashed"))

    @property
    def summary(self) -> str:
        """The finding in a line."""
        if self.violations:
            more = f" (and {self.found - 1} more)" if self.found > 1 else ""
            return f"{self.id}: {self.violations[0].text}{more}"
        if self.verdict == "unknown":
            return f"{self.id}: {'unknown' if self.why != 'vacuous' else 'not exercised'}: {self.note}"
        return f"{self.id}: held on {self.checked} occasions"


class Tally:
    """A finding in the making: what a checker writes to."""

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self.checked = 0
        self.violations: list[Violation] = []
        self.open: list[str] = []

    def violate(
        self, t: float, text: str, *proof: Entry | None, worker: str | None = None, provider: str | None = None
    ) -> None:
        """Note a breach."""
        shown = tuple(e for e in proof if e is not None)
        self.violations.append(Violation(self.rule, t, worker, provider, text, shown))

    def undecided(self, why: str) -> None:
        """Note an occasion of which the history does not say how it ended."""
        self.open.append(why)

    def finding(self, vacuous: str) -> Finding:
        """The verdict; `vacuous` is what to say when there was nothing to check."""
        if self.violations:
            first = tuple(sorted(self.violations, key=lambda v: v.t)[:KEPT])
            return Finding(self.rule, "fail", self.checked, first, len(self.violations))
        if self.open:
            return Finding(self.rule, "unknown", self.checked, why="undecided", note=self.open[0])
        if not self.checked:
            return Finding(self.rule, "unknown", 0, why="vacuous", note=vacuous)
        return Finding(self.rule, "pass", self.checked)


@dataclass(frozen=True, slots=True)
class Checker:
    """One invariant of docs/invariants.md.

    id       its stable name
    holds    what must hold, in a sentence
    vacuous  what it means that there was nothing to check
    look     goes through a case and writes to a tally
    """

    id: str
    holds: str
    vacuous: str
    look: Callable[[Case, Tally], None]

    def check(self, case: Case) -> Finding:
        """Whether the invariant held in this case. Never raises."""
        tally = Tally(self.id)
        try:
            self.look(case, tally)
        except Exception as error:  # whatever it is, the other findings still count
            note = f"the checker crashed: {type(error).__name__}: {error}"
            return Finding(self.id, "unknown", tally.checked, why="crashed", note=note)
        return tally.finding(self.vacuous)
