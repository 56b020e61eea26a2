"""One worker's way to a simulated provider: flexiai's `Provider`, with the errors that an HTTP adapter raises."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest
from flexiai.core.outcome import Trouble
from harness.faults import Place, ProviderCapacity, ProviderHang, ProviderRefuse, ProviderStall
from harness.sim.standing import Standing, refusal

Result = Literal["ok", "error", "hung", "gone"]
REFUSED_AFTER_S = 0.0002  # one round trip


@dataclass(slots=True, eq=False)
class Flight:
    """A request under way.

    deadline  on the worker's clock (inf: its worker sees to that)
    stream    its answer is asked for piece by piece
    began     when it reached the provider, on the simulation's clock; None: not yet
    held_by   the fault whose healing it waits for
    reset     its connection is gone
    """

    request: str | None
    deadline: float
    stream: bool = False
    began: float | None = None
    result: Result = "gone"
    status: int | None = None
    fault: int | None = None
    held_by: Standing | None = None
    reset: bool = False
    waiter: asyncio.Future[None] = field(init=False)


class Shape(NamedTuple):
    """What faults do to a request: delay it, stall its stream, decide its answer."""

    add_s: float = 0.0
    stall: Standing | None = None
    deciding: Standing | None = None

    def pause_before(self, token: int, tokens: int) -> float:
        """How long the stream of so many tokens says nothing before its `token`-th (1…; one more: its end)."""
        if self.stall is None or token != min(self.stall.after_tokens, tokens) + 1:
            return 0.0
        return self.stall.fault.add if isinstance(self.stall.fault, ProviderStall) else 0.0

    def broken_before(self, token: int, tokens: int) -> Standing | None:
        """What ends the stream instead of its `token`-th token."""
        hit = self.deciding is not None and token == min(self.deciding.after_tokens, tokens) + 1
        return self.deciding if hit else None


NO_FAULT = Shape()


class Service(Protocol):
    """The provider at the other end."""

    name: str
    tokens: int
    token_interval_s: float
    standing: dict[int, Standing]

    def now(self) -> float:
        """The simulation's clock."""
        ...

    def think_s(self) -> float:
        """How long an answer takes."""
        ...

    def shape(self, flight: Flight) -> Shape:
        """What the faults of this moment do to it."""
        ...

    def answer(self, request: ChatRequest) -> ChatCompletion:
        """An answer."""
        ...

    def pieces(self, request: ChatRequest) -> Iterator[ChatChunk]:
        """An answer: its role, each token, its end."""
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
            deciding = (await self._arrived(flight)).deciding
            if deciding is not None:
                raise self._lied(flight, deciding)
            flight.result, flight.status = "ok", 200
            return self._service.answer(request)
        finally:
            self._landed(flight)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer piece by piece, or raise ProviderError."""
        flight = Flight(request.request_id, math.inf, stream=True)
        self.open[flight] = None
        service = self._service
        try:
            shape = await self._arrived(flight)
            if shape.deciding is not None and shape.deciding.instead:
                raise self._lied(flight, shape.deciding)
            for token, piece in enumerate(service.pieces(request)):
                if token > 0:
                    await self._next(flight, shape, token)
                if token > service.tokens:
                    flight.result, flight.status = "ok", 200
                yield piece
        finally:
            self._landed(flight)

    async def _next(self, flight: Flight, shape: Shape, token: int) -> None:
        """Wait for the `token`-th token, or for what comes instead."""
        service = self._service
        in_between = 1 < token <= service.tokens
        delay_s = shape.pause_before(token, service.tokens) + service.token_interval_s * in_between
        if delay_s or flight.reset:
            await self._wait(flight, delay_s)
        if service.standing:
            await self._pass(flight)
        if broken := shape.broken_before(token, service.tokens):
            raise self._lied(flight, broken)

    def _landed(self, flight: Flight) -> None:
        self.open.pop(flight, None)
        if flight.began is not None:
            self._service.enter(flight)

    def _lied(self, flight: Flight, deciding: Standing) -> Exception:
        flight.result, flight.status = "error", deciding.status
        return deciding.answer(self._service.name, self._service.now())

    async def _reach(self, flight: Flight) -> None:
        await self._pass(flight)
        if slow_s := sum(s.delay_s(self.place) for s in self._service.standing.values()):
            await self._wait(flight, slow_s)
        if any(isinstance(s.fault, ProviderRefuse) and s.touch() for s in self._service.standing.values()):
            await self._wait(flight, REFUSED_AFTER_S)
            raise refusal(self._service.name, Trouble.CONNECT, "no connection (connection refused)")

    async def _arrived(self, flight: Flight) -> Shape:
        """Reach the provider, and wait until it begins to answer: as what it returns says."""
        service = self._service
        if service.standing:
            await self._reach(flight)
        flight.began = service.now()
        shape = service.shape(flight) if service.standing else NO_FAULT
        if shape.deciding is not None and isinstance(shape.deciding.fault, ProviderHang):
            flight.result = "hung"
            await self._wait(flight, None, shape.deciding)
        if shape.deciding is None or not isinstance(shape.deciding.fault, ProviderCapacity):
            await self._wait(flight, service.think_s() + shape.add_s)
        if service.standing:
            await self._pass(flight)
        return shape

    async def _pass(self, flight: Flight) -> None:
        """Get through whatever keeps this worker and the provider apart."""
        while held_by := next((s for s in self._service.standing.values() if s.parts(self.place)), None):
            held_by.touch()
            await self._wait(flight, None, held_by)

    async def _wait(self, flight: Flight, delay_s: float | None, held_by: Standing | None = None) -> None:
        """Wait `delay_s`, or until `held_by` heals; ProviderError when the flight's time is up before."""
        if flight.reset:
            raise self._broken()
        loop = asyncio.get_running_loop()
        flight.waiter, flight.held_by = loop.create_future(), held_by
        timer = self._timer(loop, flight, math.inf if delay_s is None else loop.time() + delay_s)
        try:
            await flight.waiter
        finally:
            if timer is not None:
                timer.cancel()

    def _timer(self, loop: asyncio.AbstractEventLoop, flight: Flight, until: float) -> asyncio.TimerHandle | None:
        if until < flight.deadline:
            return loop.call_at(until, _settle, flight.waiter, None)
        if math.isinf(flight.deadline):
            return None
        late = refusal(self._service.name, Trouble.TIMEOUT, "no answer in time")
        return loop.call_at(flight.deadline, _settle, flight.waiter, late)

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
            flight.reset = True
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
