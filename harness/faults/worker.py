"""What breaks at a worker process."""

from __future__ import annotations

from pydantic import Field

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers
from harness.units import Fraction


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
    rules_out = frozenset({"throttle"})
    example = '{at: 20s, for: 10s, target: worker, inject: pause, workers: "1 of 12"}'
    needs_for = True
    workers: Workers = ALL


class WorkerRollingRestart(Fault):
    """Asked to end (SIGTERM) one after the other, spread evenly over `for`; each is replaced by its supervisor."""

    of, name = "worker", "rolling_restart"
    cause = "a deployment"
    example = '{at: 20s, for: 24s, target: worker, inject: rolling_restart, workers: "12 of 12"}'
    needs_for = planned = True
    rules_out = frozenset({"rolling_restart", "crash_loop"})
    workers: Workers = ALL


class WorkerCrashLoop(Fault):
    """Killed, and killed again whenever their replacements have become ready, until it heals."""

    of, name = "worker", "crash_loop"
    cause = "a poisoned request, a memory limit that is too low, a broken extension"
    example = '{at: 20s, for: 10s, target: worker, inject: crash_loop, workers: "1 of 12"}'
    needs_for = True
    rules_out = frozenset({"rolling_restart", "crash_loop"})
    workers: Workers = ALL


class WorkerBlock(Fault):
    """Its event loop stands still: no callback runs meanwhile."""

    of, name = "worker", "block"
    cause = "synchronous work in a coroutine: parsing, DNS, a garbage collection"
    example = '{at: 20s, for: 800ms, target: worker, inject: block, workers: "1 of 12"}'
    needs_for = planned = True
    rules_out = frozenset({"block"})
    workers: Workers = ALL


class WorkerThrottle(Fault):
    """Gets `share` of the time, in turns of 100 ms, as a container at its CPU quota does."""

    of, name = "worker", "throttle"
    cause = "CFS quota, a noisy neighbour"
    example = '{at: 20s, for: 10s, target: worker, inject: throttle, share: 30%, workers: "2 of 12"}'
    needs_for = True
    rules_out = frozenset({"throttle", "pause"})
    share: Fraction = Field(0.3, gt=0.0, lt=1.0)
    workers: Workers = ALL


class WorkerDeaf(Fault):
    """The task that listens to the fleet ends, and says nothing."""

    of, name = "worker", "deaf"
    cause = "an exception that nobody awaits, a library that loses a cancellation"
    example = '{at: 20s, target: worker, inject: deaf, workers: "1 of 12"}'
    instant = True
    workers: Workers = ALL


class WorkerLateJoin(Fault):
    """An instance that does not run from the beginning: its workers start now, and the balancer then finds them."""

    of, name = "worker", "late_join"
    cause = "scaling out under load, in the middle of an outage"
    example = "{at: 20s, target: worker, inject: late_join, instance: 3}"
    instant = True
    instance: int = Field(ge=2)


KINDS: tuple[type[Fault], ...] = (
    WorkerKill,
    WorkerRestart,
    WorkerPause,
    WorkerRollingRestart,
    WorkerCrashLoop,
    WorkerBlock,
    WorkerThrottle,
    WorkerDeaf,
    WorkerLateJoin,
)
