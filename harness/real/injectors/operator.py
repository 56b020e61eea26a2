"""What an operator says to real workers, by HTTP: whichever of an instance's workers takes the connection answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from harness.faults import Fault, OperatorDrain, OperatorOpen, OperatorReset, Place
from harness.operated import Action, action_of, ends_by_reset, heard_by, held_for_s, note_of
from harness.real.injectors.scene import Effect, Maker, Scene
from harness.world import WorldError

ANSWER_S = 5.0


class OperatorSpeaks:
    """An operator's request goes to the instances of the chosen workers."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._fault = fault
        self._hosts = tuple(dict.fromkeys(scene.stack.fleet.hosts[instance - 1] for instance, _ in places))
        self._note = note_of(index, scene.times(index))
        self._told: frozenset[str] = frozenset()

    async def inject(self) -> tuple[str, ...]:
        self._told = await self._say(action_of(self._fault))
        return tuple(sorted(self._told))

    async def heal(self) -> None:
        if ends_by_reset(self._fault):
            await self._say("reset")

    async def effect(self) -> Effect:
        fleet = self._scene.stack.fleet
        fleet.look()
        alone = fleet.instances * fleet.workers_each == 1
        return Effect(
            "workers that followed an operator's word", heard_by(fleet.entries, self._note, self._told, alone=alone)
        )

    async def _say(self, action: Action) -> frozenset[str]:
        body: dict[str, Any] = {"reason": self._note}
        if action != "reset":
            body["for_s"] = held_for_s(self._fault, self._scene.stack.scenario.duration)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S)) as session:
            pids = [
                await _post(session, f"{host}/providers/{self._fault.provider}/{action}", body) for host in self._hosts
            ]
        return frozenset(w.name for w in self._scene.stack.fleet.live.values() if w.pid in pids)


async def _post(session: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> int:
    """The process that did it; WorldError if none did."""
    try:
        async with session.post(url, json=body) as answer:
            told = await answer.json()
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise WorldError(f"no worker took an operator's word at {url}: {type(error).__name__}") from error
    if answer.status != 200:
        raise WorldError(f"a worker refused an operator's word at {url}: {answer.status} {told.get('message', '')}")
    return int(told["worker_id"])


MAKERS: Mapping[type[Fault], Maker] = dict.fromkeys((OperatorOpen, OperatorDrain, OperatorReset), OperatorSpeaks)
