"""Children of the harness: what they say, how they end, and what happens to a start of which one part fails."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import psutil
import pytest
import yaml

from harness.history import RequestDone, RequestSent
from harness.real.child import Child, Children, Silent
from harness.real.freezer import Freezer, stopped
from harness.real.load import Writer
from harness.real.locust_process import Load
from harness.real.ports import HOST, HeldPort
from harness.real.world import RealWorld
from harness.scenario import Scenario
from harness.world import WorldError
from tests.harness.small import SMALL

pytestmark = pytest.mark.real

SOON_S = 0.05
BOUND_S = 20.0


def scenario() -> Scenario:
    return Scenario.model_validate(yaml.safe_load(SMALL))


async def shell(script: str, children: Children) -> Child:
    return await children.spawn("the child", ["/bin/sh", "-c", script])


def with_children(logs: Path, scene):
    """Plays a scene with children, all of which are ended after it."""

    async def played():
        children = Children(logs)
        try:
            return await scene(children)
        finally:
            await asyncio.wait_for(children.stop(grace_s=1), BOUND_S)

    return asyncio.run(played())


def test_what_a_child_says_is_found_among_other_lines(tmp_path):
    async def scene(children):
        child = await shell("echo; echo noise READY; echo READY 1 2; exec sleep 60", children)
        return await child.said("READY", BOUND_S)

    assert with_children(tmp_path, scene) == ["1", "2"]


def test_silence_and_an_early_end_are_told_apart_and_both_show_the_log(tmp_path):
    async def scene(children):
        silent = await shell("echo because >&2; exec sleep 60", children)
        with pytest.raises(Silent, match="did not say READY within"):
            await silent.said("READY", SOON_S)
        ended = await shell("echo because >&2; exit 3", children)
        with pytest.raises(WorldError, match="exit code 3 before it said READY\n  \\| because") as told:
            await ended.said("READY", BOUND_S)
        assert not isinstance(told.value, Silent)
        with pytest.raises(WorldError, match="ended with exit code 3"):
            children.check()

    with_children(tmp_path, scene)


def test_a_child_that_closes_its_output_and_lives_on_is_not_awaited_for_ever(tmp_path):
    async def scene(children):
        child = await shell("exec >&-; exec sleep 60", children)
        with pytest.raises(Silent):
            await child.said("READY", SOON_S)

    with_children(tmp_path, scene)


def test_a_child_that_will_not_end_is_killed_with_its_own_children(tmp_path):
    async def scene(children):
        child = await shell("trap '' TERM; sleep 60 & echo READY $!; while :; do wait; done", children)
        (grandchild,) = await child.said("READY", BOUND_S)
        family = [psutil.Process(child.pid), psutil.Process(int(grandchild))]
        await child.stop(grace_s=SOON_S)
        return family

    _, alive = psutil.wait_procs(with_children(tmp_path, scene), BOUND_S)
    assert not alive


def test_what_is_frozen_together_is_thawed_together(tmp_path):
    async def scene(children):
        pids = [(await shell("exec sleep 60", children)).pid for _ in range(2)]
        freezer = Freezer()
        assert await freezer.freeze(pids) == 2
        await freezer.thaw_all()
        assert not any(map(stopped, pids))

    with_children(tmp_path, scene)


def test_a_held_port_is_nobody_elses_but_its_child_can_listen_on_it():
    port = HeldPort()
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind((HOST, port.number))
    with socket.socket() as child:
        child.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        child.bind((HOST, port.number))
        child.listen()
    port.release()


def the_load(folder: Path, child: Child) -> Load:
    load = Load(scenario(), 1, folder, folder)
    load._child = child
    return load


def test_a_load_that_ends_before_it_is_done_breaks_the_run(tmp_path):
    async def scene(children):
        load = the_load(tmp_path, await shell("exit 1", children))
        with pytest.raises(WorldError, match="exit code 1 before it said DONE"):
            await load.finish(BOUND_S, lambda: None)

    with_children(tmp_path, scene)


def test_requests_that_are_still_open_get_an_end_that_nobody_knows(tmp_path):
    async def scene(children):
        writer = Writer(tmp_path / "load.jsonl")
        writer.write(RequestSent(t=1.0, request="answered", instance=1, intended=1.0))
        writer.write(RequestSent(t=1.5, request="open", instance=1, intended=1.5))
        writer.write(RequestDone(t=2.0, request="answered", result="ok"))
        load = the_load(tmp_path, await shell("exec sleep 60", children))
        await load.finish(SOON_S, lambda: None)
        return {e.request: e.result for e in load.entries() if isinstance(e, RequestDone)}

    assert with_children(tmp_path, scene) == {"answered": "ok", "open": "info"}


def test_a_world_that_was_made_but_never_run_leaves_nothing(tmp_path):
    world = RealWorld(scenario(), 1, tmp_path / "logs")
    assert not world._stack.folder.exists()
    assert not (tmp_path / "logs").exists()
    assert list(world.history().entries) == []


def test_a_line_that_cannot_be_read_breaks_the_run_and_is_named(tmp_path):
    world = RealWorld(scenario(), 1, tmp_path / "logs")

    async def torn():
        world._stack.folder.mkdir()
        (world._stack.folder / "load.jsonl").write_bytes(b'{"kind": "load.sent"')

    with pytest.raises(WorldError, match=r"load\.jsonl:1: not an event"):
        world.execute(torn)
    assert not world._stack.folder.exists()


@pytest.mark.parametrize("broken", ["_stack", "_load"])
def test_when_one_part_cannot_start_the_other_is_given_up_and_the_reason_told(tmp_path, monkeypatch, broken):
    world = RealWorld(scenario(), 1, tmp_path / "logs")
    given_up = []

    async def fails(*_):
        await asyncio.sleep(0)
        raise WorldError("no luck today")

    async def hangs(*_):
        try:
            await asyncio.sleep(BOUND_S)
        finally:
            given_up.append(True)

    other = {"_stack": "_load", "_load": "_stack"}[broken]
    monkeypatch.setattr(getattr(world, broken), "start", fails)
    monkeypatch.setattr(getattr(world, other), "start", hangs)
    with pytest.raises(WorldError, match=r"^no luck today$"):
        world.execute(world.start)
    assert given_up == [True]
