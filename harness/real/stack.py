"""All that runs for real: Redis, provider servers, the fault proxy before them, and the fleet that talks through it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from flexiai.types import Settings
from harness.faults import RedisDropMessages, RedisLoading, WorkerBlock, WorkerDeaf
from harness.history import Entry
from harness.real.child import Children
from harness.real.freezer import Freezer
from harness.real.providers import ProviderProcess, wire_of
from harness.real.proxy_client import Proxy
from harness.real.redis_server import RedisServer
from harness.real.workers import Fleet
from harness.scenario import ProviderSpec, Scenario
from harness.world import WorldError

REDIS = "redis"
# Settings of whoever runs the harness that must not reach the fleet under test.
_FOREIGN = ("FLEXIAI_", "REDIS_", "OPENAI_", "ANTHROPIC_")


class Stack:
    """Everything of one run but its load. Stopped as a whole, also when its start was interrupted.

    `folder`: where its processes write; there from `start` until `discard`.
    """

    def __init__(self, scenario: Scenario, seed: int, logs: Path) -> None:
        self.scenario = scenario
        self.seed = seed
        self.logs = logs
        self.redis = RedisServer()
        self.spares: list[RedisServer] = []  # others that faults started
        self.redis_wanted = False  # whether Redis should be alive now: no fault has killed it
        self.freezer = Freezer()
        self.providers: dict[str, ProviderProcess] = {}
        self.folder = Path(tempfile.gettempdir()) / f"flexiai-harness-{secrets.token_hex(8)}"
        self._journals, self._ledgers = self.folder / "journals", self.folder / "ledgers"
        self._servers = Children(logs)
        self._instances = Children(logs)
        self.proxy = Proxy(self._servers)
        self.doors = self.folder / "doors"
        app = "harness.real.staged:app" if _behind_the_door(scenario) else "flexiai.app:app"
        self.fleet = Fleet(scenario.topology, self._journals, self._instances, app=app, late=scenario.late_instances)

    async def start(self) -> None:
        """Start Redis, providers, proxy, then the fleet; returns when every worker is ready."""
        self._make_folders()
        await self.redis.start()
        self.redis_wanted = True
        for spec in self.scenario.providers:
            self.providers[spec.name] = await ProviderProcess.start(spec, self.seed, self._ledgers, self._servers)
        await self.proxy.start()
        ports = {REDIS: await self.proxy.listen(REDIS, self.redis.port, redis=_about_messages(self.scenario))}
        for name, provider in self.providers.items():
            ports[name] = await self.proxy.listen(name, provider.port)
        await self.fleet.start(self._environment(ports))

    def check(self) -> None:
        """Raise WorldError if something has ended that no fault was to end."""
        self._servers.check()
        self.fleet.check()
        if self.redis_wanted and not self.redis.alive:
            raise WorldError("redis-server ended in the middle of the run, and no fault of the scenario ended it")

    async def stop(self) -> None:
        """End everything; the fleet first, so that it can say goodbye. What fails does not keep the rest running."""
        async with AsyncExitStack() as rest:
            for redis in (self.redis, *self.spares):
                rest.push_async_callback(redis.stop)
            rest.push_async_callback(self._servers.stop)
            rest.callback(self.proxy.close)
            rest.push_async_callback(self.fleet.stop)
            await self.freezer.thaw_all()

    def discard(self) -> None:
        """Remove what the processes wrote, once it has been read. May be called at any time, more than once."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def entries(self) -> list[Entry]:
        """What workers and providers wrote, in absolute time."""
        return [*self.fleet.entries, *(e for provider in self.providers.values() for e in provider.entries())]

    def _make_folders(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700)
        self._journals.mkdir()
        self._ledgers.mkdir()
        self.doors.mkdir()

    def _environment(self, ports: dict[str, int]) -> dict[str, str]:
        """What a worker is told: where things are (the proxy), and the scenario's settings by the app's own names."""
        env = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        env |= {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(ports[REDIS]), "REDIS_DB": "0"}
        env |= {"FLEXIAI_JOURNAL_DIR": str(self._journals), "FLEXIAI_LOG_LEVEL": "warning"}
        env |= {"HARNESS_DOORS": str(self.doors), "TMPDIR": str(self.folder)}  # what workers leave goes with the run
        told = [_told(spec, ports[spec.name]) for spec in self.scenario.providers]
        env["FLEXIAI_PROVIDERS"] = json.dumps(told)
        for section in ("breaker", "request", "sync"):
            env |= _as_variables(section, getattr(self.scenario, section))
        return env


def _behind_the_door(scenario: Scenario) -> bool:
    """Whether a fault needs to be done in a worker's own event loop."""
    return any(isinstance(fault, WorkerBlock | WorkerDeaf) for fault in scenario.faults)


def _about_messages(scenario: Scenario) -> bool:
    """Whether a fault needs a proxy that understands what Redis and workers say: which costs each hop a little."""
    return any(isinstance(fault, RedisDropMessages | RedisLoading) for fault in scenario.faults)


def _told(spec: ProviderSpec, port: int) -> dict[str, Any]:
    """A provider as FLEXIAI_PROVIDERS has it."""
    wire = wire_of(spec)
    base = f"http://127.0.0.1:{port}" + ("/v1" if wire == "openai" else "")
    config = spec.config.model_dump(mode="json", exclude={"api_key"})
    return {**config, "wire": wire, "base_url": base, "api_key": f"key-of-{spec.name}"}


def _as_variables(section: str, settings: Settings) -> dict[str, str]:
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    return {f"FLEXIAI_{section}__{key}".upper(): _text(value) for key, value in changed.items()}


def _text(value: object) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
