"""A load that costs next to nothing: keep-alive connections that each send the same bytes as soon as they are answered.

Written on asyncio's protocols, since a client library on the same two cores would be measured along with the server.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import cast

import uvloop

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """What a load saw. `latencies_s` sorted; `wrong`: answers that were not 200."""

    latencies_s: list[float]
    wall_s: float
    wrong: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_s) / self.wall_s

    def quantile_ms(self, q: float) -> float:
        """A latency quantile in milliseconds."""
        return self.latencies_s[min(len(self.latencies_s) - 1, int(q * len(self.latencies_s)))] * 1e3


def post(path: str, port: int, body: bytes, headers: str = "") -> bytes:
    """A request's bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def load(port: int, request: bytes, *, connections: int, requests: int, bound_s: float = 120.0) -> Load:
    """Send `requests` in all over `connections`; TimeoutError after `bound_s` seconds."""
    return uvloop.run(_load(port, request, connections, requests, bound_s))


async def _load(port: int, request: bytes, connections: int, requests: int, bound_s: float) -> Load:
    loop = asyncio.get_running_loop()
    share, latencies = requests // connections, list[float]()
    users = [_User(request, share, latencies, loop.create_future()) for _ in range(connections)]
    began = time.perf_counter()
    async with asyncio.timeout(bound_s):
        for user in users:
            await loop.create_connection(lambda user=user: user, "127.0.0.1", port)
        wrong = sum(await asyncio.gather(*(user.over for user in users)))
    return Load(sorted(latencies), time.perf_counter() - began, wrong)


class _User(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, request: bytes, share: int, latencies: list[float], over: asyncio.Future[int]) -> None:
        self.over = over
        self._request = request
        self._left = share
        self._latencies = latencies
        self._buffer = b""
        self._wrong = 0
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one, but not by inheritance
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(HEAD_END)
        if not found:
            return
        lowered = head.lower()
        if b"transfer-encoding: chunked" in lowered:
            if not self._buffer.endswith(b"0\r\n\r\n"):
                return
        elif len(body) < int(lowered.split(b"content-length:")[1].split(b"\r\n")[0]):
            return
        self._latencies.append(time.perf_counter() - self._sent_at)
        self._wrong += b" 200 " not in head[:16]
        self._buffer = b""
        self._left -= 1
        if self._left > 0:
            self._ask()
        else:
            self._finish(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc or ConnectionResetError("the server closed the connection"))

    def _ask(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def _finish(self, error: Exception | None) -> None:
        if self.over.done():
            return
        if error is None:
            self.over.set_result(self._wrong)
            self._transport.close()
        else:
            self.over.set_exception(error)
