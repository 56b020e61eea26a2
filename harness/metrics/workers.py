"""The workers themselves."""

from __future__ import annotations

from harness.checkers.case import Case
from harness.quantiles import of_sorted

Figures = dict[str, float | None]


def worker_figures(case: Case) -> Figures:
    """How many there were, and how long they took to be ready."""
    lives = list(case.lives.values())
    ready = [w for w in lives if w.ready is not None]
    took = sorted(w.ready - w.began for w in ready if w.ready is not None)
    return {
        "workers": len(lives),
        "ready_workers": len(ready),
        "unsynced_starts": sum(not w.synced for w in ready),
        "ready.p50": of_sorted(took, 0.5),
        "ready.max": of_sorted(took, 1.0),
    }
