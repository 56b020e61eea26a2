"""However a campaign is ended, its processes end with it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.exit_codes import INTERRUPTED
from tests.harness.campaign.plans import TINY

BOUND_S, LOOK_S = 60.0, 0.05
POOL = 4
"""Two that search, one that runs some seeds again, and what multiprocessing needs."""


@pytest.fixture
def campaign(tmp_path):
    """A campaign without end in a process of its own, at work; killed if it is still there in the end."""
    Path(tmp_path, "tiny.yaml").write_text(TINY)
    command = [sys.executable, "-m", "harness.cli", "campaign", "tiny.yaml", "--seeds", "10000000", "--jobs", "2"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=tmp_path, env={"PYTHONPATH": str(root)}) as process:
        try:
            yield process, _its_pool(process)
        finally:
            process.kill()


def _its_pool(process):
    until = time.monotonic() + BOUND_S
    while len(children := psutil.Process(process.pid).children(recursive=True)) < POOL:
        assert time.monotonic() < until, "its pool did not start"
        time.sleep(LOOK_S)
    return children


def test_asked_to_end_it_says_what_was_done(campaign, tmp_path):
    process, pool = campaign
    process.send_signal(signal.SIGTERM)

    assert process.wait(BOUND_S) == INTERRUPTED
    assert list(tmp_path.glob("runs/campaigns/tiny/*/campaign.json"))
    assert psutil.wait_procs(pool, BOUND_S)[1] == []


def test_killed_it_leaves_nobody_behind(campaign):
    process, pool = campaign
    process.kill()

    assert psutil.wait_procs(pool, BOUND_S)[1] == []
