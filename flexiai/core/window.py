"""How often something happened over the last while.

Rules
-----
* Time is cut into steps of `span_s / STEPS`; a step is forgotten as a whole, once it began `span_s` ago. What is seen
  is therefore the last `span_s`, less at most one step.
* `add` and `total` cost O(1), whatever happened and however long nothing did.
* Time that goes backwards counts as now.
"""

from __future__ import annotations

STEPS = 10


class Window:
    """A count that forgets. All times are seconds of one clock."""

    __slots__ = ("_counts", "_newest", "_step_s", "_total")

    def __init__(self, span_s: float) -> None:
        self._step_s = span_s / STEPS
        self._counts = [0] * STEPS
        self._newest = 0
        self._total = 0

    def add(self, now: float) -> None:
        """It happened."""
        step = now // self._step_s
        if step > self._newest:
            self._forget(int(step))
        self._counts[self._newest % STEPS] += 1
        self._total += 1

    def total(self, now: float) -> int:
        """How often it happened in the last `span_s`."""
        step = now // self._step_s
        if step > self._newest:
            self._forget(int(step))
        return self._total

    def clear(self) -> None:
        """Forget everything."""
        self._counts = [0] * STEPS
        self._total = 0

    def _forget(self, step: int) -> None:
        for passed in range(self._newest + 1, min(step, self._newest + STEPS) + 1):
            slot = passed % STEPS
            self._total -= self._counts[slot]
            self._counts[slot] = 0
        self._newest = step
