"""What past searches have found, replayed before anything is searched: what fails is known, what passes is mended.

A corpus is a folder of capsules, and of scenario files as `harness shrink` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness import scenario_file
from harness.campaign.one import simulate
from harness.checkers import CHECKERS
from harness.metrics import METRICS
from harness.rundir import read_capsule
from harness.scenario import Scenario
from harness.yaml_file import Source
from harness.yaml_file import read as text_of

KEYS = "scenario, seed, mode (a capsule), or name, description, duration (a scenario)"
SEED = 1
"""With which a scenario file is run, which has no seed of its own."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A run that was once worth keeping."""

    scenario: Scenario
    seed: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a kept run came to. `cause`: None if nothing was violated."""

    name: str
    verdict: str
    cause: str | None
    reason: str


def read(folders: Iterable[Path]) -> dict[str, Kept]:
    """What is kept in some folders, by file name (or path, for a name that two have).

    RunDirError or ScenarioError names what cannot be read, and what was expected.
    """
    found: dict[str, Kept] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.y*ml"))):
        kept = _kept(path)
        if kept is not None:
            found[path.name if path.name not in found else str(path)] = kept
    return found


def _kept(path: Path) -> Kept | None:
    """None for the capsule of a real run."""
    if "scenario" not in Source(text_of(path), str(path), KEYS).data:
        return Kept(scenario_file.load(path, METRICS, [c.id for c in CHECKERS]), SEED)
    capsule = read_capsule(path)
    return Kept(capsule.scenario, capsule.seed) if capsule.mode == "sim" else None


def replay(name: str, kept: Kept) -> Replayed:
    """Run it again and judge it."""
    ran = simulate(kept.scenario, kept.seed)
    if ran.broke is not None:
        return Replayed(name, "unknown", f"the world broke: {ran.broke}", ran.broke)
    return Replayed(name, ran.judged.verdict, ran.cause, ran.judged.reason)
