"""OpenAI's chat completions, as a server speaks them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import msgspec

from harness.real.provider.ask_openai import asked
from harness.real.provider.wire import Asked, Call, Ending, Frame, Rejected, Told, event

FINISH_REASONS: dict[Ending, str] = {"stop": "stop", "stop_sequence": "stop", "length": "length", "calls": "tool_calls"}
ERROR_TYPES = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class OpenAIWire:
    """POST /v1/chat/completions."""

    path = "/v1/chat/completions"

    def understand(self, body: bytes, headers: Mapping[str, str]) -> Asked:
        """The request, or Rejected."""
        if not headers.get("Authorization", "").startswith("Bearer "):
            raise Rejected(401, "You didn't provide an API key.")
        return asked(body)

    def answer(self, told: Told) -> bytes:
        """The body of a 200."""
        message: dict[str, object] = {"role": "assistant", "content": told.text, "refusal": None}
        if told.calls:
            message |= {"content": None, "tool_calls": [_call(told, call, call.arguments) for call in told.calls]}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH_REASONS[told.ending]}
        return msgspec.json.encode({**_head(told, "chat.completion"), "choices": [choice], "usage": _usage(told)})

    def frames(self, told: Told) -> Iterator[Frame]:
        """The server-sent events of a streamed answer."""
        yield Frame(_chunk(told, {"role": "assistant", "content": None if told.calls else ""}))
        yield from _calling(told)
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
    prompt, completion = told.asked.words, told.tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _calling(told: Told) -> Iterator[Frame]:
    for index, call in enumerate(told.calls):
        yield Frame(_chunk(told, {"tool_calls": [{"index": index, **_call(told, call, "")}]}))
        for piece in call.pieces:
            part = {"index": index, "function": {"arguments": piece}}
            yield Frame(_chunk(told, {"tool_calls": [part]}), token=True)


def _call(told: Told, call: Call, arguments: str) -> dict[str, object]:
    function = {"name": call.name, "arguments": arguments}
    return {"id": f"call_{told.number}_{call.number}", "type": "function", "function": function}


def _chunk(told: Told, delta: Mapping[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return event(msgspec.json.encode({**_head(told, "chat.completion.chunk"), "choices": [choice]}))
