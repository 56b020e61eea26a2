"""How long to wait before the next try: longer each time, never in step with the other workers."""

from __future__ import annotations

from random import Random


class Backoff:
    """Waits that double from `min_s` to `max_s`, each spread over the upper half of itself."""

    def __init__(self, min_s: float, max_s: float, rng: Random) -> None:
        self._min_s = min_s
        self._max_s = max(min_s, max_s)
        self._rng = rng
        self._wait_s = min_s

    def next(self) -> float:
        """Seconds to wait now."""
        wait_s = self._wait_s * self._rng.uniform(0.5, 1.0)
        self._wait_s = min(self._max_s, 2 * self._wait_s)
        return wait_s

    def reset(self) -> None:
        """It worked: begin again from the shortest wait."""
        self._wait_s = self._min_s
