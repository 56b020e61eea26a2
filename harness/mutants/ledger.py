"""Hunts that are done, one a line in a file, so that a catalogue can be stopped and taken up again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.campaign.plan import Plan
from harness.mutants.hunt import Hunt
from harness.rundir import code_fingerprint


class Terms(msgspec.Struct, frozen=True):
    """What must not have changed for a hunt to count: the code, the plan's text, how many seeds, and how many finds
    were enough; whether the first one was shrunk, and where it was kept."""

    code: str
    plan: str
    seeds: int
    enough: int
    shrunk: bool
    kept: str = ""


class Line(msgspec.Struct, frozen=True):
    """A hunt that is done."""

    terms: Terms
    hunt: Hunt


class Ledger:
    """The file, or none."""

    def __init__(self, file: Path | None) -> None:
        """What is no ledger raises ValueError."""
        self._file = file
        self._lines: list[Line] = []
        if file is not None and file.exists():
            try:
                self._lines = [msgspec.json.decode(line, type=Line) for line in file.read_bytes().splitlines()]
            except msgspec.MsgspecError as error:
                raise ValueError(f"{file}: holds no finished hunts: {error}") from None

    def done(self, mutant: str, plan: Plan, terms: Terms) -> Hunt | None:
        """The hunt for a mutant under a plan, if it is done on these terms."""
        names = (mutant, plan.name)
        return next((x.hunt for x in self._lines if x.terms == terms and (x.hunt.mutant, x.hunt.plan) == names), None)

    def note(self, hunt: Hunt, terms: Terms) -> None:
        """A hunt is done."""
        if self._file is not None:
            with self._file.open("ab") as out:
                out.write(msgspec.json.encode(Line(terms, hunt)) + b"\n")


def terms_of(plan: Plan, *, seeds: int, enough: int, shrunk: bool, kept: str = "") -> Terms:
    """The terms of a hunt that is made now."""
    return Terms(code_fingerprint(), plan.fingerprint, seeds, enough, shrunk, kept)
