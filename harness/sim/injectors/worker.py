"""What breaks at a simulated worker process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from harness.faults import Fault, Place, WorkerKill, WorkerPause, WorkerRestart
from harness.history import WorkerPaused, WorkerResumed
from harness.sim.injectors.scene import Effect, Maker, Scene

GRACE_S = 5.0


class WorkersEnd:
    """Workers are killed, or asked to end; their supervisor starts others in their place."""

    def __init__(self, scene: Scene, places: tuple[Place, ...], how: Literal["kill", "terminate"]) -> None:
        self._workers = scene.fleet.at(places)
        self._how = how

    def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            if self._how == "kill":
                worker.process.kill()
            else:
                worker.terminate(GRACE_S)
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        """The supervisor heals it."""

    def effect(self) -> Effect:
        return Effect("workers ended", sum(w.process.ended for w in self._workers))


class WorkersFreeze:
    """Workers are stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._workers = scene.fleet.at(places)

    def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            worker.process.pause()
            self._scene.record(WorkerPaused(t=self._scene.now(), worker=worker.name))
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        for worker in self._workers:
            if not worker.process.ended:
                self._scene.record(WorkerResumed(t=self._scene.now(), worker=worker.name))
                self._scene.fleet.resume(worker)

    def effect(self) -> Effect:
        return Effect("events that waited", sum(w.process.loop.waited for w in self._workers))


MAKERS: Mapping[type[Fault], Maker] = {
    WorkerKill: lambda scene, _, __, places: WorkersEnd(scene, places, "kill"),
    WorkerRestart: lambda scene, _, __, places: WorkersEnd(scene, places, "terminate"),
    WorkerPause: lambda scene, _, __, places: WorkersFreeze(scene, places),
}
