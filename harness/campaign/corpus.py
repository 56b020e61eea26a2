"""Capsules of past failures, replayed before anything is searched: what still fails is known, what passes is mended."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.campaign.one import simulate
from harness.rundir import Capsule, read_capsule


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a capsule came to. `cause`: None if nothing was violated."""

    name: str
    verdict: str
    cause: str | None
    reason: str


def read(folder: Path) -> dict[str, Capsule]:
    """The simulated capsules in a folder, by file name; RunDirError names one that cannot be read."""
    capsules = {path.name: read_capsule(path) for path in sorted(folder.glob("*.yaml"))}
    return {name: capsule for name, capsule in capsules.items() if capsule.mode == "sim"}


def replay(name: str, capsule: Capsule) -> Replayed:
    """Run a capsule again and judge it."""
    ran = simulate(capsule.scenario, capsule.seed)
    if ran.broke is not None:
        return Replayed(name, "unknown", f"the world broke: {ran.broke}", ran.broke)
    return Replayed(name, ran.judged.verdict, ran.cause, ran.judged.reason)
