"""Providers and events for the tests of the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from dataclasses import dataclass, field
from random import Random
from typing import Any

from flexiai import AsyncFlexiAI, BreakerConfig, ChatCompletion, ProviderConfig, RequestConfig
from flexiai.chat import ChatChunk, ChatMessage, ChatRequest, Choice, ChunkChoice, Delta
from flexiai.core.outcome import Trouble
from flexiai.errors import ProviderError
from flexiai.events import Event

HELLO = [{"role": "user", "content": "hello"}]
LONG_S = 30.0  # a bound that no test comes near


def answer_of(name: str) -> ChatCompletion:
    return ChatCompletion(id="1", model="m", choices=(Choice(message=ChatMessage(content="hi")),), provider=name)


def status(code: int, *, retry_after_s: float | None = None) -> ProviderError:
    return ProviderError(f"HTTP {code}", provider="?", trouble=Trouble.STATUS, status=code, retry_after_s=retry_after_s)


@dataclass
class Scripted:
    """Does what its script says, one line a call; then answers. A line: an error to raise, or a coroutine to await."""

    name: str
    script: list[BaseException | Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    asked: list[ChatRequest] = field(default_factory=list)

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        self.asked.append(request)
        assert 0 < timeout_s < 86_400
        if self.script:
            line = self.script.pop(0)
            if isinstance(line, BaseException):
                raise line
            await line()
        return answer_of(self.name)


ROLE = Delta(role="assistant")
Line = str | Delta | BaseException | Callable[[], Coroutine[Any, Any, None]]


def chunk_of(name: str, line: str | Delta) -> ChatChunk:
    delta = Delta(content=line) if isinstance(line, str) else line
    return ChatChunk(id="1", model="m", choices=(ChunkChoice(delta=delta),), provider=name)


@dataclass
class Speaking(Scripted):
    """Streams what its script says, a list of lines a call; then "hi". `open`: connections now held, `begun`: ever.

    A line: a piece to tell, an error to raise, or a coroutine to await.
    """

    script: list[Any] = field(default_factory=list)
    open: int = 0
    begun: int = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        self.asked.append(request)
        self.open += 1
        self.begun += 1
        try:
            await asyncio.sleep(0)
            for line in self.script.pop(0) if self.script else [ROLE, "hi"]:
                if isinstance(line, BaseException):
                    raise line
                if isinstance(line, str | Delta):
                    yield chunk_of(self.name, line)
                else:
                    await line()
        finally:
            self.open -= 1


async def forever() -> None:
    await asyncio.Event().wait()


@dataclass
class Fleet:
    """A client over scripted providers `a`, `b`, … in this order, and what it said."""

    client: AsyncFlexiAI
    providers: list[Any]
    events: list[Event]

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    def only(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


def fleet(
    *scripts: list[Any],
    breaker: BreakerConfig | None = None,
    request: RequestConfig | None = None,
    kind: type[Scripted] = Scripted,
    **more: Any,
) -> Fleet:
    providers = [kind("abcdef"[i], list(script)) for i, script in enumerate(scripts)]
    events: list[Event] = []
    client = AsyncFlexiAI(
        providers=[ProviderConfig(name=p.name, model="m", priority=i) for i, p in enumerate(providers)],
        custom={p.name: p for p in providers},
        breaker=breaker,
        request=request,
        listeners=[events.append, *more.pop("listeners", ())],
        worker="w",
        rng=Random(1),
        **more,
    )
    return Fleet(client, providers, events)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, LONG_S))
