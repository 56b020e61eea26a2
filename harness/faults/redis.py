"""What breaks at Redis, or on the way to it."""

from __future__ import annotations

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers
from harness.units import PositiveDuration

_PROCESS = frozenset({"kill", "restart", "pause"})


class RedisKill(Fault):
    """Killed (SIGKILL); with `for`, started again afterwards, empty."""

    of, name = "redis", "kill"
    cause = "out of memory, a node lost, a failover without a replica"
    example = "{at: 20s, for: 5s, target: redis, inject: kill}"
    rules_out = _PROCESS


class RedisPause(Fault):
    """Frozen (SIGSTOP): connections stay open, nothing is answered."""

    of, name = "redis", "pause"
    cause = "a long fork, swap, a stalled disk, a frozen virtual machine"
    example = "{at: 20s, for: 5s, target: redis, inject: pause}"
    needs_for = True
    rules_out = _PROCESS


class RedisPartition(Fault):
    """Cannot be reached from some workers: bytes are held, in both directions, until it heals."""

    of, name = "redis", "partition"
    cause = "a network partition between an availability zone and Redis"
    example = '{at: 20s, for: 10s, target: redis, inject: partition, workers: "2 of 12"}'
    needs_for = True
    rules_out = frozenset({"partition"})
    workers: Workers = ALL


class RedisLatency(Fault):
    """Further away: each direction takes `add` longer."""

    of, name = "redis", "latency"
    cause = "a congested link, a Redis in another region"
    example = "{at: 20s, for: 10s, target: redis, inject: latency, add: 100ms}"
    rules_out = frozenset({"latency"})
    add: PositiveDuration


class RedisFlush(Fault):
    """Loses all it holds (FLUSHALL)."""

    of, name = "redis", "flush"
    cause = "an operator's mistake, eviction"
    example = "{at: 20s, target: redis, inject: flush}"
    instant = True


KINDS: tuple[type[Fault], ...] = (
    RedisKill,
    RedisPause,
    RedisPartition,
    RedisLatency,
    RedisFlush,
)
