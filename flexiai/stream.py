"""A streamed answer, as the caller of an AsyncFlexiAI holds it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from types import TracebackType

from flexiai.chat import ChatChunk


class ChatStream:
    """An answer piece by piece: `async for chunk in stream`, within `async with stream` or with `aclose` at the end.

    The first piece of content is there when the caller gets it. A caller that leaves early, in whatever way, takes
    nothing with it: the provider's connection is closed, and the provider is not blamed. Without `aclose` that happens
    when the stream is collected.

    provider  who answers
    """

    def __init__(self, first: ChatChunk, rest: AsyncGenerator[ChatChunk, None]) -> None:
        self.provider = first.provider
        self._first: ChatChunk | None = first
        self._rest = rest

    def __aiter__(self) -> ChatStream:
        return self

    async def __anext__(self) -> ChatChunk:
        """The next piece. StreamBroken if the answer broke off: no other provider goes on with it."""
        first, self._first = self._first, None
        return first if first is not None else await anext(self._rest)

    async def aclose(self) -> None:
        """Leave, if it is not over. RuntimeError while another task awaits a piece: that task is to be cancelled."""
        self._first = None
        await self._rest.aclose()

    async def __aenter__(self) -> ChatStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
