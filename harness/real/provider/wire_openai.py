"""OpenAI's chat completions, as a server speaks them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness.real.provider.wire import Asked, Ending, Frame, Rejected, Told, count_words, event

FINISH_REASONS: dict[Ending, str] = {"stop": "stop", "stop_sequence": "stop", "length": "length"}
ERROR_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None

    @property
    def texts(self) -> list[str]:
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content or ()]


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Ask(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    stop: str | list[str] | None = None


_decoder = msgspec.json.Decoder(_Ask)


class OpenAIWire:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"

    def understand(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """The request, or Rejected."""
        if not headers.get("Authorization", "").startswith("Bearer "):
            raise Rejected(401, "You didn't provide an API key.")
        try:
            ask = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise Rejected(400, str(error)) from error
        return Asked(
            model=ask.model,
            words=count_words([text for message in ask.messages for text in message.texts]),
            stream=bool(ask.stream),
            max_tokens=ask.max_completion_tokens or ask.max_tokens,
            stop=(ask.stop,) if isinstance(ask.stop, str) else tuple(ask.stop or ()),
            usage=ask.stream_options is not None and ask.stream_options.include_usage,
        )

    def answer(self, told: Told) -> bytes:
        """The body of a 200."""
        message = {"role": "assistant", "content": told.text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH_REASONS[told.ending]}
        return msgspec.json.encode({**_head(told, "chat.completion"), "choices": [choice], "usage": _usage(told)})

    def frames(self, told: Told) -> Iterator[Frame]:
        """The server-sent events of a streamed answer."""
        yield Frame(_chunk(told, {"role": "assistant", "content": ""}))
        for piece in told.pieces:
            yield Frame(_chunk(told, {"content": piece}), token=True)
        yield Frame(_chunk(told, {}, FINISH_REASONS[told.ending]))
        if told.asked.usage:
            head = _head(told, "chat.completion.chunk")
            yield Frame(event(msgspec.json.encode({**head, "choices": [], "usage": _usage(told)})))
        yield Frame(event(b"[DONE]"))

    def error_frame(self, body: bytes) -> bytes:
        """The server-sent event of an error, in a stream that has begun."""
        return event(body)

    def error(self, status: int, message: str, code: str | None = None) -> bytes:
        """The body of an error with an HTTP status."""
        kind, usual = ERROR_TYPES.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
        return msgspec.json.encode(
            {"error": {"message": message, "type": code or kind, "param": None, "code": code or usual}}
        )


def _head(told: Told, kind: str) -> dict[str, object]:
    return {"id": f"chatcmpl-{told.number}", "object": kind, "created": int(time.time()), "model": told.asked.model}


def _usage(told: Told) -> dict[str, int]:
    prompt, completion = told.asked.words, len(told.words)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _chunk(told: Told, delta: Mapping[str, str], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event(msgspec.json.encode({**_head(told, "chat.completion.chunk"), "choices": [choice]}))
