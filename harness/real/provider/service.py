"""The provider at work: takes requests in either wire format, thinks, and answers as its faults allow.

Rules
-----
* Every request that is read ends in the ledger once: ok, error, hung (no answer was ever given) or gone (the caller
  left, or the connection was cut, before the answer).
* An error takes as long as an answer would: a fault changes what is said; latency, and a stall in a stream, when. Who
  is turned away for want of capacity hears it at once.
* A stream's tokens come at its pace, once it has thought as long as for an answer.
* A hang lasts until its fault heals; the connection is then cut without an answer.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web

from harness.real.provider.faults import Board, Order, Shape, Standing
from harness.real.provider.latency import LogNormal
from harness.real.provider.ledger import Entry, Ledger, Result
from harness.real.provider.telling import ERROR, error_of, steps
from harness.real.provider.wire import Asked, Rejected, Told, Wire, tell

MAX_REQUEST = 64 * 1024 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s
_MESSAGES = {"rate_limit": "Rate limit reached"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How an answer is told. `tokens`: how many it has (None: the usual ones); interval_s: from one to the next."""

    tokens: int | None = None
    interval_s: float = 0.0


class Service:
    """Answers for provider `name`."""

    def __init__(self, name: str, board: Board, ledger: Ledger, latency: LogNormal, pace: Pace) -> None:
        self._name = name
        self._board = board
        self._ledger = ledger
        self._latency = latency
        self._pace = pace
        self._numbers = itertools.count(1)
        self._open: set[Entry] = set()
        self.requests = 0

    @property
    def in_flight(self) -> int:
        """Requests not yet answered."""
        return len(self._open)

    def application(self, wires: tuple[Wire, ...]) -> web.Application:
        """The web application that serves these formats, and the list of models."""
        app = web.Application(client_max_size=MAX_REQUEST)
        for wire in wires:
            app.router.add_post(wire.path, self._handler(wire))
        app.router.add_get("/v1/models", self._models)
        return app

    def cut_off(self, fault: Standing) -> None:
        """Say that what is under way, unless shaped already, is lost to `fault`: its connections will be reset."""
        for entry in self._open:
            entry.fault = fault.index if entry.fault is None else entry.fault

    async def _models(self, request: web.Request) -> web.Response:
        name = f"{self._name}-model"
        model = {"id": name, "object": "model", "created": 0, "owned_by": self._name}
        if "anthropic-version" in request.headers:
            model = {"id": name, "type": "model", "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
        return web.json_response({"object": "list", "data": [model], "has_more": False})

    def _handler(self, wire: Wire) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            entry = Entry(request.headers.get("X-Request-ID"))
            self.requests += 1
            self._open.add(entry)
            result: Result = "gone"
            status: int | None = None
            try:
                asked = _understood(wire, await request.read(), request)
                stream = isinstance(asked, Asked) and asked.stream
                shape = self._board.shape(stream=stream, under_way=self.in_flight)
                entry.fault = shape.fault
                if shape.answer is not None and shape.answer.order.inject == "hang":
                    result = "hung"
                    return await self._hang(request, shape.answer)
                response = await self._answer(wire, request, asked, shape)
                status = response.status
                lied = shape.answer is not None
                result = "error" if status >= 400 or lied else "ok"
                return response
            finally:
                self._open.discard(entry)
                self._ledger.enter(entry, result, status)

        return handle

    async def _hang(self, request: web.Request, fault: Standing) -> web.StreamResponse:
        await fault.healed.wait()
        return cut(request)

    async def _answer(
        self, wire: Wire, request: web.Request, asked: Asked | Rejected, shape: Shape
    ) -> web.StreamResponse:
        order = shape.answer.order if shape.answer is not None else None
        if isinstance(asked, Rejected) and order is None:
            return _json(wire.error(asked.status, asked.message), asked.status)
        if order is not None and order.inject == "capacity":
            return _refusal(wire, order)
        await asyncio.sleep(self._latency.draw() + shape.add_s)
        if order is not None and order.inject == "reset":
            return cut(request)
        if isinstance(asked, Rejected) or (order is not None and _instead(order, asked)):
            return _refusal(wire, order or Order(inject="error"))
        told = tell(self._name, asked, next(self._numbers), self._pace.tokens)
        if asked.stream:
            return await self._stream(wire, request, told, shape)
        return await _whole(wire, request, told, order)

    async def _stream(self, wire: Wire, request: web.Request, told: Told, shape: Shape) -> web.StreamResponse:
        lie = shape.answer.order if shape.answer is not None else None
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        for wait_s, data in steps(wire, told, self._pace.interval_s, shape.stall, lie):
            if wait_s:
                await asyncio.sleep(wait_s)
            await response.write(data)
        if lie is not None and lie.inject == "truncated":
            cut_short(request)
        return response


def cut(request: web.Request) -> web.StreamResponse:
    """Reset the connection of a request: nothing more reaches the caller, whatever is returned for it."""
    if request.transport is not None:
        reset(request.transport)
    return web.Response()


def reset(transport: asyncio.Transport) -> None:
    """End a connection as a dying host does: with a reset."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def cut_short(request: web.Request) -> None:
    """End the connection of a request in mid-answer, without a reset."""
    if request.transport is not None:
        request.transport.close()


def _understood(wire: Wire, body: bytes, request: web.Request) -> Asked | Rejected:
    try:
        return wire.understand(body, request.headers)
    except Rejected as rejected:
        return rejected


def _instead(order: Order, asked: Asked) -> bool:
    """Whether a fault answers in place of the answer, and not within it."""
    within = asked.stream and order.after_tokens is not None
    return order.inject in ("error", "rate_limit") or (order.inject == "error_body" and not within)


def _refusal(wire: Wire, order: Order) -> web.Response:
    status = 429 if order.inject == "rate_limit" else order.status
    body = error_of(wire, order, _MESSAGES.get(order.inject, ERROR))
    response = _json(body, 200 if order.inject == "error_body" else status)
    if order.retry_after is not None:
        response.headers["Retry-After"] = _told_as_date(order.retry_after) if order.date else f"{order.retry_after:g}"
    return response


def _told_as_date(wait_s: float) -> str:
    return formatdate(math.ceil(time.time() + wait_s), usegmt=True)


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


async def _whole(wire: Wire, request: web.Request, told: Told, order: Order | None) -> web.StreamResponse:
    body = wire.answer(told)
    if order is None:
        return _json(body)
    half = body[: len(body) // 2]
    if order.inject == "malformed":
        return _json(half)
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(half)
    cut_short(request)
    return response
