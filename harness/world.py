"""The seam between a scenario and where it happens.

`harness.run` is one coroutine that drives any world: it starts the load, injects and heals each fault at its time,
and ends. In simulation that coroutine runs on a simulated event loop, so that its sleeps take no time at all.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine
from typing import Any, Literal, Protocol, TypeVar

from harness.faults import Fault, Place
from harness.history import Entry, Happening, History

T = TypeVar("T")


Hear = Callable[[Entry, float], None]
"""Takes an entry of the history, and when it happened: seconds since the run began."""


class Unsupported(ValueError):
    """A fault that this world cannot do; refused before the run."""


class WorldError(RuntimeError):
    """The world itself broke (a process that would not start, a port in use): nothing is known of the fleet."""


def refusal_of(fault: Fault, mode: Literal["sim", "real"], makers: Container[type[Fault]]) -> str | None:
    """Why a world whose injectors are `makers` cannot do `fault`, or None."""
    if mode not in fault.worlds:
        where = "in simulation" if mode == "sim" else "for real"
        return f"'{fault.name}' on {fault.of} cannot be done {where}: {fault.why_not}"
    return None if type(fault) in makers else f"no way is known to inject '{fault.name}' on {fault.of} here"


class World(Protocol):
    """Where a scenario happens. Used once: execute(drive), where drive awaits the other verbs, then history()."""

    mode: Literal["sim", "real"]

    def record(self, entry: Happening) -> None:
        """Take one of the harness's own happenings, stamped with `now()`."""
        ...

    def listen(self, hear: Hear) -> None:
        """Tell `hear` of everything that happens, as soon as it is known. Said before anything starts."""
        ...

    def refuses(self, fault: Fault) -> str | None:
        """Why this world cannot do `fault`, or None."""
        ...

    def execute(self, drive: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in this world's time, to its end; everything the world started is stopped after it."""
        ...

    def now(self) -> float:
        """Seconds since the run began (negative during start-up)."""
        ...

    async def start(self) -> None:
        """Start Redis, providers and workers; returns when every worker is ready. Run time is 0 when it returns."""
        ...

    def check(self) -> None:
        """Raise WorldError if something of the world itself broke that no fault was to break."""
        ...

    async def start_load(self) -> None:
        """Begin to send the scenario's load; returns at once."""
        ...

    async def inject(self, index: int, places: tuple[Place, ...]) -> tuple[str, ...]:
        """Put fault `index` in effect, on the workers at `places`, if on any; on what. In effect when it returns."""
        ...

    async def heal(self, index: int) -> None:
        """End the scenario's fault `index`. Healed when it returns."""
        ...

    async def finish_load(self, timeout_s: float) -> None:
        """Await the end of every request sent, at most `timeout_s`; what is then still open is recorded as `info`."""
        ...

    async def stop(self) -> None:
        """Stop everything in good order. May be called at any time, more than once."""
        ...

    def history(self) -> History:
        """All that happened."""
        ...
