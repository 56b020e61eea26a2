"""The vocabulary of faults, as data: what a scenario file may say, and what each fault is a stand-in for.

A fault says what breaks, when and for how long; the worlds say how. `cause` names what does this to real systems.
A module per target (provider, redis, worker, …) holds its faults in `KINDS`; this registry puts them together.
"""

from __future__ import annotations

from harness.faults import clock, network, operator, provider, redis, worker
from harness.faults.base import BOTH, COMMON, Fault, World
from harness.faults.choice import ALL, Place, Role, Some, Workers
from harness.faults.clock import ClockDrift, ClockJump, ClockOffset, set_back_s
from harness.faults.moment import OF_FAULTS, OF_WORKERS, EventName, Moment
from harness.faults.network import NetworkBandwidth, NetworkLatency, NetworkPartition, NetworkSwizzle
from harness.faults.operator import OperatorDrain, OperatorOpen, OperatorReset
from harness.faults.provider import (
    ANSWERS,
    ProviderCapacity,
    ProviderCut,
    ProviderError,
    ProviderErrorBody,
    ProviderHang,
    ProviderLatency,
    ProviderMalformed,
    ProviderPartition,
    ProviderRateLimit,
    ProviderRefuse,
    ProviderReset,
    ProviderStall,
)
from harness.faults.redis import (
    REFUSES_WRITES,
    RedisDropMessages,
    RedisFailover,
    RedisFlush,
    RedisKill,
    RedisLatency,
    RedisLoading,
    RedisNoAuth,
    RedisOom,
    RedisOverflow,
    RedisPartition,
    RedisPause,
    RedisReadonly,
    RedisRefuse,
    RedisReset,
    RedisRestart,
    RedisSubscribersKilled,
)
from harness.faults.worker import (
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

KINDS: tuple[type[Fault], ...] = (
    *provider.KINDS,
    *operator.KINDS,
    *redis.KINDS,
    *worker.KINDS,
    *network.KINDS,
    *clock.KINDS,
)
TARGETS: tuple[str, ...] = tuple(dict.fromkeys(kind.of for kind in KINDS))

__all__ = [
    "ALL",
    "ANSWERS",
    "BOTH",
    "COMMON",
    "KINDS",
    "OF_FAULTS",
    "OF_WORKERS",
    "REFUSES_WRITES",
    "TARGETS",
    "ClockDrift",
    "ClockJump",
    "ClockOffset",
    "EventName",
    "Fault",
    "Moment",
    "NetworkBandwidth",
    "NetworkLatency",
    "NetworkPartition",
    "NetworkSwizzle",
    "OperatorDrain",
    "OperatorOpen",
    "OperatorReset",
    "Place",
    "ProviderCapacity",
    "ProviderCut",
    "ProviderError",
    "ProviderErrorBody",
    "ProviderHang",
    "ProviderLatency",
    "ProviderMalformed",
    "ProviderPartition",
    "ProviderRateLimit",
    "ProviderRefuse",
    "ProviderReset",
    "ProviderStall",
    "RedisDropMessages",
    "RedisFailover",
    "RedisFlush",
    "RedisKill",
    "RedisLatency",
    "RedisLoading",
    "RedisNoAuth",
    "RedisOom",
    "RedisOverflow",
    "RedisPartition",
    "RedisPause",
    "RedisReadonly",
    "RedisRefuse",
    "RedisReset",
    "RedisRestart",
    "RedisSubscribersKilled",
    "Role",
    "Some",
    "WorkerBlock",
    "WorkerCrashLoop",
    "WorkerDeaf",
    "WorkerKill",
    "WorkerLateJoin",
    "WorkerPause",
    "WorkerRestart",
    "WorkerRollingRestart",
    "WorkerThrottle",
    "Workers",
    "World",
    "clash",
    "joins_twice",
    "kinds_of",
    "overlap",
    "set_back_s",
]


def kinds_of(of: str) -> dict[str, type[Fault]]:
    """The faults that can be put on a target (a provider, redis, workers, …), by name."""
    return {kind.name: kind for kind in KINDS if kind.of == of}


def overlap(a: Fault, b: Fault, duration: float) -> bool:
    """Whether two faults of known times are on one target at the same time and cannot both be."""
    return clash(a, b) and a.at <= b.until(duration) and b.at <= a.until(duration) and not _in_turn(a, b, duration)


def clash(a: Fault, b: Fault) -> bool:
    """Whether two faults are on one target and cannot both be at the same time."""
    return a.target == b.target and (b.name in a.rules_out or a.name in b.rules_out)


def joins_twice(a: Fault, b: Fault) -> bool:
    """Whether one instance would join by both."""
    return isinstance(a, WorkerLateJoin) and isinstance(b, WorkerLateJoin) and a.instance == b.instance


def _in_turn(a: Fault, b: Fault, duration: float) -> bool:
    """Whether one of two faults that last is healed at the very moment at which the other begins."""
    if a.instant or b.instant:
        return False
    return a.at == b.until(duration) or b.at == a.until(duration)
