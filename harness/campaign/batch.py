"""What a process of the pool does: a few seeds in a row, so that starting and telling cost little."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from multiprocessing.process import BaseProcess
from random import Random

import msgspec

from harness.campaign.one import tally
from harness.campaign.plan import Plan
from harness.campaign.totals import Totals
from harness.exit_codes import INTERRUPTED


class Batch(msgspec.Struct):
    """What some seeds came to. `hashes`: of the histories of those that are run twice."""

    totals: Totals
    hashes: dict[int, str]


def prepare() -> None:
    """Ready a process of the pool: a Ctrl-C is its parent's to answer, and however that ends, it ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: BaseProcess) -> None:
    parent.join()
    os._exit(INTERRUPTED)  # it waits for work in another thread, which would never come


def run_batch(plan: Plan, seeds: Sequence[int], *, begins: bool = False) -> Batch:
    """Run seeds, one after the other. `begins`: they are a campaign's or a shard's first, of which one is run twice."""
    totals, hashes = Totals(), {}
    for seed in seeds:
        one, history = tally(plan, seed)
        totals.add(one)
        if is_run_twice(plan, seed) or (begins and plan.twice and seed == seeds[0]):
            hashes[seed] = history.sha256()
    return Batch(totals, hashes)


def hashes_of(plan: Plan, seeds: Sequence[int]) -> dict[int, str]:
    """The histories' hashes, by seed: a second run."""
    return {seed: tally(plan, seed)[1].sha256() for seed in seeds}


def is_run_twice(plan: Plan, seed: int) -> bool:
    """Whether a seed is among those that are run a second time, in another process."""
    return Random(f"{plan.name}/twice/{seed}").random() < plan.twice
