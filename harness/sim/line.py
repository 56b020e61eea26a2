"""One worker's way to a simulated provider: flexiai's `Provider`, with the errors that an HTTP adapter raises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Literal, Protocol

from flexiai.chat import ChatCompletion, ChatRequest
from flexiai.core.outcome import Trouble
from harness.faults import Place, ProviderHang, ProviderRefuse
from harness.sim.standing import Standing, refusal

Result = Literal["ok", "error", "hung", "gone"]
REFUSED_AFTER_S = 0.0002  # one round trip


@dataclass(slots=True, eq=False)
class Flight:
    """A request under way.

    deadline  on the worker's clock
    began     when it reached the provider, on the simulation's clock; None: not yet
    held_by   the fault whose healing it waits for
    """

    request: str | None
    deadline: float
    began: float | None = None
    result: Result = "gone"
    status: int | None = None
    fault: int | None = None
    held_by: Standing | None = None
    waiter: asyncio.Future[None] = field(init=False)


class Service(Protocol):
    """The provider at the other end."""

    name: str
    standing: dict[int, Standing]

    def now(self) -> float:
        """The simulation's clock."""
        ...

    def think_s(self) -> float:
        """How long an answer takes."""
        ...

    def shape(self, flight: Flight) -> tuple[float, Standing | None]:
        """How much longer it takes, and what decides its answer."""
        ...

    def answer(self, request: ChatRequest) -> ChatCompletion:
        """An answer."""
        ...

    def enter(self, flight: Flight) -> None:
        """Write what became of a request into the ledger."""
        ...

    def drop(self, line: Line) -> None:
        """A worker is gone."""
        ...


class Line:
    """A provider as the worker at `place` sees it."""

    def __init__(self, service: Service, place: Place) -> None:
        self.place = place
        self.open: dict[Flight, None] = {}
        self._service = service

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        """Answer, or raise ProviderError."""
        flight = Flight(request.request_id, asyncio.get_running_loop().time() + timeout_s)
        self.open[flight] = None
        try:
            if self._service.standing:
                await self._reach(flight)
            return await self._served(flight, request)
        finally:
            self.open.pop(flight, None)
            if flight.began is not None:
                self._service.enter(flight)

    async def _reach(self, flight: Flight) -> None:
        await self._pass(flight)
        if any(isinstance(s.fault, ProviderRefuse) and s.touch() for s in self._service.standing.values()):
            await self._wait(flight, REFUSED_AFTER_S)
            raise refusal(self._service.name, Trouble.CONNECT, "no connection (connection refused)")

    async def _served(self, flight: Flight, request: ChatRequest) -> ChatCompletion:
        service = self._service
        flight.began = service.now()
        add_s, deciding = service.shape(flight) if service.standing else (0.0, None)
        if deciding is not None and isinstance(deciding.fault, ProviderHang):
            flight.result = "hung"
            await self._wait(flight, None, deciding)
        await self._wait(flight, service.think_s() + add_s)
        if service.standing:
            await self._pass(flight)
        if deciding is not None:
            flight.result, flight.status = "error", deciding.status
            raise deciding.answer(service.name)
        flight.result, flight.status = "ok", 200
        return service.answer(request)

    async def _pass(self, flight: Flight) -> None:
        """Get through whatever keeps this worker and the provider apart."""
        while held_by := next((s for s in self._service.standing.values() if s.parts(self.place)), None):
            held_by.touch()
            await self._wait(flight, None, held_by)

    async def _wait(self, flight: Flight, delay_s: float | None, held_by: Standing | None = None) -> None:
        """Wait `delay_s`, or until `held_by` heals; ProviderError when the flight's time is up before."""
        loop = asyncio.get_running_loop()
        flight.waiter, flight.held_by = loop.create_future(), held_by
        until = flight.deadline if delay_s is None else loop.time() + delay_s
        if until < flight.deadline:
            timer = loop.call_at(until, _settle, flight.waiter, None)
        else:
            late = refusal(self._service.name, Trouble.TIMEOUT, "no answer in time")
            timer = loop.call_at(flight.deadline, _settle, flight.waiter, late)
        try:
            await flight.waiter
        finally:
            timer.cancel()

    def abandon(self) -> None:
        """The worker is gone."""
        self._service.drop(self)

    def healed(self, standing: Standing) -> None:
        """A fault is over: what it held goes on, what it hung is cut."""
        for flight in self.open:
            if flight.held_by is standing:
                _settle(flight.waiter, self._broken() if isinstance(standing.fault, ProviderHang) else None)

    def cut(self, standing: Standing) -> None:
        """Every connection is reset, by a fault."""
        for flight in self.open:
            standing.touch()
            flight.fault = standing.index
            _settle(flight.waiter, self._broken())

    def _broken(self) -> Exception:
        why = "the connection broke before the answer was complete (connection reset)"
        return refusal(self._service.name, Trouble.DISCONNECT, why)


def _settle(waiter: asyncio.Future[None], error: Exception | None) -> None:
    if waiter.done():
        return
    if error is None:
        waiter.set_result(None)
    else:
        waiter.set_exception(error)
