"""Where a request's CPU time goes in the app, by room: one worker under cProfile, the providers beside it.

Shares of the time spent in each package's own Python (and in what it calls in C); the profiler's own cost falls on
every function call, so that rooms of many small functions look larger than they are.
"""

from __future__ import annotations

import pstats
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.bench.bench_app import BODY, CONCURRENCY, PATH
from tests.bench.figure import Figure
from tests.bench.processes import free_port, serving
from tests.bench.raw_client import load, post
from tests.contracts.real_redis import BINARIES, running_redis
from tests.provider_process import provider_process

REQUESTS = 4000
ROOMS = (
    ("flexiai/app", "flexiai: app"),
    ("flexiai/providers", "flexiai: provider adapter"),
    ("flexiai/core", "flexiai: breaker"),
    ("flexiai/sync", "flexiai: sync"),
    ("flexiai", "flexiai: failover loop, events, counters"),
    ("aiohttp", "aiohttp (the provider's side)"),
    ("yarl", "aiohttp (the provider's side)"),
    ("multidict", "aiohttp (the provider's side)"),
    ("uvicorn", "uvicorn, starlette, fastapi"),
    ("starlette", "uvicorn, starlette, fastapi"),
    ("fastapi", "uvicorn, starlette, fastapi"),
    ("redis", "redis-py"),
    ("asyncio", "asyncio"),
    ("uvloop", "asyncio"),
)


def run() -> list[Figure]:
    """Shares of the time, largest first."""
    with tempfile.TemporaryDirectory() as name:
        profile = Path(name) / "app.prof"
        _profiled(Path(name), profile)
        shares = _by_room(profile)
    whole = sum(shares.values())
    return [Figure(room, 100 * s / whole, "%") for room, s in shares.most_common()]


def _profiled(folder: Path, out: Path) -> None:
    fast = ("--latency-median", "0.00001", "--latency-p99", "0.00001")
    port = free_port()
    with provider_process(folder, *fast) as provider, running_redis(BINARIES[0]) as redis:
        env = {"OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": provider.openai_url, "REDIS_URL": redis.url}
        with serving((sys.executable, "-m", "tests.bench.profiled_app", str(port), out), port, env):
            load(port, post(PATH, port, BODY), connections=CONCURRENCY, requests=REQUESTS)


def _by_room(profile: Path) -> Counter[str]:
    """Own time by room; what is written in C counts for its caller's room."""
    shares: Counter[str] = Counter()
    stats = pstats.Stats(str(profile)).stats  # type: ignore[attr-defined]
    for (file, _, _), (_, _, own, _, callers) in stats.items():
        if file == "~":
            for (caller, _, _), (_, _, part, _) in callers.items():
                shares[_room(caller)] += part
        else:
            shares[_room(file)] += own
    shares.pop("", None)
    return shares


def _room(file: str) -> str:
    parts = Path(file).parts
    for package, room in ROOMS:
        wanted = tuple(package.split("/"))
        if any(parts[i : i + len(wanted)] == wanted for i in range(len(parts))):
            return room
    return "" if file in ("~", "") or "selectors" in file else "other"
