"""Series, and how they are laid out as numbers in a row.

Rules
-----
* A counter or a gauge is one number. A histogram is its buckets (each counts what fell into it alone, the last one
  what fell into none), then the sum of what was observed.
* A layout is made once, from the families and the values that their labels can take; a number's place never changes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from flexiai.app.telemetry.catalogue import Family


class Series(msgspec.Struct, frozen=True, array_like=True):
    """One series: a family's name and the values of its labels."""

    family: str
    labels: tuple[str, ...]


class Layout:
    """Which series have which places."""

    def __init__(self, plan: Iterable[tuple[Family, Iterable[tuple[str, ...]]]]) -> None:
        self.series: list[Series] = []
        self.widths: list[int] = []
        self._places: dict[Series, int] = {}
        self.size = 0
        for family, values in plan:
            for labels in values:
                self._add(Series(family.name, labels), width(family))

    def place(self, family: Family, *labels: str) -> int:
        """Where a series begins; KeyError if it is not laid out."""
        return self._places[Series(family.name, labels)]

    def _add(self, series: Series, wide: int) -> None:
        self._places[series] = self.size
        self.series.append(series)
        self.widths.append(wide)
        self.size += wide


def width(family: Family) -> int:
    """How many numbers one series of the family takes."""
    return len(family.buckets) + 2 if family.kind == "histogram" else 1
