"""How far a campaign has come: written beside its results, so that it can be stopped at any time and taken up again.

Seeds go in batches of a fixed size, of which shard i/n takes every n-th, from the i-th on. What is done is a set of
batches, so that a resumed campaign, one of many processes and the sum of its shards come to the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.campaign.totals import Totals
from harness.rundir import RunDirError

BATCH = 20
FILE = "state.json"


class Shard(msgspec.Struct, frozen=True):
    """A part of a campaign: the `index`-th (from 1) of `of`."""

    index: int = 1
    of: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/5`; ValueError says what was expected."""
        index, _, of = text.partition("/")
        if not (index.isdigit() and of.isdigit() and 1 <= int(index) <= int(of)):
            raise ValueError(f"expected a shard such as 2/5, not {text!r}")
        return cls(int(index), int(of))

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


class Different(msgspec.Struct, frozen=True, order=True):
    """A seed whose second run was not the same. `line`: the first that differs, in either history."""

    seed: int
    line: int
    first: str
    second: str


class State(msgspec.Struct):
    """What was done, and what it came to.

    plan, code   what must not change between a stop and a resumption: the plan's text and the code, hashed
    done         batches of this shard, as ranges [from, to)
    cut          of batches that the end of a budget cut short: how many of their seeds, from the first on, are done
    compared     seeds that were run twice; `different`: those whose second run was another
    """

    plan: str
    code: str
    first_seed: int
    shard: Shard
    batch: int = BATCH
    done: list[tuple[int, int]] = []
    cut: dict[int, int] = {}
    totals: Totals = msgspec.field(default_factory=Totals)
    compared: int = 0
    different: list[Different] = []
    wall_s: float = 0.0
    finished: bool = False

    def todo(self, seeds: int | None) -> Iterator[tuple[int, range]]:
        """(batch, counted in this shard; its seeds) of what is not done, of `seeds` in all (None: without end)."""
        number = 0
        while (start := (number * self.shard.of + self.shard.index - 1) * self.batch) < (seeds or start + 1):
            if not any(a <= number < b for a, b in self.done):
                end = start + self.batch if seeds is None else min(start + self.batch, seeds)
                if (begin := start + self.cut.get(number, 0)) < end:
                    yield number, range(self.first_seed + begin, self.first_seed + end)
            number += 1

    def begins(self, seeds: range) -> bool:
        """Whether a batch's seeds begin with the first of this shard."""
        return seeds.start == self.first_seed + (self.shard.index - 1) * self.batch

    def finish(self, number: int, seeds: int) -> None:
        """Note that many seeds of a batch as done."""
        had = self.cut.pop(number, 0) + seeds
        if had < self.batch:
            self.cut[number] = had
            return
        spans = sorted([*self.done, (number, number + 1)])
        joined = [spans[0]]
        for a, b in spans[1:]:
            if a == joined[-1][1]:
                joined[-1] = (joined[-1][0], b)
            else:
                joined.append((a, b))
        self.done = joined

    def write(self, folder: Path) -> None:
        """Write it, in one step."""
        fresh = folder / f".{FILE}"
        fresh.write_bytes(msgspec.json.encode(self))
        fresh.replace(folder / FILE)


def read(folder: Path) -> State:
    """The state of a campaign's directory. Raises RunDirError."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=State)
    except FileNotFoundError:
        raise RunDirError(f"{folder}: no campaign was begun here") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise RunDirError(f"{folder / FILE}: not the state of a campaign: {error}") from None
