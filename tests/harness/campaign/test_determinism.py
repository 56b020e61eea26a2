"""A seed is a seed: whatever the process did before, and wherever its objects lie in memory."""

import subprocess
import sys

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


def test_a_seed_makes_the_same_history_in_another_process_after_other_seeds():
    assert hashes(SEEDS, 1) == hashes([*SEEDS[1:], SEEDS[0]], 2)
