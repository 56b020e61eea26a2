"""What breaks at a real worker process."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from harness.faults import Fault, Place, WorkerKill, WorkerPause, WorkerRestart
from harness.history import WorkerPaused, WorkerResumed
from harness.real.injectors.scene import Effect, Maker, Scene

END_S = 10.0


class WorkersEnd:
    """Workers are killed, or asked to end; uvicorn starts others in their place."""

    def __init__(self, scene: Scene, places: tuple[Place, ...], number: signal.Signals) -> None:
        self._fleet = scene.stack.fleet
        self._places = places
        self._signal = number
        self._ended = 0

    async def inject(self) -> tuple[str, ...]:
        workers = [w for place, w in self._fleet.live.items() if place in self._places]
        for worker in workers:
            self._fleet.expect_end(worker, "killed" if self._signal is signal.SIGKILL else "terminated")
            self._fleet.send(worker, self._signal)
        for worker in workers:
            self._ended += await self._fleet.gone(worker, END_S)
        return tuple(w.name for w in workers)

    async def heal(self) -> None:
        """uvicorn heals it."""

    async def effect(self) -> Effect:
        return Effect("workers ended", self._ended)


class WorkersFrozen:
    """Workers are stopped by SIGSTOP and woken by SIGCONT."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._workers = [w for place, w in scene.stack.fleet.live.items() if place in places]
        self._seen = 0

    async def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            self._scene.record(WorkerPaused(t=self._scene.now(), worker=worker.name))
        self._seen = await self._scene.stack.freezer.freeze(self._pids)
        return tuple(w.name for w in self._workers)

    async def heal(self) -> None:
        for worker in self._workers:
            self._scene.record(WorkerResumed(t=self._scene.now(), worker=worker.name))
        await self._scene.stack.freezer.thaw(self._pids)

    async def effect(self) -> Effect:
        return Effect("workers stopped", self._seen)

    @property
    def _pids(self) -> tuple[int, ...]:
        return tuple(w.pid for w in self._workers)


MAKERS: Mapping[type[Fault], Maker] = {
    WorkerKill: lambda scene, _, __, places: WorkersEnd(scene, places, signal.SIGKILL),
    WorkerRestart: lambda scene, _, __, places: WorkersEnd(scene, places, signal.SIGTERM),
    WorkerPause: lambda scene, _, __, places: WorkersFrozen(scene, places),
}
