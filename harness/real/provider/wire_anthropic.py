"""Anthropic's messages, as a server speaks them: strict, as the vendor is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from harness.real.provider.ask_anthropic import asked
from harness.real.provider.wire import Asked, Call, Ending, Frame, Rejected, Told, event

STOP_REASONS: dict[Ending, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "calls": "tool_use",
}
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


class AnthropicWire:
    """POST /v1/messages."""

    path = "/v1/messages"

    def understand(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """The request, or Rejected."""
        if not (headers.get("x-api-key") or headers.get("Authorization")):  # the vendor's SDK sends the key as a bearer
            raise Rejected(401, "x-api-key header is required")
        if not headers.get("anthropic-version"):
            raise Rejected(400, "anthropic-version: header is required")
        return asked(body, headers["anthropic-version"])

    def answer(self, told: Told) -> bytes:
        """The body of a 200."""
        message = _message(told)
        calls = [_use(told, call, msgspec.Raw(call.arguments.encode())) for call in told.calls]
        message["content"] = calls or [{"type": "text", "text": told.text}]
        message["stop_reason"] = STOP_REASONS[told.ending]
        message["usage"] = {"input_tokens": told.asked.words, "output_tokens": told.tokens}
        return msgspec.json.encode(message)

    def frames(self, told: Told) -> Iterator[Frame]:
        """The server-sent events of a streamed answer."""
        yield _event("message_start", {"message": _message(told)})
        yield _event("ping", {})
        yield from _calling(told) if told.calls else _saying(told)
        delta = {"stop_reason": STOP_REASONS[told.ending], "stop_sequence": None}
        yield _event("message_delta", {"delta": delta, "usage": {"output_tokens": told.tokens}})
        yield _event("message_stop", {})

    def error_frame(self, body: bytes) -> bytes:
        """The server-sent event of an error, in a stream that has begun."""
        return event(body, "error")

    def error(self, status: int, message: str, code: str | None = None) -> bytes:
        """The body of an error with an HTTP status."""
        kind = code or ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
        return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def _saying(told: Told) -> Iterator[Frame]:
    yield _event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
    for piece in told.pieces:
        yield _delta(0, {"type": "text_delta", "text": piece})
    yield _event("content_block_stop", {"index": 0})


def _calling(told: Told) -> Iterator[Frame]:
    for index, call in enumerate(told.calls):
        yield _event("content_block_start", {"index": index, "content_block": _use(told, call, {})})
        for piece in call.pieces:
            yield _delta(index, {"type": "input_json_delta", "partial_json": piece})
        yield _event("content_block_stop", {"index": index})


def _use(told: Told, call: Call, arguments: object) -> dict[str, object]:
    return {"type": "tool_use", "id": f"toolu_{told.number}_{call.number}", "name": call.name, "input": arguments}


def _delta(index: int, delta: Mapping[str, object]) -> Frame:
    return Frame(_event("content_block_delta", {"index": index, "delta": delta}).data, token=True)


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
