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
    """What is kept in some folders, by file name; RunDirError or ScenarioError names one that cannot be read."""
    files = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    found = {path.name: _kept(path) for path in files}
    return {name: kept for name, kept in found.items() if kept is not None}


def _kept(path: Path) -> Kept | None:
    """None for the capsule of a real run."""
    document = Source(text_of(path), str(path)).data
    if not isinstance(document, dict) or "scenario" not in document:
        return Kept(scenario_file.load(path, METRICS, [c.id for c in CHECKERS]), SEED)
    capsule = read_capsule(path)
    return Kept(capsule.scenario, capsule.seed) if capsule.mode == "sim" else None


def replay(name: str, kept: Kept) -> Replayed:
    """Run it again and judge it."""
    ran = simulate(kept.scenario, kept.seed)
    if ran.broke is not None:
        return Replayed(name, "unknown", f"the world broke: {ran.broke}", ran.broke)
    return Replayed(name, ran.judged.verdict, ran.cause, ran.judged.reason)
