"""Where a campaign's batches are run: processes on this machine that start once, or a Dask cluster's.

A process of a pool that dies (out of memory, killed) takes its batches with it, and a pool of this machine all that
were under way: they are run again, in a new pool. A result is taken once, so nothing is lost or counted twice.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from harness.campaign.batch import prepare
from harness.world import WorldError

R = TypeVar("R")
LOOK_S = 0.5
"""How long a wait for results may last before the time and the user are looked at."""

FIRST_HASH_SEED, SECOND_HASH_SEED = 1, 2
"""Of the processes that search, and of those that run a share of the seeds again."""

MOST_DEATHS = 5
"""Deaths of a pool that a campaign survives; something must be wrong with more."""


def cores() -> int:
    """How many processes this machine can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes(jobs: int, hash_seed: int) -> ProcessPoolExecutor:
    """`jobs` fresh interpreters with this PYTHONHASHSEED, so that two pools differ in the order of their sets."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = str(hash_seed)
    try:
        pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=prepare)
        for future in [pool.submit(os.getpid) for _ in range(jobs)]:  # all start now, with this seed
            future.result()
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
    return pool


class Pool:
    """An executor with a window of work under way. `make` starts one, at first and whenever it has died."""

    def __init__(self, make: Callable[[], Executor], slots: int) -> None:
        self.slots = slots
        self._make = make
        self._executor = make()
        self._under_way: dict[Future[Any], tuple[Any, Callable[[], Future[Any]]]] = {}
        self._deaths = 0

    @property
    def has_room(self) -> bool:
        """Whether more work keeps it busy: a little more than its slots, so that none waits for us."""
        return len(self._under_way) < 2 * self.slots

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._under_way

    def give(self, name: Any, work: Callable[..., Any], *args: Any) -> None:
        """Begin some work; its result comes under `name`."""

        def begin() -> Future[Any]:
            return self._executor.submit(work, *args)

        self._put(name, begin)

    def results(self, wait_s: float = LOOK_S) -> Iterator[tuple[Any, Any]]:
        """What is done by now, (name, result); waits a little if nothing is. Raises what the work raised."""
        done, _ = wait(self._under_way, timeout=wait_s, return_when=FIRST_COMPLETED)
        for future in done:
            if future not in self._under_way:
                return  # the pool died meanwhile, and this was begun anew
            name, _again = self._under_way[future]
            try:
                result = future.result()
            except BrokenProcessPool as death:
                self._begin_anew(death)
                return
            except CancelledError as error:
                raise WorldError("a cluster dropped its work: its scheduler is gone") from error
            del self._under_way[future]
            yield name, result

    def close(self) -> None:
        """Await what runs, drop what waits, and end every process."""
        self._under_way.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _put(self, name: Any, begin: Callable[[], Future[Any]]) -> None:
        try:
            future = begin()
        except BrokenProcessPool as death:
            self._begin_anew(death)
            future = begin()
        self._under_way[future] = (name, begin)

    def _begin_anew(self, death: BrokenProcessPool) -> None:
        self._deaths += 1
        if self._deaths > MOST_DEATHS:
            raise WorldError(f"processes of the pool died {self._deaths} times: {death}") from death
        self._executor.shutdown(wait=False, cancel_futures=True)
        lost, self._under_way = list(self._under_way.items()), {}
        self._executor = self._make()
        for future, (name, begin) in lost:
            if future.done() and not future.cancelled() and future.exception() is None:
                self._under_way[future] = (name, begin)  # it had come before the end
            else:
                self._put(name, begin)


@contextmanager
def closing(pools: Sequence[Pool]) -> Iterator[None]:
    """Every pool is closed in the end."""
    try:
        yield
    finally:
        for pool in pools:
            pool.close()
