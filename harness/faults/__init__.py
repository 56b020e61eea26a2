"""The vocabulary of faults, as data: what a scenario file may say, and what each fault is a stand-in for.

A fault says what breaks, when and for how long; the worlds say how. `cause` names what does this to real systems.
A module per target (provider, redis, worker, …) holds its faults in `KINDS`; this registry puts them together.
"""

from __future__ import annotations

from harness.faults import provider, redis, worker
from harness.faults.base import BOTH, Fault, World
from harness.faults.choice import ALL, Place, Some, Workers
from harness.faults.provider import (
    ANSWERS,
    ProviderError,
    ProviderHang,
    ProviderLatency,
    ProviderPartition,
    ProviderRateLimit,
    ProviderRefuse,
)
from harness.faults.redis import RedisFlush, RedisKill, RedisLatency, RedisPartition, RedisPause
from harness.faults.worker import WorkerKill, WorkerPause, WorkerRestart

KINDS: tuple[type[Fault], ...] = (*provider.KINDS, *redis.KINDS, *worker.KINDS)
TARGETS: tuple[str, ...] = tuple(dict.fromkeys(kind.of for kind in KINDS))

__all__ = [
    "ALL",
    "ANSWERS",
    "BOTH",
    "KINDS",
    "TARGETS",
    "Fault",
    "Place",
    "ProviderError",
    "ProviderHang",
    "ProviderLatency",
    "ProviderPartition",
    "ProviderRateLimit",
    "ProviderRefuse",
    "RedisFlush",
    "RedisKill",
    "RedisLatency",
    "RedisPartition",
    "RedisPause",
    "Some",
    "WorkerKill",
    "WorkerPause",
    "WorkerRestart",
    "Workers",
    "World",
    "kinds_of",
    "overlap",
]


def kinds_of(of: str) -> dict[str, type[Fault]]:
    """The faults that can be put on a target (a provider, redis, workers, …), by name."""
    return {kind.name: kind for kind in KINDS if kind.of == of}


def overlap(a: Fault, b: Fault, duration: float) -> bool:
    """Whether two faults are on one target at the same time and cannot both be."""
    if a.target != b.target or (b.name not in a.rules_out and a.name not in b.rules_out):
        return False
    return a.at < b.until(duration) and b.at < a.until(duration)
