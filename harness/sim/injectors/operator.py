"""What an operator says to simulated workers."""

from __future__ import annotations

from collections.abc import Mapping

from flexiai.client import AsyncFlexiAI
from harness.faults import Fault, OperatorDrain, OperatorOpen, OperatorReset, Place
from harness.operated import Action, action_of, ends_by_reset, heard_by, held_for_s, note_of
from harness.sim.injectors.scene import Effect, Maker, Scene
from harness.sim.worker import SimWorker


class OperatorSpeaks:
    """An operator's request comes to some workers; where the chosen one is not there, another of its fleet answers."""

    def __init__(self, scene: Scene, index: int, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._fault = fault
        self._workers = [w for w in scene.fleet.at(places) if w.ready] or _first_ready(scene)
        self._note = note_of(index, scene.times(index))
        self._alone = len(scene.fleet.places) == 1

    def inject(self) -> tuple[str, ...]:
        self._say(action_of(self._fault))
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        if ends_by_reset(self._fault):
            self._say("reset")

    def effect(self) -> Effect:
        told = frozenset(w.name for w in self._workers)
        return Effect(
            "workers that followed an operator's word",
            heard_by(self._scene.entries, self._note, told, alone=self._alone),
        )

    def _say(self, action: Action) -> None:
        provider, note = self._fault.provider, self._note
        for_s = held_for_s(self._fault, self._scene.scenario.duration)

        def speak(client: AsyncFlexiAI) -> None:
            match action:
                case "open":
                    client.force_open(provider, for_s=for_s, reason=note)
                case "drain":
                    client.drain(provider, for_s=for_s, reason=note)
                case "reset":
                    client.reset(provider, note)

        for worker in self._workers:
            self._scene.fleet.operate(worker, speak)


def _first_ready(scene: Scene) -> list[SimWorker]:
    return [w for w in scene.fleet.at(scene.fleet.places) if w.accepts][:1]


MAKERS: Mapping[type[Fault], Maker] = dict.fromkeys((OperatorOpen, OperatorDrain, OperatorReset), OperatorSpeaks)
