"""A simulated worker: a process that runs the production client and answers the requests that its kernel hands it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from flexiai.client import AsyncFlexiAI
from flexiai.errors import NoProviderAvailable, ProviderError, StreamBroken
from harness.faults import Place
from harness.sim.line import Line
from harness.sim.process import SimProcess

QUESTION = ({"role": "user", "content": "Is anybody there?"},)


@dataclass(frozen=True, slots=True)
class Reply:
    """How a request ended, as the load is told of it.

    chunks  pieces of content it was told, if its answer was a stream
    told_s  how long that took, from the first of them to the end
    """

    result: Literal["ok", "fail", "info"]
    provider: str | None = None
    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    chunks: int | None = None
    told_s: float = 0.0


Answered = Callable[[str, Reply], None]
BROKEN = Reply("info", error="the connection broke")


class SimWorker:
    """A worker at a place. `lines`: its ways to the providers. `open`: requests it has taken, and whom to answer.

    As the app does, it gives up a request whose caller has left, and tells a stream as it comes: one that breaks off
    ends in an error after a 200.
    """

    _client: AsyncFlexiAI

    def __init__(
        self,
        name: str,
        place: Place,
        process: SimProcess,
        make_client: Callable[[], AsyncFlexiAI],
        lines: Mapping[str, Line],
        *,
        on_ready: Callable[[SimWorker], None],
    ) -> None:
        self.name = name
        self.place = place
        self.process = process
        self.lines = lines
        self.ready = False
        self.open: dict[str, Answered] = {}
        self._make_client = make_client
        self._on_ready = on_ready
        self._started = asyncio.Event()
        self._ending = False
        self._serving: dict[str, asyncio.Task[None]] = {}

    @property
    def accepts(self) -> bool:
        """Whether it takes new connections."""
        return self.ready and not self.process.paused and not self.process.ended

    def start(self) -> None:
        """Begin to live."""
        self.process.run(self._live())

    def take(self, request: str, stream: bool, answered: Answered) -> None:
        """A request comes in on a connection of its own."""
        self.open[request] = answered
        self.process.loop.happened(self._serve, request, stream)

    def leave(self, request: str) -> None:
        """A request's caller has closed its connection."""
        if self.open.pop(request, None) is not None:
            self.process.loop.happened(self._give_up, request)

    def operate(self, speak: Callable[[AsyncFlexiAI], None]) -> None:
        """An operator's request comes in; a worker that is gone by then does not hear it."""
        if not self.process.ended:
            self.process.loop.happened(speak, self._client)

    def terminate(self, grace_s: float) -> None:
        """Take no more requests, give those under way `grace_s` to end, close the client, and end, as uvicorn does.

        As there, a start that is under way comes to its end first, and being told twice changes nothing.
        """
        self.ready = False
        if self._ending:
            return
        self._ending = True
        self.process.terminate(self._shut_down(grace_s), 2 * grace_s)

    def break_off(self) -> None:
        """The process is gone: whoever waits for an answer sees the connection break, the providers too."""
        for line in self.lines.values():
            line.abandon()
        lost, self.open = self.open, {}
        for request, answered in lost.items():
            answered(request, BROKEN)

    async def _live(self) -> None:
        self._client = self._make_client()  # in the process, as an app's start-up does
        await self._client.start()
        self._started.set()
        if not self._ending:
            self.ready = True
            self._on_ready(self)

    def _serve(self, request: str, stream: bool) -> None:
        if request not in self.open:
            return  # its caller left before it was read
        self._serving[request] = self.process.loop.create_task(self._answer(request, stream))

    def _give_up(self, request: str) -> None:
        if (task := self._serving.get(request)) is not None:
            task.cancel()

    async def _answer(self, request: str, stream: bool) -> None:
        try:
            await (self._tell if stream else self._ask)(request)
        finally:
            self._serving.pop(request, None)

    async def _ask(self, request: str) -> None:
        try:
            answer = await self._client.chat.completions.create(messages=QUESTION, max_tokens=16, request_id=request)
            reply = Reply("ok", answer.provider, 200)
        except (NoProviderAvailable, ProviderError) as error:
            reply = refused(error)
        self._reply(request, reply)

    async def _tell(self, request: str) -> None:
        try:
            stream = await self._client.chat.completions.create(messages=QUESTION, stream=True, request_id=request)
        except (NoProviderAvailable, ProviderError) as error:
            self._reply(request, refused(error))
            return
        began, chunks, broken = self.process.loop.time(), 0, None
        async with stream:
            try:
                async for chunk in stream:
                    chunks += chunk.has_content
            except StreamBroken as error:
                broken = str(error)
        told_s = self.process.loop.time() - began
        result: Literal["ok", "fail"] = "ok" if broken is None else "fail"
        self._reply(request, Reply(result, stream.provider, 200, broken, chunks=chunks, told_s=told_s))

    def _reply(self, request: str, reply: Reply) -> None:
        if answered := self.open.pop(request, None):
            answered(request, reply)

    async def _shut_down(self, grace_s: float) -> None:
        await self._started.wait()
        if self._serving:
            _, late = await asyncio.wait(self._serving.values(), timeout=grace_s)
            for task in late:
                task.cancel()
        await self._client.aclose()


def refused(error: NoProviderAvailable | ProviderError) -> Reply:
    """What the app answers to a request that ended in an error."""
    if isinstance(error, ProviderError):
        rejected = error.status is not None and 400 <= error.status < 500
        return Reply("fail", error.provider, error.status if rejected else 400, str(error))
    late = bool(error.said) and error.said[-1].reason == "deadline"
    return Reply("fail", None, 504 if late else 503, str(error), math.ceil(error.retry_after_s))
