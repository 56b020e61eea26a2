"""A campaign comes to the same, however it is carried out: in one go, stopped and resumed, in shards, over dead pools."""

import gc
import os
import signal
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from harness.campaign import batch as batches
from harness.campaign import summary, twice
from harness.campaign.batch import run_batch
from harness.campaign.conduct import Budget, Campaign, conduct
from harness.campaign.pool import Pool, processes
from harness.campaign.state import Shard, State, read
from harness.campaign.totals import Totals
from harness.world import WorldError
from tests.harness.campaign.plans import parse

PLAN = parse()
ONCE = parse().model_copy(update={"twice": 0.0})


class Inline(Executor):
    """Does the work at once, in this process. `die_at`: pieces of work at which the whole pool dies."""

    def __init__(self, die_at=()):
        self.begun = 0
        self.die_at = die_at

    def submit(self, work, *args):
        self.begun += 1
        future = Future()
        if self.begun in self.die_at:
            future.set_exception(BrokenProcessPool("a process died"))
        else:
            future.set_result(work(*args))
        return future


def a_campaign(folder, plan=ONCE, shard=None):
    return Campaign(plan, State(plan="p", code="c", first_seed=1, shard=shard or Shard()), folder)


def carried_out(folder, seeds=60, *, executor=None, tell=lambda _: None, campaign=None, **more):
    campaign = campaign or a_campaign(folder, **more)
    conduct(campaign, corpus={}, budget=Budget(seeds, None), jobs=1, tell=tell, make=lambda: executor or Inline())
    return campaign


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What 60 seeds come to."""
    return carried_out(tmp_path_factory.mktemp("whole")).state.totals


def test_a_campaign_runs_every_seed_of_its_budget(whole, tmp_path):
    assert whole.seeds == 60
    assert whole.passed + whole.failures + whole.unknown + whole.breakages == 60
    assert sum(whole.injected.values()) >= 60
    assert whole.paths["request-failed-over"] > 0


def test_real_processes_come_to_the_same_as_this_one(whole, tmp_path):
    campaign = a_campaign(tmp_path, PLAN)
    conduct(campaign, corpus={}, budget=Budget(60, None), jobs=2, tell=lambda _: None)
    assert campaign.state.totals == whole
    assert campaign.state.finished
    assert campaign.state.compared == len({1, *(s for s in range(1, 61) if batches.is_run_twice(PLAN, s))}) > 1
    assert campaign.state.different == []


RARELY = parse().model_copy(update={"twice": 1e-9})


@pytest.mark.parametrize(("shard", "first"), [(Shard(), 1), (Shard(2, 2), 21)])
def test_the_first_seed_is_run_twice_in_any_case_and_counted_once(tmp_path, monkeypatch, shard, first):
    again = []
    monkeypatch.setattr("harness.campaign.conduct.processes", lambda jobs, hash_seed: Inline())
    monkeypatch.setattr(
        "harness.campaign.conduct.hashes_of", lambda plan, seeds: again.extend(seeds) or batches.hashes_of(plan, seeds)
    )
    stopped = carried_out(tmp_path, 22, plan=RARELY, shard=shard)
    resumed = Campaign(RARELY, read(tmp_path), tmp_path)
    assert carried_out(tmp_path, 42, campaign=resumed).state.totals.seeds > stopped.state.totals.seeds
    assert again == [first]
    assert resumed.state.compared == 1


def test_a_stopped_and_resumed_campaign_comes_to_the_same(whole, tmp_path):
    def enough(campaign):
        if campaign.state.totals.seeds >= 20:
            raise KeyboardInterrupt

    stopped = carried_out(tmp_path, tell=enough)
    assert stopped.interrupted
    assert not stopped.state.finished
    resumed = Campaign(ONCE, read(tmp_path), tmp_path)
    assert 20 <= resumed.state.totals.seeds < 60
    assert carried_out(tmp_path, campaign=resumed).state.totals == whole


def test_shards_add_up(whole, tmp_path):
    total = Totals()
    for index in (1, 2):
        total.add(carried_out(tmp_path, shard=Shard(index, 2)).state.totals)
    assert total == whole


def test_a_time_budget_ends_a_campaign_that_could_go_on(tmp_path):
    campaign = a_campaign(tmp_path)
    conduct(campaign, corpus={}, budget=Budget(None, 0.01), jobs=1, tell=lambda _: None, make=Inline)
    assert campaign.state.totals.seeds > 0
    assert not campaign.state.finished


def test_what_a_dead_pool_had_under_way_is_run_again_and_counted_once(whole, tmp_path):
    executors = iter([Inline(die_at={2}), Inline(die_at={1}), Inline()])
    campaign = a_campaign(tmp_path)
    conduct(campaign, corpus={}, budget=Budget(60, None), jobs=2, tell=lambda _: None, make=lambda: next(executors))
    assert campaign.state.totals == whole


def test_a_pool_that_keeps_dying_is_given_up(tmp_path):
    with pytest.raises(WorldError, match="died"):
        carried_out(tmp_path, executor=Inline(die_at=range(1000)))


def test_a_real_pool_survives_the_kill_of_a_process():
    pool = Pool(lambda: processes(2, 1), 2)
    try:
        pool.give("victim", os.getpid)
        ((_, pid),) = pool.results(30.0)
        os.kill(pid, signal.SIGKILL)
        for number in range(4):
            pool.give(number, run_batch, ONCE, range(number, number + 1))
        found = {}
        while not pool.idle:
            found.update(pool.results())
        assert {n: b.totals.seeds for n, b in found.items()} == {0: 1, 1: 1, 2: 1, 3: 1}
    finally:
        pool.close()


def test_a_seed_that_comes_out_differently_is_told_with_the_first_line_that_differs(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.campaign.conduct.hashes_of", lambda plan, seeds: dict.fromkeys(seeds, "other"))
    monkeypatch.setattr(
        "harness.campaign.conduct.difference", lambda plan, seed: twice.first_difference(seed, [b"a", b"b"], [b"a"])
    )
    monkeypatch.setattr("harness.campaign.conduct.processes", lambda jobs, hash_seed: Inline())
    campaign = carried_out(tmp_path, 20, plan=PLAN)
    assert campaign.state.different
    first = campaign.state.different[0]
    assert (first.line, first.first, first.second) == (2, "b", "(the end)")
    assert summary.summarise(campaign)["twice"]["different"][0]["line"] == 2


def test_two_histories_that_are_the_same_again_are_said_to_be_so():
    assert twice.first_difference(1, [b"a"], [b"a"]).line == 0


def test_memory_does_not_grow_with_the_seeds():
    def engines():
        return sum(type(o).__name__ == "Engine" for o in gc.get_objects())

    before = engines()
    run_batch(ONCE, range(1, 6))
    assert engines() == before
