"""The provider servers of a run: one process each, driven through its control API."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import msgspec

from harness.faults import Fault, ProviderLatency
from harness.history import Entry, decode_line
from harness.real.child import Child, Children
from harness.real.provider.control import State
from harness.real.provider.faults import Order
from harness.scenario import ProviderSpec
from harness.world import WorldError

READY_TIMEOUT_S = 30.0
CONTROL_TIMEOUT_S = 5.0
_ORDERED = ("share", "status", "most", "retry_after", "date", "add", "spread", "after_tokens")
_INJECTED = {"cut": "truncated"}


@dataclass(slots=True)
class ProviderProcess:
    """One provider server. `port` speaks the vendor's format; faults and counts go through `control`."""

    spec: ProviderSpec
    child: Child
    port: int
    control: int
    ledger: Path

    @classmethod
    async def start(cls, spec: ProviderSpec, seed: int, folder: Path, children: Children) -> ProviderProcess:
        """Start it and await its ports."""
        ledger = folder / f"{spec.name}.jsonl"
        options = {
            "--name": spec.name,
            "--port": 0,
            "--ledger": ledger,
            "--latency-median": spec.latency.median,
            "--latency-p99": spec.latency.p99,
            "--tokens": spec.tokens,
            "--token-interval": spec.token_interval,
            "--seed": seed,
            "--wire": wire_of(spec),
        }
        flat = [str(part) for option in options.items() for part in option]
        command = [sys.executable, "-m", "harness.real.provider_server", *flat]
        child = await children.spawn(f"provider {spec.name}", command)
        port, control = await child.said("READY", READY_TIMEOUT_S)
        return cls(spec, child, int(port), int(control), ledger)

    async def inject(self, index: int, fault: Fault) -> None:
        """Put a fault in effect."""
        await self._ask("PUT", f"/_control/faults/{index}", msgspec.json.encode(_order(fault)))

    async def heal(self, index: int) -> None:
        """End a fault."""
        await self._ask("DELETE", f"/_control/faults/{index}")

    async def state(self) -> State:
        """What it is doing, and what each fault has changed so far."""
        return msgspec.json.decode(await self._ask("GET", "/_control/state"), type=State)

    def entries(self) -> list[Entry]:
        """The ledger, in absolute time."""
        if not self.ledger.exists():
            return []
        lines = self.ledger.read_bytes().splitlines()
        return [decode_line(line, f"{self.ledger}:{n}") for n, line in enumerate(lines, 1)]

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        url = f"http://127.0.0.1:{self.control}{path}"
        timeout = aiohttp.ClientTimeout(total=CONTROL_TIMEOUT_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.request(method, url, data=body) as answer:
                said = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self.child.trouble(f"does not answer its control API: {type(error).__name__}") from error
        if answer.status >= 400:
            raise WorldError(f"provider {self.spec.name} refused {method} {path}: {said.decode(errors='replace')}")
        return said


def wire_of(spec: ProviderSpec) -> str:
    """The HTTP format a scenario's provider speaks."""
    return spec.wire or ("anthropic" if spec.name == "anthropic" else "openai")


def _order(fault: Fault) -> Order:
    """A scenario's fault as the control API takes it."""
    told = {field: getattr(fault, field) for field in _ORDERED if hasattr(fault, field)}
    if isinstance(fault, ProviderLatency) and fault.grows:
        told["grow_s"] = fault.for_
    return msgspec.convert({"inject": _INJECTED.get(fault.name, fault.name), **told}, Order)
