"""Whether a seed run twice is the same: in two fresh processes, whose sets and dictionaries of strings have different
orders. Determinism is checked, not claimed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import zip_longest

from harness.campaign.one import tally
from harness.campaign.plan import Plan
from harness.campaign.pool import FIRST_HASH_SEED, SECOND_HASH_SEED, processes
from harness.campaign.state import Different

_END = b"(the end)"
_SAME = "(two further runs were the same: it does not happen every time)"


def difference(plan: Plan, seed: int) -> Different:
    """Where two runs of a seed first differ."""
    with processes(1, FIRST_HASH_SEED) as one, processes(1, SECOND_HASH_SEED) as other:
        return first_difference(seed, _lines(one, plan, seed), _lines(other, plan, seed))


def first_difference(seed: int, one: Sequence[bytes], other: Sequence[bytes]) -> Different:
    """The first line that two histories do not share."""
    for number, (a, b) in enumerate(zip_longest(one, other, fillvalue=_END), 1):
        if a != b:
            return Different(seed, number, a.decode().strip(), b.decode().strip())
    return Different(seed, 0, _SAME, _SAME)


def _lines(pool: ProcessPoolExecutor, plan: Plan, seed: int) -> list[bytes]:
    return pool.submit(lines_of, plan, seed).result()


def lines_of(plan: Plan, seed: int) -> list[bytes]:
    """A seed's history."""
    return list(tally(plan, seed)[1].lines())
