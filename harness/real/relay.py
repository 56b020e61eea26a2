"""Relaying bytes between a worker and an upstream, under rules. asyncio Protocols: a hop must cost little.

Rules
-----
* What arrives while a `hold` applies is kept, reading stops (so that the sender's kernel buffers, then the sender, feel
  it), and on release everything goes out in order, an end of the connection last.
* A new connection that is held is not dialled; whoever gives up meanwhile never reaches the upstream.
* What is dropped is gone; the connection then ends with a reset once nothing is dropped any more.
* A delay is a lower bound, each way, and keeps the order.
* A connection to Redis is cut into frames where rules may be about messages and commands.
* A rule counts what it changed: connections kept waiting or reset, chunks held, dropped or delayed, messages lost,
  commands denied.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Mapping
from typing import cast

from harness.real.board import Board
from harness.real.owners import owners
from harness.real.resp_frames import Frames, is_message, words
from harness.real.wire_rules import Action, Rule, Toward

HOST = "127.0.0.1"
WAYS: tuple[Toward, ...] = ("upstream", "worker")
CONNECT_S = 5.0
TIMER_S = 0.001
"""The shortest wait asked of a loop: uvloop's timers are in whole milliseconds, and may be early by a part of one."""
ALWAYS_ALLOWED = (b"HELLO", b"AUTH", b"QUIT")
"""Commands that Redis answers as ever while it denies the others."""
OUTSIDE_CHUNKS = 16
"""How many chunks are taken from a connection that is not dialled yet."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for 0 s


class Half(asyncio.Protocol):
    """One side of a link: what it receives goes to the other side."""

    def __init__(self, link: Link, toward: Toward) -> None:
        self.link = link
        self.toward = toward
        self._frames = Frames() if link.redis else None
        self._free_at = 0.0  # when a throttled way has carried all that came
        self.other: Half | None = None
        self.transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[float, bytes | None]] = deque()  # when due, and what; None: the end
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._full = False  # what was written to it has not gone out
        self._ended = False

    # -- what the loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.link.made(self)

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            data = self._sifted(self._frames.feed(data))
            if not data:
                return
        self._pass(data)

    def eof_received(self) -> bool:
        self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self.link.lost(self)

    def pause_writing(self) -> None:
        self._full = True
        if self.other is not None:
            self.other.read(False)

    def resume_writing(self) -> None:
        self._full = False
        if self.other is not None:
            self.other.flush()

    # -- passing on

    def _sifted(self, frames: list[bytes]) -> bytes:
        """The frames that go on: without lost messages, and commands that were denied."""
        if self.toward == "worker":
            return b"".join(frame for frame in frames if not (is_message(frame) and self.link.mutes()))
        return b"".join(frame for frame in frames if not self._denied(frame))

    def _denied(self, frame: bytes) -> bool:
        error = self.link.denial(words(frame))
        if error is not None and self.transport is not None:
            self.transport.write(f"-{error}\r\n".encode())
        return error is not None

    def _end(self) -> None:
        if self._ended:
            return
        self._ended = True
        if self._frames is not None and (rest := self._frames.rest()):
            self._pass(rest)
        if self.link.outside:
            self.link.reset()
        self._pass(None)

    def _pass(self, data: bytes | None) -> None:
        """Send on what was received, or keep it, as the rules say."""
        if self.link.broken:
            return
        if self.link.drops(self.toward):
            return
        delay_s = self._delay_s(data)
        if delay_s is None and not self._waiting and self._open:
            self._deliver(data)
            return
        self._due = max(self._due, time.monotonic() + (delay_s or 0.0))  # in order, also when a delay becomes shorter
        self._waiting.append((self._due, data))
        if self._open:
            self._wake_when_due()
        elif not self.link.outside or len(self._waiting) >= OUTSIDE_CHUNKS:
            self.read(False)

    def _delay_s(self, data: bytes | None) -> float | None:
        delay_s, rate = self.link.slowness(self.toward)
        if rate is None:
            return delay_s
        now = time.monotonic()
        self._free_at = max(now, self._free_at) + len(data or b"") / rate
        return (delay_s or 0.0) + self._free_at - now

    def flush(self) -> None:
        """Send on all that is due, unless held."""
        if not self._open:
            return
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            self._deliver(self._waiting.popleft()[1])
        self._wake_when_due()
        self.read(self.other is None or not self.other._full)

    @property
    def _open(self) -> bool:
        """Whether the other side is there, and nothing holds what goes to it."""
        return self.other is not None and self.other.transport is not None and self.toward not in self.link.held

    def _wake_when_due(self) -> None:
        if self._waiting and self._timer is None:
            wait_s = max(TIMER_S, self._waiting[0][0] - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.flush()

    def _deliver(self, data: bytes | None) -> None:
        there = self.other.transport if self.other is not None else None
        if there is None or there.is_closing():
            return
        if data is None:
            there.close()
        else:
            there.write(data)

    def read(self, more: bool) -> None:
        """Go on reading, or let what comes wait in the kernel."""
        if self.transport is None or self.transport.is_closing():
            return
        if more:
            self.transport.resume_reading()
        else:
            self.transport.pause_reading()

    def reset(self) -> None:
        """End this side as a dying host does."""
        if self.transport is not None and not self.transport.is_closing():
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()


class Link:
    """A worker's connection and ours to the upstream. `pid`: the worker's process, once it was asked for.

    ports  where each upstream is; `redis`: whether this one speaks RESP
    held   the directions in which bytes wait
    """

    def __init__(
        self, upstream: str, ports: Mapping[str, int], board: Board, links: set[Link], *, redis: bool = False
    ) -> None:
        self.upstream = upstream
        self.redis = redis
        self.pid: int | None = None
        self.held: frozenset[Toward] = frozenset()
        self.broken = False
        self.near = Half(self, "upstream")
        self.far: Half | None = None
        self._torn = False  # bytes of it were dropped
        self._ports = ports
        self._board = board
        self._links = links
        self._dialing: asyncio.Task[None] | None = None

    def made(self, half: Half) -> None:
        """A side is connected. The far side is dialled once the near one is there and nothing holds it."""
        if half is not self.near:
            return
        self._links.add(self)
        identify([self], self._board)
        self._affect("hold", "upstream")
        self.obey()
        if not self.outside and not self.broken and not self.drops("upstream"):
            self._dial()

    @property
    def outside(self) -> bool:
        """Whether it is held and not dialled. It is then read from, up to a bound: else nobody hears it give up."""
        return "upstream" in self.held and self.far is None

    def lost(self, half: Half) -> None:
        """A side is gone; the link with it, unless something is held for the other side."""
        if half is self.near and self.far is None:
            self.broken = True
            if self._dialing is not None:
                self._dialing.cancel()
        if self.broken or not self.held:
            self._links.discard(self)

    def slowness(self, toward: Toward) -> tuple[float | None, float | None]:
        """By how much a chunk is delayed (None: not at all; held ones wait besides), and how many bytes a second may
        pass (None: any). Counts it for the rules."""
        if not self._board.rules or self._affect("hold", toward):
            return None, None
        delay_s = sum(self._board.delay_s(rule) for rule in self._affect("delay", toward)) or None
        return delay_s, min((rule.rate for rule in self._affect("throttle", toward)), default=None)

    def drops(self, toward: Toward) -> bool:
        """Whether what goes in this direction is lost now."""
        lost = bool(self._board.rules) and bool(self._affect("drop", toward))
        self._torn |= lost
        return lost

    def mutes(self) -> bool:
        """Whether a message that came now is lost."""
        return bool(self._board.rules) and self._board.mutes(self.upstream, self.pid)

    def denial(self, command: list[bytes]) -> str | None:
        """The error to answer to a command that came now, if any."""
        if not self._board.rules or not command or command[0].upper() in ALWAYS_ALLOWED:
            return None
        return next((rule.error for rule in self._affect("deny", "upstream")), None)

    def obey(self) -> None:
        """The rules have changed: what was held may go, what stands may have to end."""
        if self._affect("reset", None) or (self._torn and not self._applies("drop", None)):
            self.reset()
            return
        was = self.held
        self.held = frozenset(way for way in WAYS if self._applies("hold", way))
        if was - self.held:
            self._release()

    def _affect(self, action: Action, toward: Toward | None) -> list[Rule]:
        return self._board.affect(self.upstream, self.pid, action, toward)

    def _applies(self, action: Action, toward: Toward | None) -> bool:
        return bool(self._board.applying(self.upstream, self.pid, action, toward))

    def _release(self) -> None:
        if self.far is None:
            if not self.outside:
                self._dial()
            return
        self.near.flush()
        self.far.flush()

    def reset(self) -> None:
        """End both sides at once; whoever is there sees a reset."""
        self.broken = True
        self._links.discard(self)
        self.near.reset()
        if self.far is not None:
            self.far.reset()

    def _dial(self) -> None:
        if self._dialing is None:
            self._dialing = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        far = Half(self, "worker")
        far.other = self.near
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: far, HOST, self._ports[self.upstream])
        except (OSError, TimeoutError):
            self.reset()  # nobody listens: the nearest thing to a refusal that an accepted connection can be told
            return
        if self.broken:
            far.reset()
            return
        self.far = self.near.other = far
        self.near.flush()


def identify(links: list[Link], board: Board) -> None:
    """Find out which of these connections belong to processes that the rules name."""
    among = board.pids()
    if not among:
        return
    pairs: dict[tuple[int, int], Link] = {}
    for link in links:
        transport = link.near.transport
        if transport is not None and link.pid is None and (peer := transport.get_extra_info("peername")):
            pairs[peer[1], transport.get_extra_info("sockname")[1]] = link
    for pair, pid in owners(pairs, among).items():
        pairs[pair].pid = pid
