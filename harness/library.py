"""Scenario and campaign files that come with the harness go by their names: `primary-outage`, `ci`."""

from __future__ import annotations

from pathlib import Path

from harness.yaml_file import Problem, ScenarioError, did_you_mean

LONG = 12
"""Names that are no longer told, all of them, when none of them was meant."""


def find(word: str, library: Path, kind: str) -> Path:
    """The file at a path, or else the one of that name in `library`. ScenarioError: a name that neither has."""
    path, ours = Path(word), library / f"{word}.yaml"
    if path.exists() or path.parent != Path() or path.suffix:
        return path
    if ours.exists():
        return ours
    names = sorted(p.stem for p in library.glob("*.yaml"))
    there = sorted(p.name for p in Path().glob("*.yaml"))
    all_of_them = f"; expected a file or one of {', '.join(names)}" if len(names) <= LONG else ""
    hint = did_you_mean(word, [*names, *there]) or all_of_them
    raise ScenarioError([Problem(word, 0, f"there is no such file, and no {kind} of that name comes along{hint}")])
