"""What breaks at a simulated worker process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from harness.faults import (
    Fault,
    Place,
    WorkerBlock,
    WorkerCrashLoop,
    WorkerDeaf,
    WorkerKill,
    WorkerLateJoin,
    WorkerPause,
    WorkerRestart,
    WorkerRollingRestart,
    WorkerThrottle,
)
from harness.history import WorkerPaused, WorkerResumed
from harness.sim.injectors.scene import Effect, Maker, Scene
from harness.sim.worker import SimWorker

GRACE_S = 5.0
LOOK_S = 0.02
TURN_S = 0.1


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


class WorkersRoll:
    """Workers are asked to end one after the other."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._places = places
        self._gap_s = (fault.for_ or 0.0) / max(1, len(places))
        self._told: list[SimWorker] = []

    def inject(self) -> tuple[str, ...]:
        for number, place in enumerate(self._places):
            self._scene.network.engine.call_later(number * self._gap_s, self._tell, place)
        return tuple(w.name for w in self._scene.fleet.at(self._places))

    def _tell(self, place: Place) -> None:
        for worker in self._scene.fleet.at((place,)):
            worker.terminate(GRACE_S)
            self._told.append(worker)

    def heal(self) -> None:
        """The supervisor heals it."""

    def effect(self) -> Effect:
        return Effect("workers ended", sum(w.process.ended for w in self._told))


class WorkersCrashLoop:
    """Workers are killed, and their replacements as soon as they are ready."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._places = places
        self._lasts = True
        self._killed = 0

    def inject(self) -> tuple[str, ...]:
        on = tuple(w.name for w in self._scene.fleet.at(self._places))
        self._look()
        return on

    def _look(self) -> None:
        for worker in self._scene.fleet.at(self._places) if self._lasts else ():
            if worker.ready:
                worker.process.kill()
                self._killed += 1
        if self._lasts:
            self._scene.network.engine.call_later(LOOK_S, self._look)

    def heal(self) -> None:
        self._lasts = False

    def effect(self) -> Effect:
        return Effect("workers killed", self._killed)


class WorkersBlock:
    """Workers' event loops stand still for a while."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._workers = scene.fleet.at(places)
        self._engine = scene.network.engine
        self._lasts = fault.for_ or 0.0
        self._stood = 0

    def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            worker.process.loop.occupy(self._lasts)
            worker.process.loop.call_soon(self._runs_again, self._engine.now)
        return tuple(w.name for w in self._workers)

    def _runs_again(self, since: float) -> None:
        self._stood += self._engine.now - since >= self._lasts

    def heal(self) -> None:
        """It is over by itself."""

    def effect(self) -> Effect:
        return Effect("event loops that stood still", self._stood)


class WorkersThrottle:
    """Workers get a share of each turn."""

    def __init__(self, scene: Scene, fault: Fault, places: tuple[Place, ...]) -> None:
        self._scene = scene
        self._workers = scene.fleet.at(places)
        self._share: float = getattr(fault, "share", 1.0)
        self._lasts = True
        self._before = 0

    def inject(self) -> tuple[str, ...]:
        self._before = self._waited()
        self._stop()
        return tuple(w.name for w in self._workers)

    def _stop(self) -> None:
        if self._lasts:
            for worker in self._workers:
                worker.process.pause()
            self._scene.network.engine.call_later(TURN_S * (1 - self._share), self._go)

    def _go(self) -> None:
        for worker in self._workers:
            if not worker.process.ended:
                self._scene.fleet.resume(worker)
        if self._lasts:
            self._scene.network.engine.call_later(TURN_S * self._share, self._stop)

    def heal(self) -> None:
        self._lasts = False
        self._go()

    def effect(self) -> Effect:
        return Effect("events that waited", self._waited() - self._before)

    def _waited(self) -> int:
        return sum(w.process.loop.waited for w in self._workers)


class WorkersDeaf:
    """The tasks that listen to the fleet are cancelled."""

    def __init__(self, scene: Scene, places: tuple[Place, ...]) -> None:
        self._workers = scene.fleet.at(places)
        self._ended = 0

    def inject(self) -> tuple[str, ...]:
        for worker in self._workers:
            for task in worker.process.loop.tasks():
                if task.get_name() == f"{worker.name}-listener":
                    self._ended += task.cancel()
        return tuple(w.name for w in self._workers)

    def heal(self) -> None:
        """It is over at once."""

    def effect(self) -> Effect:
        return Effect("listening tasks ended", self._ended)


class InstanceJoins:
    """An instance starts that was not there."""

    def __init__(self, scene: Scene, fault: Fault) -> None:
        self._scene = scene
        self._instance: int = getattr(fault, "instance", 0)
        self._joined: list[SimWorker] = []

    def inject(self) -> tuple[str, ...]:
        self._joined = self._scene.fleet.join(self._instance)
        return tuple(w.name for w in self._joined)

    def heal(self) -> None:
        """It stays."""

    def effect(self) -> Effect:
        return Effect("workers that joined", sum(w.ready or w.process.ended for w in self._joined))


MAKERS: Mapping[type[Fault], Maker] = {
    WorkerKill: lambda scene, _, __, places: WorkersEnd(scene, places, "kill"),
    WorkerRestart: lambda scene, _, __, places: WorkersEnd(scene, places, "terminate"),
    WorkerPause: lambda scene, _, __, places: WorkersFreeze(scene, places),
    WorkerRollingRestart: lambda scene, _, fault, places: WorkersRoll(scene, fault, places),
    WorkerCrashLoop: lambda scene, _, __, places: WorkersCrashLoop(scene, places),
    WorkerBlock: lambda scene, _, fault, places: WorkersBlock(scene, fault, places),
    WorkerThrottle: lambda scene, _, fault, places: WorkersThrottle(scene, fault, places),
    WorkerDeaf: lambda scene, _, __, places: WorkersDeaf(scene, places),
    WorkerLateJoin: lambda scene, _, fault, __: InstanceJoins(scene, fault),
}
