"""Chat as OpenAI's API has it, so that the clients made for it work unchanged.

Rules
-----
* What a request needs is checked here; all else in it is a provider's to judge. A field that is null is not given.
* What is null in an answer is left out, as OpenAI does; but a message always has its `content`.
* `flexiai` beside OpenAI's fields names who answered: `provider`, `worker_id`, `request_id`. Clients skip it.
* Errors have OpenAI's shape and statuses: 400 for what we call 422; 429 where every provider said that it is too much.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from flexiai.app.dialect import Asked
from flexiai.app.refused import BadBody
from flexiai.app.replies import ErrorReply, Reply
from flexiai.app.worker import Worker
from flexiai.chat import ChatCompletion, ChatMessage, ChatRequest, Choice, ToolCall, Usage

_NAMED = frozenset({"messages", "model", "temperature", "max_tokens", "stream"})  # what is not an option

_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_CODES = {
    "unauthorized": "invalid_api_key",
    "unknown_model": "model_not_found",
    "body_too_large": "request_too_large",
    "body_too_slow": "request_timeout",
    "not_found": "unknown_url",
}


class Turn(msgspec.Struct):
    """One message of a conversation; its further fields are a provider's to judge."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]


class StreamOptions(msgspec.Struct):
    """How a streamed answer is told. `include_usage`: with its usage, in a piece of its own at the end."""

    include_usage: bool | None = None


class Question(msgspec.Struct):
    """What must be so in a request whose further fields are not looked at here."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Turn], Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, Meta(gt=0)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


class _Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    content: str | None
    role: Literal["assistant"]
    tool_calls: tuple[ToolCall, ...] | None = None


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    message: _Message
    finish_reason: str | None


class Answerer(msgspec.Struct, frozen=True, kw_only=True):
    """Who answered: beside OpenAI's own fields."""

    provider: str
    worker_id: int
    request_id: str


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A completion as OpenAI tells it."""

    id: str
    created: int
    model: str
    choices: tuple[_Choice, ...]
    usage: Usage
    flexiai: Answerer
    object: Literal["chat.completion"] = "chat.completion"


class _Error(msgspec.Struct, frozen=True, kw_only=True):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """An error as OpenAI tells it, and beside that what FlexiAI knows of it."""

    error: _Error
    flexiai: ErrorReply


_body = msgspec.json.Decoder(dict[str, Any])


class OpenAIsWay:
    """The dialect of `/v1/chat/completions`."""

    def asked(self, body: bytes, worker: Worker, asked_as: str) -> Asked:
        """What a body asks; BadBody if it is no request, UnknownModel if it asks for what is not there."""
        try:
            said = _body.decode(body)
            question = msgspec.convert(said, Question)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _bad(error) from None
        chat = ChatRequest(
            messages=tuple(said["messages"]),
            model=worker.models.asked_of_providers(question.model),
            temperature=question.temperature,
            max_tokens=question.max_tokens,
            options={name: value for name, value in said.items() if name not in _NAMED},
            request_id=asked_as,
        )
        usage = question.stream_options is not None and bool(question.stream_options.include_usage)
        return Asked(chat, bool(question.stream), usage)

    def told(self, completion: ChatCompletion, worker_id: int, asked_as: str) -> Completion:
        """An answer in OpenAI's shape."""
        return Completion(
            id=completion.id,
            created=completion.created or now_s(),
            model=completion.model,
            choices=tuple(_choice(choice) for choice in completion.choices),
            usage=completion.usage,
            flexiai=Answerer(provider=completion.provider, worker_id=worker_id, request_id=asked_as),
        )

    def refused(self, reply: Reply) -> Reply:
        """A refusal in OpenAI's shape, with the status that OpenAI gives it."""
        return openais_error(reply)


def openais_error(reply: Reply) -> Reply:
    """A refusal in OpenAI's shape, with the status that OpenAI gives it."""
    told = reply.value
    if not isinstance(told, ErrorReply):
        return reply
    status = _status(reply.status, told)
    code = told.code if told.error == "rejected_by_provider" else _CODES.get(told.error, told.error)
    error = _Error(message=told.message, type=_kind(status), param=told.param, code=code)
    return Reply(status, ErrorBody(error=error, flexiai=told), reply.headers)


def now_s() -> int:
    """Unix seconds, for vendors that do not say when an answer was created: told, never decided by."""
    return int(datetime.now(UTC).timestamp())


def _status(status: int, told: ErrorReply) -> int:
    if status == 422:
        return 400
    crowded = told.providers and all(said.reason in ("rate_limited", "retry_after") for said in told.providers)
    return 429 if crowded and status == 503 else status


def _kind(status: int) -> str:
    return _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")


def _bad(error: Exception) -> BadBody:
    if isinstance(error, msgspec.ValidationError):
        meaning, _, place = str(error).partition(" - at `$")
        param = place.removesuffix("`").removeprefix(".") or None
        return BadBody(f"{param}: {meaning}" if param else meaning, param=param or _missing(meaning))
    return BadBody("the body is no JSON object")


def _missing(meaning: str) -> str | None:
    """The field in `Object missing required field `x``."""
    return meaning.split("`")[1] if meaning.startswith("Object missing required field") else None


def _choice(choice: Choice) -> _Choice:
    return _Choice(index=choice.index, message=_message(choice.message), finish_reason=choice.finish_reason)


def _message(message: ChatMessage) -> _Message:
    return _Message(content=message.content, role=message.role, tool_calls=message.tool_calls)
