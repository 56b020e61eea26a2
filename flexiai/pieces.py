"""A provider's answer, piece by piece.

Rules
-----
* Pieces that carry nothing of the answer (a role, an empty delta) are held back until one does, so that a provider
  that fails before it has said anything can be replaced without a trace.
* Only the wait for the provider is bounded: how long the caller takes between pieces is no provider's fault.
* However it ends, the provider's generator is closed, within CLOSE_TIMEOUT_S and whatever it raises: the outcome is
  known by then.
* Each piece may be asked for by another task, as long as one waits at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from flexiai.chat import (
    ChatChunk,
    ChatCompletion,
    ChatMessage,
    ChatRequest,
    ChunkChoice,
    Delta,
    FunctionDelta,
    ToolCallDelta,
)
from flexiai.core.outcome import Trouble
from flexiai.errors import ProviderError
from flexiai.limit import Limit

if TYPE_CHECKING:
    from flexiai.providers.base import Provider

CLOSE_TIMEOUT_S = 1.0


class Pieces:
    """What provider `name` answers.

    told           pieces of content handed on so far
    first_token_s  seconds from the attempt's begin to the first piece of content; None: none has come
    out_of_time    the last wait for a piece took too long
    """

    def __init__(self, name: str) -> None:
        self.told = 0
        self.first_token_s: float | None = None
        self.out_of_time = False
        self._name = name
        self._source: AsyncGenerator[ChatChunk, None] | None = None
        self._held: deque[ChatChunk] = deque()
        self._over = False

    async def open(self, provider: Provider, chat: ChatRequest, within_s: float) -> bool:
        """Ask, and wait for the first piece of content, or for the end of an answer that has none (False).

        Raises what the provider raises, and ProviderError if it ends without a piece.
        """
        async with Limit(within_s) as limit:
            try:
                self._source = _source_of(provider, chat, within_s)
                return await self._opened(self._source)
            finally:
                self.out_of_time = limit.expired()

    async def next(self, within_s: float) -> ChatChunk | None:
        """The next piece, None at the end; the provider may take `within_s` for it."""
        if self._held:
            chunk: ChatChunk | None = self._held.popleft()
        elif self._source is None or self._over:
            return None
        else:
            async with Limit(within_s) as limit:
                try:
                    chunk = await self._pulled(self._source)
                finally:
                    self.out_of_time = limit.expired()
        if chunk is not None and chunk.has_content:
            self.told += 1
        return chunk

    async def aclose(self) -> None:
        """Let go of the provider. Never raises an Exception."""
        if self._source is not None and not self._over:
            self._over = True
            with suppress(Exception):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._source.aclose()

    async def _opened(self, source: AsyncGenerator[ChatChunk, None]) -> bool:
        while (chunk := await self._pulled(source)) is not None:
            self._held.append(chunk)
            if chunk.has_content:
                return True
        if not self._held:
            raise ProviderError("the answer had no piece", provider=self._name, trouble=Trouble.MALFORMED)
        return False

    async def _pulled(self, source: AsyncGenerator[ChatChunk, None]) -> ChatChunk | None:
        chunk = await anext(source, None)
        self._over = chunk is None
        return chunk


def streams(provider: Provider) -> bool:
    """Whether a provider can answer piece by piece."""
    return hasattr(provider, "stream")


def _source_of(provider: Provider, chat: ChatRequest, timeout_s: float) -> AsyncGenerator[ChatChunk, None]:
    stream: Callable[[ChatRequest], AsyncGenerator[ChatChunk, None]] | None = getattr(provider, "stream", None)
    return _in_one_piece(provider, chat, timeout_s) if stream is None else stream(chat)


async def _in_one_piece(provider: Provider, chat: ChatRequest, timeout_s: float) -> AsyncGenerator[ChatChunk, None]:
    yield one_chunk(await provider.complete(chat, timeout_s=timeout_s))


def one_chunk(answer: ChatCompletion) -> ChatChunk:
    """A whole answer as the only piece of a stream."""
    return ChatChunk(
        id=answer.id,
        model=answer.model,
        created=answer.created,
        provider=answer.provider,
        usage=answer.usage,
        choices=tuple(
            ChunkChoice(index=c.index, delta=_delta(c.message), finish_reason=c.finish_reason) for c in answer.choices
        ),
    )


def _delta(message: ChatMessage) -> Delta:
    calls = tuple(
        ToolCallDelta(
            index=index,
            id=call.id,
            type=call.type,
            function=FunctionDelta(name=call.function.name, arguments=call.function.arguments),
        )
        for index, call in enumerate(message.tool_calls or ())
    )
    return Delta(role=message.role, content=message.content, tool_calls=calls or None)
