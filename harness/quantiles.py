"""Quantiles by nearest rank: the smallest sample that at least a share q of all samples does not exceed.

So a quantile is always a value that was measured, p99 of fewer than 100 samples is their maximum, and nothing is
interpolated that never happened.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def quantile(samples: Iterable[float], q: float) -> float | None:
    """The q-quantile (0 < q <= 1) of samples in any order; None of no samples."""
    return of_sorted(sorted(samples), q)


def of_sorted(ordered: Sequence[float], q: float) -> float | None:
    """The q-quantile of samples in ascending order; None of no samples."""
    if not 0 < q <= 1:
        raise ValueError(f"expected 0 < q <= 1, not {q}")
    if not ordered:
        return None
    # An exact product such as 0.07 * 100 must not become 7.000000000000001 and move one rank up.
    rank = math.ceil(round(q * len(ordered), 9))
    return ordered[max(rank, 1) - 1]
