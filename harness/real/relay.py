"""Relaying bytes between a worker and an upstream, under rules. asyncio Protocols: a hop must cost little.

Rules of holding: what arrives while a `hold` applies is kept, reading stops (so that the sender's kernel buffers, then
the sender, feel it), and on release everything goes out in order, an end of the connection last.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import cast

from harness.real.owners import owners
from harness.real.wire_rules import Rule

HOST = "127.0.0.1"
CONNECT_S = 5.0


class Board:
    """The rules in effect, by index, and how many chunks and connections each has affected."""

    def __init__(self) -> None:
        self.rules: dict[int, Rule] = {}
        self.counts: dict[int, int] = {}

    def applying(self, upstream: str, pid: int | None) -> list[int]:
        """The indexes of the rules for a connection."""
        return [i for i, r in self.rules.items() if r.upstream == upstream and (r.pids is None or pid in r.pids)]

    def by_process(self, upstream: str) -> bool:
        """Whether a rule on this upstream asks whose a connection is."""
        return any(r.upstream == upstream and r.pids is not None for r in self.rules.values())

    def affected(self, index: int) -> None:
        """A rule changed something."""
        self.counts[index] = self.counts.get(index, 0) + 1


class Half(asyncio.Protocol):
    """One side of a link: what it receives goes to the other side."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.other: Half | None = None
        self.transport: asyncio.Transport | None = None
        self.waiting: deque[bytes | None] = deque()  # None: the end
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.link.made(self)

    def data_received(self, data: bytes) -> None:
        self._pass(data)

    def eof_received(self) -> bool:
        self._pass(None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._pass(None)
        self.link.lost(self)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.waiting:
            self.other.transport.resume_reading()

    def _pass(self, data: bytes | None) -> None:
        """Send on what was received, or keep it, as the rules say."""
        verdict = self.link.verdict()
        if verdict is None and not self.waiting:
            self.deliver(data)
        elif verdict is None or verdict > 0:
            self._later(data, verdict or 0.0)
        else:
            self.waiting.append(data)
            if self.transport is not None and not self.transport.is_closing():
                self.transport.pause_reading()

    def _later(self, data: bytes | None, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time() + delay_s)  # in order, also when a delay has just become shorter
        self.waiting.append(data)
        loop.call_at(self._due, self._next)

    def _next(self) -> None:
        if self.waiting and not self.link.held:
            self.deliver(self.waiting.popleft())

    def release(self) -> None:
        """Send on all that was held."""
        while self.waiting and self.other is not None and self.other.transport is not None:
            self.deliver(self.waiting.popleft())
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def deliver(self, data: bytes | None) -> None:
        """Write to the other side, or end it."""
        there = self.other.transport if self.other is not None else None
        if there is None:
            self.waiting.append(data)
        elif there.is_closing():
            return
        elif data is None:
            there.close()
        else:
            there.write(data)


class Link:
    """A worker's connection and ours to the upstream."""

    def __init__(self, upstream: str, port: int, board: Board, links: set[Link]) -> None:
        self.upstream = upstream
        self.pid: int | None = None
        self.held = False
        self.near = Half(self)
        self.far: Half | None = None
        self._port = port
        self._board = board
        self._links = links
        self._dialing: asyncio.Task[None] | None = None

    def made(self, half: Half) -> None:
        """A side is connected. The far side is dialled once the near one is there and nothing holds it."""
        if half is not self.near:
            return
        self._links.add(self)
        if self._board.by_process(self.upstream):
            identify([self])
        if self.verdict() is None or not self.held:
            self._dial()

    def lost(self, half: Half) -> None:
        """A side is gone; the link with it, unless something is still held for the other side."""
        if half is self.near and self._dialing is not None and self.far is None:
            self._dialing.cancel()
        if not self.held:
            self._links.discard(self)

    def verdict(self) -> float | None:
        """None: pass at once; > 0: seconds of delay; 0: hold. Counts what it decides; a reset is done here."""
        indexes = self._board.applying(self.upstream, self.pid)
        if not indexes:
            self.held = False
            return None
        rules = self._board.rules
        for index in indexes:
            self._board.affected(index)
        self.held = any(rules[i].action == "hold" for i in indexes)
        if any(rules[i].action == "reset" for i in indexes):
            self.reset()
        return 0.0 if self.held else sum(rules[i].delay_s for i in indexes) or None

    def obey(self) -> None:
        """The rules have changed: what was held may go, what stands may have to end."""
        rules = [self._board.rules[i] for i in self._board.applying(self.upstream, self.pid)]
        if any(rule.action == "reset" for rule in rules):
            self.verdict()
        was, self.held = self.held, any(rule.action == "hold" for rule in rules)
        if was and not self.held:
            self._release()

    def _release(self) -> None:
        if self.far is None:
            self._dial()
            return
        self.near.release()
        self.far.release()

    def reset(self) -> None:
        """End both sides at once; the worker sees a reset."""
        for half in (self.near, self.far):
            if half is not None and half.transport is not None:
                half.transport.abort()

    def _dial(self) -> None:
        if self._dialing is None:
            self._dialing = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        far = Half(self)
        far.other = self.near
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: far, HOST, self._port)
        except (OSError, TimeoutError):
            self.reset()  # nobody listens: the nearest thing to a refusal that an accepted connection can be told
            return
        self.far = self.near.other = far
        if not self.held:
            self.near.release()


def identify(links: list[Link]) -> None:
    """Find out whose these connections are."""
    pairs: dict[tuple[int, int], Link] = {}
    for link in links:
        transport = link.near.transport
        if transport is not None and link.pid is None and (peer := transport.get_extra_info("peername")):
            pairs[peer[1], transport.get_extra_info("sockname")[1]] = link
    for pair, pid in owners(pairs).items():
        pairs[pair].pid = pid
