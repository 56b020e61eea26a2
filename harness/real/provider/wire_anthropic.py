"""Anthropic's messages, as a server speaks them: strict, as the vendor is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from harness.real.provider.wire import Asked, Ending, Frame, Rejected, Told, count_words, event

STOP_REASONS: dict[Ending, str] = {"stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens"}
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Text(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["text"]
    text: str


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["user", "assistant"]
    content: str | list[_Text]


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    user_id: str | None = None


class _Ask(msgspec.Struct, forbid_unknown_fields=True):
    model: Annotated[str, Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: str | list[_Text] = ""
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    metadata: _Metadata | None = None


_decoder = msgspec.json.Decoder(_Ask)


class AnthropicWire:
    """POST /v1/messages."""

    path = "/v1/messages"

    def understand(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """The request, or Rejected."""
        if not (headers.get("x-api-key") or headers.get("Authorization")):  # the vendor's SDK sends the key as a bearer
            raise Rejected(401, "x-api-key header is required")
        if not headers.get("anthropic-version"):
            raise Rejected(400, "anthropic-version: header is required")
        try:
            ask = _decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise Rejected(400, str(error)) from error
        contents = [ask.system, *(message.content for message in ask.messages)]
        return Asked(
            model=ask.model,
            words=count_words([text for content in contents for text in _texts(content)]),
            stream=ask.stream,
            max_tokens=ask.max_tokens,
            stop=tuple(ask.stop_sequences),
        )

    def answer(self, told: Told) -> bytes:
        """The body of a 200."""
        message = _message(told)
        message["content"] = [{"type": "text", "text": told.text}]
        message["stop_reason"] = STOP_REASONS[told.ending]
        message["usage"] = {"input_tokens": told.asked.words, "output_tokens": len(told.words)}
        return msgspec.json.encode(message)

    def frames(self, told: Told) -> Iterator[Frame]:
        """The server-sent events of a streamed answer."""
        yield _event("message_start", {"message": _message(told)})
        yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        yield _event("ping", {})
        for piece in told.pieces:
            told_next = {"index": 0, "delta": {"type": "text_delta", "text": piece}}
            yield Frame(_event("content_block_delta", told_next).data, token=True)
        yield _event("content_block_stop", {"index": 0})
        delta = {"stop_reason": STOP_REASONS[told.ending], "stop_sequence": None}
        yield _event("message_delta", {"delta": delta, "usage": {"output_tokens": len(told.words)}})
        yield _event("message_stop", {})

    def error_frame(self, body: bytes) -> bytes:
        """The server-sent event of an error, in a stream that has begun."""
        return event(body, "error")

    def error(self, status: int, message: str, code: str | None = None) -> bytes:
        """The body of an error with an HTTP status."""
        kind = code or ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def _texts(content: str | list[_Text]) -> list[str]:
    return [content] if isinstance(content, str) else [part.text for part in content]


def _message(told: Told) -> dict[str, object]:
    return {
        "id": f"msg_{told.number}",
        "type": "message",
        "role": "assistant",
        "model": told.asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": told.asked.words, "output_tokens": 0},
    }


def _event(name: str, fields: Mapping[str, object]) -> Frame:
    return Frame(event(msgspec.json.encode({"type": name, **fields}), name))
