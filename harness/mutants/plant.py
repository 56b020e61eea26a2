"""How a defect is planted: a method of the production code is replaced while a simulation runs, and put back after it.

The production code knows nothing of this. A mutant that finds no longer what it replaces is an error, not a mutant
that happens to change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from flexiai.sync.scripts import Script

Part = Literal["breaker", "router", "sync", "probe"]
Make = Callable[[Any], Any]
"""From the original (as it stands in its class or module) to what takes its place."""


class Swap(Protocol):
    """Replaces `owner.name` by `make(original)` until the mutant is taken out again."""

    def __call__(self, owner: Any, name: str, make: Make) -> None: ...


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted defect.

    id      its stable name
    part    where it is
    defect  what the code then does wrong
    seen    where such a defect was met in the field
    plant   puts it in
    plan    the campaign that has the occasions for it
    """

    id: str
    part: Part
    defect: str
    seen: str
    plant: Callable[[Swap], None]
    plan: str

    @contextmanager
    def planted(self) -> Iterator[None]:
        """The defect is in the code while the context is open. Not to be nested, nor used beside another simulation."""
        with ExitStack() as stack:
            self.plant(lambda owner, name, make: _swap(stack, owner, name, make))
            yield


class Catalogue:
    """Mutants by their ids, in the order in which they were written."""

    def __init__(self) -> None:
        self._mutants: dict[str, Mutant] = {}

    def mutant(
        self, id_: str, part: Part, *, defect: str, seen: str, plan: str = "mutants"
    ) -> Callable[[Callable[[Swap], None]], Mutant]:
        """Decorates the function that plants it."""

        def add(plant: Callable[[Swap], None]) -> Mutant:
            if id_ in self._mutants:
                raise ValueError(f"there are two mutants called {id_}")
            self._mutants[id_] = Mutant(id_, part, defect, seen, plant, plan)
            return self._mutants[id_]

        return add

    def __iter__(self) -> Iterator[Mutant]:
        return iter(self._mutants.values())

    def __len__(self) -> int:
        return len(self._mutants)

    def named(self, id_: str) -> Mutant:
        """The mutant of that name; KeyError if there is none."""
        return self._mutants[id_]


def replaced(script: Script, *changes: tuple[str, str]) -> Script:
    """A script with each of these texts, which must stand in it once, replaced by the other."""
    text = script.text
    for old, new in changes:
        if text.count(old) != 1:
            raise AttributeError(f"{old!r} stands {text.count(old)} times in the script: the mutant is out of date")
        text = text.replace(old, new)
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _swap(stack: ExitStack, owner: Any, name: str, make: Make) -> None:
    try:
        original = vars(owner)[name]
    except KeyError:
        raise AttributeError(f"{owner.__name__} has no {name} of its own: the mutant is out of date") from None
    setattr(owner, name, make(original))
    stack.callback(setattr, owner, name, original)
