"""How the harness tells a provider to break and to heal, on a port of its own.

PUT /_control/faults/<index>     an Order as JSON; in effect when it is answered
DELETE /_control/faults/<index>  heals it; healed when it is answered
GET /_control/state              what the provider is doing

Each is answered with a State.
"""

from __future__ import annotations

import asyncio

import msgspec
from aiohttp import web

from harness.real.provider.door import Door
from harness.real.provider.faults import Board, Order, Standing
from harness.real.provider.service import Service


class FaultState(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that was put, and its evidence so far: requests it shaped, connections it cut (refuse)."""

    index: int
    inject: str
    standing: bool
    shaped: int
    cut: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider is doing: requests that reached it so far, those not yet answered, whether it lets any in.

    `faults`: every fault ever put, by index; a healed one keeps its evidence.
    """

    requests: int
    in_flight: int
    open: bool
    faults: tuple[FaultState, ...]


class Control:
    """The control application of one provider."""

    def __init__(self, board: Board, service: Service, door: Door) -> None:
        self._board = board
        self._service = service
        self._door = door
        self._turn = asyncio.Lock()  # the door opens and shuts in the order in which it was told to

    def application(self) -> web.Application:
        """The web application."""
        app = web.Application()
        app.router.add_put("/_control/faults/{index:[0-9]+}", self._put)
        app.router.add_delete("/_control/faults/{index:[0-9]+}", self._heal)
        app.router.add_get("/_control/state", self._state)
        return app

    def state(self) -> State:
        """What the provider is doing."""
        return State(
            requests=self._service.requests,
            in_flight=self._service.in_flight,
            open=self._door.is_open,
            faults=tuple(
                FaultState(index=f.index, inject=f.order.inject, standing=f.stands, shaped=f.shaped, cut=f.cut)
                for f in self._board.all()
            ),
        )

    async def _put(self, request: web.Request) -> web.Response:
        try:
            order = msgspec.json.decode(await request.read(), type=Order)
        except msgspec.MsgspecError as error:
            return web.Response(status=400, text=f"not a fault: {error}\n")
        async with self._turn:
            fault = self._board.put(int(request.match_info["index"]), order)
            await self._set_door(fault)
        return _json(self.state())

    async def _heal(self, request: web.Request) -> web.Response:
        async with self._turn:
            fault = self._board.heal(int(request.match_info["index"]))
            if fault is None:
                return web.Response(status=404, text="no such fault stands\n")
            await self._set_door(fault)
        return _json(self.state())

    async def _state(self, _: web.Request) -> web.Response:
        return _json(self.state())

    async def _set_door(self, changed: Standing) -> None:
        if not self._board.standing("refuse"):
            await self._door.open()
        elif changed.order.inject == "refuse" and changed.stands:
            self._service.cut_off(changed)
            await self._door.shut(changed)


def _json(value: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")
