"""A capsule's mutant, in the code again while the capsule is run again."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from harness.mutants.catalogue import MUTANTS
from harness.mutants.plant import Mutant
from harness.rundir import RunDirError
from harness.yaml_file import did_you_mean


def planted(mutant: str | None) -> AbstractContextManager[None]:
    """Plants a mutant by its name, or nothing. RunDirError if the catalogue has none of that name."""
    return nullcontext() if mutant is None else _named(mutant).planted()


def told(mutant: str) -> str:
    """What a person is told of what is planted. RunDirError if the catalogue has none of that name."""
    return f"{mutant} ({_named(mutant).defect})"


def _named(mutant: str) -> Mutant:
    if mutant not in MUTANTS:
        raise RunDirError(
            f"the capsule's mutant {mutant!r} is not in the catalogue{did_you_mean(mutant, list(MUTANTS))}"
        )
    return MUTANTS[mutant]
