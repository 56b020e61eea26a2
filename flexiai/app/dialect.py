"""How a chat endpoint reads a request and tells its answer: FlexiAI's own way, or OpenAI's."""

from __future__ import annotations

from typing import Protocol

import msgspec

from flexiai.app.bodies import Body
from flexiai.app.replies import ChatReply, FullChatReply, Reply
from flexiai.app.worker import Worker
from flexiai.chat import ChatCompletion, ChatRequest


class Asked(msgspec.Struct, frozen=True):
    """A request: whether its answer is to come piece by piece, and with usage at the end of that."""

    chat: ChatRequest
    stream: bool = False
    usage: bool = False


class Dialect(Protocol):
    """One way to speak."""

    def asked(self, body: bytes, worker: Worker, asked_as: str) -> Asked:
        """What a body asks, under this id; raises what `refusals.refusal` knows."""
        ...

    def told(self, completion: ChatCompletion, worker_id: int, asked_as: str) -> msgspec.Struct:
        """An answer as it is told."""
        ...

    def refused(self, reply: Reply) -> Reply:
        """A refusal as it is told."""
        ...


class Direct:
    """The dialect of `/chat/direct` and, told in full, of `/chat`."""

    def __init__(self, body: type[Body], *, whole: bool) -> None:
        self._body = body
        self.told = _whole if whole else _text_only

    def asked(self, body: bytes, _: Worker, asked_as: str) -> Asked:
        """What a body asks; pydantic's ValidationError if it is no request."""
        return Asked(self._body.model_validate_json(body).asked(asked_as))

    def refused(self, reply: Reply) -> Reply:
        """As it is."""
        return reply


def _text_only(completion: ChatCompletion, worker_id: int, asked_as: str) -> ChatReply:
    return ChatReply(
        response=_text(completion),
        provider=completion.provider,
        model=completion.model,
        usage=completion.usage,
        worker_id=worker_id,
        request_id=asked_as,
    )


def _whole(completion: ChatCompletion, worker_id: int, asked_as: str) -> FullChatReply:
    return FullChatReply(
        response=_text(completion),
        provider=completion.provider,
        model=completion.model,
        usage=completion.usage,
        worker_id=worker_id,
        request_id=asked_as,
        completion=completion,
    )


def _text(completion: ChatCompletion) -> str | None:
    return completion.choices[0].message.content if completion.choices else None
