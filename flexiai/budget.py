"""How much more than one attempt a request may cost, over all requests of a client.

Rules
-----
* Attempts beyond a request's first are paid for: over the window at most `ratio` of them per request, and never fewer
  than FLOOR, so that a small load can fail over.
* A request counts from the end of its first attempt, since only then can it want another: when a provider hangs, a
  burst fails over long after it came, and must find its own share.
"""

from __future__ import annotations

from flexiai.core.window import Window

FLOOR = 10


class RetryBudget:
    """A client's allowance for further attempts; all times are seconds of one clock."""

    def __init__(self, ratio: float, window_s: float) -> None:
        self._ratio = ratio
        self._requests = Window(window_s)
        self._further = Window(window_s)

    def count_request(self, now: float) -> None:
        """A request's first attempt has ended."""
        self._requests.add(now)

    def affords(self, now: float) -> bool:
        """Whether a further attempt may be made."""
        return self._further.total(now) < max(FLOOR, self._ratio * self._requests.total(now))

    def spend(self, now: float) -> None:
        """A further attempt is made."""
        self._further.add(now)
