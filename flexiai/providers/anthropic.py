"""Anthropic's messages format (API version 2023-06-01), to and from OpenAI's shape.

Rules
-----
* System (and developer) messages are lifted, in their order, to `system`, wherever they stood.
* `max_tokens` is required there: without one (or `max_completion_tokens`) it is DEFAULT_MAX_TOKENS.
* Temperatures of OpenAI's upper half (1 to 2) become Anthropic's highest, 1: a failover answers as freely as it can,
  rather than refuse a request that the better provider would have answered.
* stop -> stop_sequences, user -> metadata.user_id, top_p as it is. Values that ask for nothing (`n: 1`,
  `frequency_penalty: 0`) are left out. A message's `name` is left out: the format has no place for it.
* Anything else is refused by name, as the caller's own error, before anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import aiohttp
import msgspec

from flexiai.chat import ChatCompletion, ChatMessage, ChatRequest, Choice, Message, Usage
from flexiai.providers.http import endpoint
from flexiai.providers.options import given, refuse
from flexiai.providers.troubles import VendorError
from flexiai.types import ProviderConfig, RequestConfig

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 1024
MAX_TEMPERATURE = 1.0
FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
ASK_FOR_NOTHING = {"n": 1, "frequency_penalty": 0, "presence_penalty": 0}
_TRANSLATED = frozenset({"stop", "top_p", "user", "max_completion_tokens"})
_SYSTEM = ("system", "developer")


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int = 0
    output_tokens: int = 0
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None


class _Answer(msgspec.Struct, frozen=True):
    id: str = ""
    model: str = ""
    content: tuple[_Block, ...] | None = None
    stop_reason: str | None = None
    usage: _Usage = _Usage()
    error: VendorError | None = None


_decoder = msgspec.json.Decoder(_Answer)


class Anthropic:
    """A provider that speaks Anthropic's format."""

    def __init__(self, config: ProviderConfig, request: RequestConfig, session: aiohttp.ClientSession) -> None:
        self._model = config.model
        self._endpoint = endpoint(
            config,
            request,
            session,
            base_url=BASE_URL,
            path="v1/messages",
            auth=("x-api-key", ""),
            headers={"anthropic-version": VERSION},
        )

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        """Answer `request` within `timeout_s` seconds, or raise ProviderError."""
        answer = await self._endpoint.post(self._payload(request), request, timeout_s)
        said = self._endpoint.decode(_decoder, answer)
        if said.error is not None:
            raise self._endpoint.error_inside(said.error)
        if said.content is None:
            raise self._endpoint.malformed("it has no content")
        return ChatCompletion(
            id=said.id,
            model=said.model,
            choices=(_choice(said.content, said.stop_reason),),
            usage=_usage(said.usage),
            provider=self._endpoint.provider,
        )

    def _payload(self, request: ChatRequest) -> dict[str, object]:
        options = {k: v for k, v in given(request.options).items() if ASK_FOR_NOTHING.get(k) != v}
        refuse(options.keys() - _TRANSLATED, self._endpoint)
        payload: dict[str, object] = {
            "model": request.model or self._model,
            "max_tokens": _max_tokens(request, options),
            "messages": [self._turn(m) for m in request.messages if _role(m) not in _SYSTEM],
        }
        system = [block for m in request.messages if _role(m) in _SYSTEM for block in self._blocks(m)]
        if system:
            payload["system"] = system
        if request.temperature is not None:
            payload["temperature"] = min(request.temperature, MAX_TEMPERATURE)
        if "top_p" in options:
            payload["top_p"] = options["top_p"]
        if "user" in options:
            payload["metadata"] = {"user_id": options["user"]}
        if "stop" in options:
            payload["stop_sequences"] = [options["stop"]] if isinstance(options["stop"], str) else options["stop"]
        return payload

    def _turn(self, message: Message) -> dict[str, object]:
        role = _role(message)
        if role not in ("user", "assistant"):
            raise self._endpoint.unsupported(f"a message of the role {role}")
        return {"role": role, "content": self._content(message)}

    def _content(self, message: Message) -> object:
        others = {k for k, v in message.items() if v is not None} - {"role", "content", "name"}
        if others:
            raise self._endpoint.unsupported(f"a message with {', '.join(sorted(others))}")
        content = message.get("content")
        for part in content if isinstance(content, (list, tuple)) else ():
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            if kind != "text":
                raise self._endpoint.unsupported(f"content of the type {kind}")
        return content

    def _blocks(self, message: Message) -> list[object]:
        content = self._content(message)
        return [{"type": "text", "text": content}] if isinstance(content, str) else cast("list[object]", content or [])


def _role(message: Message) -> object:
    return message.get("role") if isinstance(message, Mapping) else None


def _max_tokens(request: ChatRequest, options: Mapping[str, object]) -> object:
    if request.max_tokens is not None:
        return request.max_tokens
    return options.get("max_completion_tokens", DEFAULT_MAX_TOKENS)


def _choice(blocks: tuple[_Block, ...], stop_reason: str | None) -> Choice:
    text = "".join(b.text for b in blocks if b.type == "text")
    reason = None if stop_reason is None else FINISH_REASONS.get(stop_reason, stop_reason)
    return Choice(message=ChatMessage(content=text), finish_reason=reason)


def _usage(said: _Usage) -> Usage:
    """Anthropic counts cached input apart; OpenAI's prompt tokens are all of the input."""
    prompt = said.input_tokens + (said.cache_creation_input_tokens or 0) + (said.cache_read_input_tokens or 0)
    return Usage(prompt_tokens=prompt, completion_tokens=said.output_tokens, total_tokens=prompt + said.output_tokens)
