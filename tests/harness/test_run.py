"""The driver plays a scenario's faults at their times in any world, and stops the world whatever happens."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.history import FaultHealed, FaultInjected, History, RunEnded, RunStarted
from harness.run import run
from harness.scenario_file import parse
from harness.world import Unsupported, WorldError
from tests.harness.small import SMALL


class Instant(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer: no waiting."""

    def __init__(self):
        super().__init__()
        self.at = 0.0

    def time(self):
        return self.at

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.at = max(self.at, self._scheduled[0]._when)
        super()._run_once()


class Stage:
    """A world in which nothing happens but what it is told to note."""

    mode = "sim"

    def __init__(self, breaks_at=None, refuses=None):
        self.told = []
        self.entries = []
        self.record = self.entries.append
        self.breaks_at = breaks_at
        self._refuses = refuses

    def listen(self, hear):
        self.hear = hear

    def refuses(self, fault):
        return self._refuses

    def execute(self, drive):
        self.loop = Instant()
        try:
            return self.loop.run_until_complete(drive())
        finally:
            self.loop.close()

    def now(self):
        return round(self.loop.at, 9)  # as the simulated world does

    def check(self):
        if self.breaks_at is not None and self.now() >= self.breaks_at:
            raise WorldError("it broke")

    async def start(self):
        self.told.append((self.now(), "start"))

    async def start_load(self):
        self.told.append((self.now(), "load"))

    async def inject(self, index, places):
        self.told.append((self.now(), f"inject {index}"))
        return ("x",)

    async def heal(self, index):
        self.told.append((self.now(), f"heal {index}"))

    async def finish_load(self, timeout_s):
        self.told.append((self.now(), "finish"))

    async def stop(self):
        self.told.append((self.now(), "stop"))

    def history(self):
        return History.of(self.entries)


def scenario(*faults):
    text = SMALL.split("faults:")[0] + "".join(["faults:\n", *(f"  - {f}\n" for f in faults)] if faults else [])
    return parse(text, "x.yaml", {}, [])


def played(world, *faults):
    return run(world, scenario(*faults), 1, lambda *_: None)


def test_faults_are_put_and_healed_at_their_times():
    world = Stage()
    played(
        world,
        "{at: 2s, for: 1s, target: redis, inject: pause}",
        "{at: 1s, target: worker, inject: kill, workers: '1 of 2'}",
        "{at: 4s, target: provider/openai, inject: hang}",
    )
    assert world.told == [
        (0, "start"),
        (0, "load"),
        (1, "inject 1"),
        (2, "inject 0"),
        (3, "heal 0"),
        (4, "inject 2"),
        (6, "heal 2"),
        (6, "finish"),
        (6, "stop"),
    ]


def test_what_heals_makes_way_for_what_comes():
    world = Stage()
    played(world, "{at: 2s, for: 1s, target: redis, inject: pause}", "{at: 3s, for: 1s, target: redis, inject: kill}")
    assert [what for at, what in world.told if at == 3] == ["heal 0", "inject 1"]


def test_the_history_begins_and_ends_with_the_run():
    history = played(Stage(), "{at: 2s, for: 1s, target: redis, inject: pause}").history
    assert isinstance(history.entries[0], RunStarted)
    assert isinstance(history.entries[-1], RunEnded)
    assert history.entries[-1].complete
    assert [e.t for e in history.all(FaultInjected)] == [2]
    assert [e.t for e in history.all(FaultHealed)] == [3]


def test_a_world_that_breaks_is_stopped_and_the_history_says_why():
    world = Stage(breaks_at=2.5)
    outcome = played(world)
    assert outcome.error == "it broke"
    assert world.told[-1][1] == "stop"
    assert outcome.history.entries[-1] == RunEnded(t=2.5, complete=False, why="it broke")


def test_a_fault_that_a_world_cannot_do_is_refused_before_anything_starts():
    world = Stage(refuses="no such clock here")
    with pytest.raises(Unsupported, match="fault 1: no such clock here"):
        played(world, "{at: 2s, for: 1s, target: redis, inject: pause}")
    assert world.told == []


@given(st.integers(0, 59), st.integers(1, 60))
def test_a_run_ends_whatever_decimal_times_its_faults_have(at, length):
    world = Stage()
    played(world, f"{{at: {at / 10}s, for: {length / 10}s, target: redis, inject: pause}}")
    assert [what for _, what in world.told][-4:] == ["inject 0", "heal 0", "finish", "stop"]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 6)), max_size=6))
def test_every_fault_is_put_once_and_healed_once_in_time_order(times):
    world = Stage()
    faults = [f"{{at: {at}s, for: {length}s, target: redis, inject: latency, add: 1ms}}" for at, length in times]
    kept = []
    for n, (at, length) in enumerate(times):
        if all(at >= a + d or a >= at + length for a, d in (times[k] for k in kept)):
            kept.append(n)
    played(world, *(faults[n] for n in kept))
    happened = [what for _, what in world.told if what.startswith(("inject", "heal"))]
    assert sorted(happened) == sorted(f"{verb} {n}" for n in range(len(kept)) for verb in ("inject", "heal"))
    assert [at for at, _ in world.told] == sorted(at for at, _ in world.told)
