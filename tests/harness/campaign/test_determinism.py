"""A seed is a seed: whatever the process did before, and wherever its objects lie in memory."""

import os
import re
import subprocess
import sys

from harness.exit_codes import NONDETERMINISM
from tests.harness.campaign.plans import TINY

PROGRAM = """\
from harness.campaign.batch import hashes_of
from harness.campaign.command import find
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS

ci = load(find("ci"), PATH_IDS, [c.id for c in CHECKERS])
seeds = {order}
found = hashes_of(ci, seeds)
print(*(found[seed] for seed in sorted(seeds)))
"""
SEEDS = [2867, *range(2841, 2867)]


def hashes(order, hash_seed):
    program = PROGRAM.replace("{order}", repr(order))
    env = {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120, env=env
    ).stdout.split()


PLANTED = """\
from harness.sim import chance

seeded = chance.Chance.stream
chance.Chance.stream = lambda self, name: seeded(self, f"{name}/{hash('x')}")
"""
"""Chance that hangs on the order of a process's sets."""


def test_a_campaign_of_a_world_that_is_not_deterministic_says_so_by_its_exit_code_and_shows_where(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(PLANTED)
    (tmp_path / "tiny.yaml").write_text(TINY.replace("twice: 10%", "twice: 20%"))
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "campaign", "tiny.yaml", "--seeds", "20", "--jobs", "1"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == NONDETERMINISM, done.stdout + done.stderr
    told = re.search(r"seed \d+ is not deterministic, first at line \d+ of its history:\n +(.+)\n +(.+)", done.stdout)
    assert told
    assert told[1] != told[2]


def test_a_seed_makes_the_same_history_in_another_process_after_other_seeds():
    assert hashes(SEEDS, 1) == hashes([*SEEDS[1:], SEEDS[0]], 2)
