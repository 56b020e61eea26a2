"""A campaign on a real Dask cluster of several processes, one of which is killed in the middle."""

import os
import signal

import pytest

from harness.campaign.batch import run_batch
from harness.campaign.cluster import ClusterExecutor
from harness.campaign.conduct import Budget, Campaign, conduct
from harness.campaign.state import Shard, State
from harness.world import WorldError
from tests.harness.campaign.plans import parse

distributed = pytest.importorskip("distributed", reason="a cluster needs the package distributed")
PLAN = parse().model_copy(update={"twice": 0.0})
SEEDS = 240


@pytest.fixture(scope="module")
def cluster():
    """Three processes of this machine, each replaced by its nanny when it dies."""
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, dashboard_address=None, host="127.0.0.1", silence_logs=50
    ) as cluster:
        yield cluster


def test_nothing_is_lost_or_counted_twice_when_a_worker_is_killed(cluster, tmp_path):
    victims = [worker.pid for worker in cluster.workers.values()][:1]
    progress = []

    def kill_one(campaign):
        progress.append(campaign.state.totals.seeds)
        if campaign.state.totals.seeds and victims:
            os.kill(victims.pop(), signal.SIGKILL)

    executor = ClusterExecutor(cluster.scheduler_address)
    assert executor.slots == 3
    campaign = Campaign(PLAN, State(plan="p", code="c", first_seed=1, shard=Shard()), tmp_path)
    conduct(campaign, corpus={}, budget=Budget(SEEDS, None), jobs=3, tell=kill_one, make=lambda: executor)
    assert victims == []
    assert 0 < next(n for n in progress if n) < SEEDS
    assert campaign.state.totals == run_batch(PLAN, range(1, SEEDS + 1)).totals


def test_a_cluster_that_is_not_there_is_said_so(monkeypatch):
    monkeypatch.setattr("harness.campaign.cluster.WAIT_S", 0.5)
    with pytest.raises(WorldError, match="no Dask scheduler at tcp://127"):
        ClusterExecutor("tcp://127.0.0.1:9")


def test_workers_with_other_code_are_refused(cluster, monkeypatch):
    monkeypatch.setattr("harness.campaign.cluster.code_fingerprint", lambda: "other")
    with pytest.raises(WorldError, match="other code"):
        ClusterExecutor(cluster.scheduler_address)
