"""What breaks at a worker process."""

from __future__ import annotations

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers


class WorkerKill(Fault):
    """Killed (SIGKILL); its supervisor starts another in its place."""

    of, name = "worker", "kill"
    cause = "out of memory, a crash in a C extension, a node lost"
    example = '{at: 20s, target: worker, inject: kill, workers: "1 of 12"}'
    instant = True
    workers: Workers = ALL


class WorkerRestart(Fault):
    """Asked to end (SIGTERM); its supervisor starts another in its place."""

    of, name = "worker", "restart"
    cause = "a deployment, a worker recycled after many requests"
    example = '{at: 20s, target: worker, inject: restart, workers: "1 of 12"}'
    instant = True
    workers: Workers = ALL


class WorkerPause(Fault):
    """Frozen (SIGSTOP), and woken with old news (SIGCONT)."""

    of, name = "worker", "pause"
    cause = "CPU steal, a stop-the-world dump, a suspended container"
    example = '{at: 20s, for: 10s, target: worker, inject: pause, workers: "1 of 12"}'
    needs_for = True
    workers: Workers = ALL


KINDS: tuple[type[Fault], ...] = (
    WorkerKill,
    WorkerRestart,
    WorkerPause,
)
