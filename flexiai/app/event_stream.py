"""An answer told piece by piece, as server-sent events in OpenAI's shape.

Rules
-----
* The head goes out with the first piece: until then a failure is an ordinary answer with a status of its own.
* A stream that was told to its end ends with `[DONE]`; one that broke off ends with an error and without it, so that
  nobody takes a part for the whole.
* Usage is told if it was asked for (`stream_options.include_usage`), and a piece without anything else only then:
  clients that did not ask expect a choice in each piece.
* A caller that takes no piece for a whole request deadline is gone; the error at the end is offered for PARTING_S only,
  for a worker that ends may be waiting for that.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from starlette.types import Message, Send

from flexiai.app.incoming import CallerGone
from flexiai.app.openai import Answerer, now_s
from flexiai.app.replies import Header, Reply
from flexiai.chat import ChatChunk, ChunkChoice, Usage
from flexiai.stream import ChatStream

_HEAD = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # nginx would hold pieces back
)
_encode = msgspec.json.Encoder().encode
PARTING_S = 1.0


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """A piece as OpenAI tells it. `flexiai` names who answers, in the first one."""

    id: str
    created: int
    model: str
    choices: tuple[ChunkChoice, ...]
    usage: Usage | UnsetType = UNSET
    flexiai: Answerer | UnsetType = UNSET
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"


class EventStream:
    """The way of one streamed answer to its caller. `begun`: its head is out, and no other answer can be given."""

    def __init__(self, send: Send, patience_s: float) -> None:
        self._send = send
        self._patience_s = patience_s
        self.begun = False

    async def tell(self, stream: ChatStream, usage: bool, answerer: Answerer, *more: Header) -> None:
        """All of `stream`, with its usage if that is wanted. Its errors are raised; CallerGone if nobody takes it."""
        created = now_s()
        first: Answerer | UnsetType = answerer
        async with stream:
            async for chunk in stream:
                if chunk.choices or (usage and chunk.usage is not None):
                    await self._begin(more)
                    await self._put(_told(chunk, created, usage, first))
                    first = UNSET
        await self._begin(more)
        await self._out({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": False})

    async def break_off(self, reply: Reply) -> None:
        """End a stream that has begun with an error. CallerGone if nobody takes it."""
        self._patience_s = min(self._patience_s, PARTING_S)
        await self._put(reply.value, more_body=False)

    async def _begin(self, headers: tuple[Header, ...]) -> None:
        if not self.begun:
            self.begun = True
            await self._out({"type": "http.response.start", "status": 200, "headers": [*_HEAD, *headers]})

    async def _put(self, value: msgspec.Struct, *, more_body: bool = True) -> None:
        data = b"data: " + _encode(value) + b"\n\n"
        await self._out({"type": "http.response.body", "body": data, "more_body": more_body})

    async def _out(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await self._send(message)
        except TimeoutError:
            raise CallerGone from None


def _told(chunk: ChatChunk, created: int, usage: bool, answerer: Answerer | UnsetType) -> Chunk:
    return Chunk(
        id=chunk.id,
        created=chunk.created or created,
        model=chunk.model,
        choices=chunk.choices,
        usage=chunk.usage if usage and chunk.usage is not None else UNSET,
        flexiai=answerer,
    )
