"""What a benchmark measured: one number, and what it is to be compared with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value. `bound`: what it has to keep ("<= 1"), or None when it is only reported."""

    name: str
    value: float
    unit: str
    bound: str | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether the bound is kept; without one it is."""
        if self.bound is None:
            return True
        sign, limit = self.bound.split()
        return self.value <= float(limit) if sign == "<=" else self.value >= float(limit)
