"""How a chat endpoint reads a request and tells its answer: FlexiAI's own way, or OpenAI's."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from flexiai.app.bodies import Body
from flexiai.app.replies import ChatReply, FullChatReply, Reply
from flexiai.app.worker import Worker
from flexiai.chat import ChatCompletion


class Dialect(Protocol):
    """One way to speak."""

    def arguments(self, body: bytes, worker: Worker) -> dict[str, Any]:
        """A request as arguments of `client.chat.completions.create`; raises what `refusals.refusal` knows."""
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

    def arguments(self, body: bytes, _: Worker) -> dict[str, Any]:
        """The request's body, checked; pydantic's ValidationError if it is none."""
        return self._body.model_validate_json(body).arguments()

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
