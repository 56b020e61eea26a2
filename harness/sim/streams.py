"""asyncio's side of a simulated socket: a transport. The rules are asyncio's own; a contract test holds them together.

What comes from the network becomes a callback of the process's loop, so it waits while the process is busy or frozen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from harness.sim.sockets import End

if TYPE_CHECKING:
    from harness.sim.dialing import Streams

HIGH_WATER_BYTES = 65_536


class SimTransport(asyncio.Transport):
    """A connection, as asyncio protocols and streams use it."""

    __slots__ = ("_closing", "_end", "_high", "_loop", "_lost", "_low", "_protocol", "_read_due", "_reading", "_sated")

    def __init__(
        self, loop: Streams, end: End, protocol: asyncio.BaseProtocol, *, peername: tuple[str, int] | None = None
    ) -> None:
        super().__init__({"peername": peername, "sockname": (loop.host, 0), "socket": None})
        self._loop = loop
        self._end = end
        self._protocol = cast("asyncio.Protocol", protocol)
        self._closing = False  # close() or abort() was called, or it broke
        self._lost = False  # connection_lost is on its way
        self._reading = True
        self._read_due = False
        self._sated = False  # the protocol was told to pause writing
        self.set_write_buffer_limits()
        self._protocol.connection_made(self)
        end.on_readable = self._came
        end.on_sent = self._went
        if end.readable or end.eof or end.error is not None:
            self._read_soon()

    # -- reading

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if self._closing or self._reading:
            return
        self._reading = True
        self._read_soon()

    def _came(self) -> None:
        if self._reading and not self._read_due and not self._closing:
            self._read_due = True
            self._loop.happened(self._read)

    def _read_soon(self) -> None:
        if not self._read_due:
            self._read_due = True
            self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._read_due = False
        end = self._end
        if self._closing or not self._reading:
            return
        if end.readable:
            self._protocol.data_received(end.take())
            if end.eof or end.error is not None:
                self._read_soon()
        elif end.error is not None:
            self._break(end.error)
        elif end.eof and not self._protocol.eof_received():
            self.close()

    # -- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._end.finishing:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._lost:
            return
        self._end.send(bytes(data))
        if not self._sated and self._end.unsent > self._high:
            self._sated = True
            self._protocol.pause_writing()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._closing:
            self._end.finish()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else (4 * low if low is not None else HIGH_WATER_BYTES)
        self._low = low if low is not None else self._high // 4
        if not self._high >= self._low >= 0:
            raise ValueError(f"high ({self._high!r}) must be >= low ({self._low!r}) must be >= 0")

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return self._end.unsent

    def _went(self) -> None:
        if self._sated or self._closing:
            self._loop.happened(self._drained)

    def _drained(self) -> None:
        if self._sated and self._end.unsent <= self._low:
            self._sated = False
            self._protocol.resume_writing()
        if self._closing and not self._lost and not self._end.unsent:
            self._lose(None)

    # -- ending

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        if not self._end.unsent:
            self._lose(None)

    def abort(self) -> None:
        self._break(None)

    def _break(self, error: Exception | None) -> None:
        self._closing = True
        self._end.forget_unsent()
        if not self._lost:
            self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._lost = True
        self._loop.call_soon(self._call_connection_lost, error)

    def _call_connection_lost(self, error: Exception | None) -> None:
        try:
            self._protocol.connection_lost(error)
        finally:
            self._loop.forget(self._end)
            self._end.close()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)
