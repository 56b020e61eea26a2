"""A scenario's real fleet without its load and its faults, to look at and to play with."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.real.interrupt import Interruptible
from harness.real.stack import Stack
from harness.scenario import Scenario

CHECK_S = 0.5


def stand(scenario: Scenario, seed: int, say: Callable[[str], object]) -> None:
    """Start Redis, providers and the fleet, `say` where they are, and keep them until Ctrl-C (or SIGTERM).

    Raises WorldError if something cannot start or ends by itself, KeyboardInterrupt if interrupted before all stood.
    Whatever happens, everything is stopped when this returns.
    """
    with tempfile.TemporaryDirectory(prefix="flexiai-logs-") as logs:
        Standing(scenario, seed, Path(logs)).stand(say)


class Standing:
    """One stack that stands until it is interrupted."""

    def __init__(self, scenario: Scenario, seed: int, logs: Path) -> None:
        self._stack = Stack(scenario, seed, logs)
        self._stands = False
        self._stopping = False

    def stand(self, say: Callable[[str], object]) -> None:
        """Start, say, and stay; see the function of this name."""
        try:
            Interruptible(lambda: self._stopping).run(lambda: self._stand(say))
        except KeyboardInterrupt:
            if not self._stands:
                raise
        finally:
            self._stack.discard()

    async def _stand(self, say: Callable[[str], object]) -> None:
        try:
            await self._stack.start()
            for line in whereabouts(self._stack):
                say(line)
            self._stands = True
            while True:
                await asyncio.sleep(CHECK_S)
                self._stack.check()
        finally:
            self._stopping = True
            await self._stack.stop()


def whereabouts(stack: Stack) -> Iterator[str]:
    """Where everything is, and what to try, line by line."""
    for number, host in enumerate(stack.fleet.hosts, 1):
        yield f"instance {number}: {host} ({stack.fleet.workers_each} workers)"
    yield f"redis: {stack.redis.url}"
    for name, provider in stack.providers.items():
        yield f"provider {name}: http://127.0.0.1:{provider.port}, control http://127.0.0.1:{provider.control}/_control"
    yield f"events of the workers: {stack.fleet.folder}"
    yield f"logs: {stack.logs}"
    provider = next(iter(stack.providers.values()))
    yield "try:"
    yield f"""  curl -X POST {stack.fleet.hosts[0]}/chat/direct --json '{{"message": "Is anybody there?"}}'"""
    yield f"""  curl -X PUT http://127.0.0.1:{provider.control}/_control/faults/0 --json '{{"inject": "error"}}'"""
    yield "Ctrl-C ends it all."
