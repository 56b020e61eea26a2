"""Sync latency beside bare Redis pub/sub: one speaker, twelve listening processes, one redis-server.

A latency is from when the speaker began to say something until a listener had it: bare, a message published and
received by redis-py; ours, a transition proposed, accepted, published, decoded and applied to a breaker.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.bench.figure import Figure
from tests.contracts.real_redis import BINARIES, running_redis

LISTENERS = 12
COUNT = 200
ROUNDS = 2
BOUND_S = 90.0


def run() -> list[Figure]:
    """All figures of sync."""
    seen: dict[str, list[float]] = {"bare": [], "ours": []}
    for _ in range(ROUNDS):
        for kind in seen:
            with running_redis(BINARIES[0]) as redis:
                seen[kind] += _round(kind, redis.port)
    bare, ours = sorted(seen["bare"]), sorted(seen["ours"])
    return [
        Figure("bare redis-py pub/sub, p50", _at(bare, 0.5) * 1e3, "ms"),
        Figure("bare redis-py pub/sub, p99", _at(bare, 0.99) * 1e3, "ms"),
        Figure("a transition on the other workers, p50", _at(ours, 0.5) * 1e3, "ms"),
        Figure("a transition on the other workers, p99", _at(ours, 0.99) * 1e3, "ms", "<= 10"),
        Figure("p50 over bare pub/sub's", _at(ours, 0.5) / _at(bare, 0.5), "x"),
        Figure("p99 over bare pub/sub's", _at(ours, 0.99) / _at(bare, 0.99), "x", "<= 2"),
    ]


def _round(kind: str, port: int) -> list[float]:
    members = [_member(kind, port, f"listener-{n}") for n in range(LISTENERS)]
    speaker = _member(kind, port, "speaker")
    try:
        for member in members if kind == "bare" else [*members, speaker]:
            assert member.stdout is not None
            assert member.stdout.readline() == "READY\n"
        said = _times(speaker, "begin\n")
        heard = [_times(member) for member in members]
    finally:
        for member in (*members, speaker):
            member.kill()
            member.wait()
    return [times[n] - said[n] for times in heard for n in said if n in times]


def _member(kind: str, port: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.sync_member", kind, str(port), name, str(COUNT)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _times(member: subprocess.Popen[str], word: str | None = None) -> dict[str, float]:
    told, _ = member.communicate(word, timeout=BOUND_S)
    times: dict[str, float] = json.loads(told)
    return times


def _at(ordered: list[float], q: float) -> float:
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]
