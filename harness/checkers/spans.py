"""Stretches of time, in seconds since the run began."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """From `start` to `end`, both included."""

    start: float
    end: float

    def meets(self, a: float, b: float) -> bool:
        """Whether it shares a moment with [a, b]."""
        return self.start <= b and a <= self.end


def meets_any(spans: Iterable[Span], a: float, b: float) -> bool:
    """Whether any of the spans shares a moment with [a, b]."""
    return any(s.start <= b and a <= s.end for s in spans)
