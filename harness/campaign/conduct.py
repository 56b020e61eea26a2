"""A campaign, from its plan to what it leaves behind: the corpus first, then seeds on a pool until the budget is used.

Rules
-----
* At most a window of batches is under way and only totals are kept, so memory does not grow with the number of seeds.
* The state is written every few seconds. A stop (Ctrl-C) awaits nothing but what runs; a resumption takes up the rest.
* The share that is run twice goes to a process of its own, whose sets have another order. The first seed of a campaign
  (or shard) is of that share, so that a short one looks at determinism too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from harness.campaign.batch import Batch, hashes_of, run_batch
from harness.campaign.corpus import Kept, Replayed, replay
from harness.campaign.plan import Plan
from harness.campaign.pool import FIRST_HASH_SEED, LOOK_S, SECOND_HASH_SEED, Pool, closing, processes
from harness.campaign.state import State
from harness.campaign.twice import difference

SAVE_S = 5.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How much to do: seeds in all (None: as many as there is time for), and seconds (None: as long as it takes)."""

    seeds: int | None
    time_s: float | None


@dataclass
class Campaign:
    """A campaign under way. `replayed`: what the corpus came to; `interrupted`: by the user."""

    plan: Plan
    state: State
    folder: Path
    replayed: list[Replayed] = field(default_factory=list)
    interrupted: bool = False

    @property
    def known(self) -> frozenset[str]:
        """The causes that the corpus already shows."""
        return frozenset(r.cause for r in self.replayed if r.cause is not None)


Told = Callable[[Campaign], None]
"""Is told of progress, often."""


def conduct(
    campaign: Campaign,
    *,
    corpus: dict[str, Kept],
    budget: Budget,
    jobs: int,
    tell: Told,
    make: Callable[[], Executor] | None = None,
) -> None:
    """Run `campaign` until its budget is used or the user has enough. `make`: an executor, if not processes here."""
    began, before_s = time.monotonic(), campaign.state.wall_s
    pools: list[Pool] = []
    saved = began
    try:
        with closing(pools):
            pool = Pool(make or (lambda: processes(jobs, FIRST_HASH_SEED)), jobs)
            pools.append(pool)
            _replay_corpus(campaign, corpus, pool)
            second = Pool(lambda: processes(1, SECOND_HASH_SEED), 1) if campaign.plan.twice else None
            pools += [second] if second is not None else []
            search = _Search(campaign, budget, pool, second)
            while search.step():
                campaign.state.wall_s = before_s + time.monotonic() - began
                saved = _saved(campaign, saved)
                tell(campaign)
    except KeyboardInterrupt:
        campaign.interrupted = True
    campaign.state.wall_s = before_s + time.monotonic() - began
    campaign.state.write(campaign.folder)


def _saved(campaign: Campaign, last: float) -> float:
    """Write the state if that was long ago; when it was."""
    now = time.monotonic()
    if now - last < SAVE_S:
        return last
    campaign.state.write(campaign.folder)
    return now


def _replay_corpus(campaign: Campaign, corpus: dict[str, Kept], pool: Pool) -> None:
    for name, kept in corpus.items():
        pool.give(name, replay, name, kept)
    while not pool.idle:
        campaign.replayed += [result for _, result in pool.results()]
    campaign.replayed.sort(key=lambda r: r.name)


class _Search:
    """The search through the seeds. A batch counts once its second runs, if it has any, are done too."""

    def __init__(self, campaign: Campaign, budget: Budget, pool: Pool, second: Pool | None) -> None:
        self._campaign, self._pool, self._second = campaign, pool, second
        self._state = campaign.state
        self._until = time.monotonic() + budget.time_s if budget.time_s is not None else None
        self._todo = self._state.todo(budget.seeds)
        self._more = True
        self._once: dict[int, Batch] = {}  # batches whose second runs are under way

    def step(self) -> bool:
        """Begin what there is room for and take what has come; whether there is more to do."""
        self._fill()
        for number, batch in self._pool.results():
            self._came(number, batch)
        if self._second is not None and not self._second.idle:
            for number, hashes in self._second.results(LOOK_S if self._pool.idle else 0.0):
                self._compare(number, self._once.pop(number), hashes)
        return self._more or not self._pool.idle or bool(self._once)

    def _fill(self) -> None:
        while self._more and self._pool.has_room and len(self._once) < 2 * self._pool.slots:
            number, seeds = next(self._todo, (None, range(0)))
            if number is None:
                self._more, self._state.finished = False, True
            elif self._until is not None and time.monotonic() >= self._until:
                self._more = False
            else:
                self._pool.give(
                    number, partial(run_batch, begins=self._state.begins(seeds)), self._campaign.plan, seeds
                )

    def _came(self, number: int, batch: Batch) -> None:
        if batch.hashes and self._second is not None:
            self._once[number] = batch
            self._second.give(number, hashes_of, self._campaign.plan, tuple(batch.hashes))
        else:
            self._count(number, batch)

    def _compare(self, number: int, batch: Batch, hashes: dict[int, str]) -> None:
        for seed, sha256 in batch.hashes.items():
            self._state.compared += 1
            if hashes[seed] != sha256:
                self._state.different.append(difference(self._campaign.plan, seed))
        self._count(number, batch)

    def _count(self, number: int, batch: Batch) -> None:
        self._state.totals.add(batch.totals)
        self._state.finish(number, batch.totals.seeds)
