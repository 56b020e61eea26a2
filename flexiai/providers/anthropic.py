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

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import cast

import aiohttp
import msgspec

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest, Message
from flexiai.providers.anthropic_answer import Answer, Event, Pieces, choice_of, usage_of
from flexiai.providers.classification import ANTHROPIC
from flexiai.providers.event_stream import ServerEvent
from flexiai.providers.http import endpoint
from flexiai.providers.options import given, refuse, wants_usage
from flexiai.types import ProviderConfig, RequestConfig

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 1024
MAX_TEMPERATURE = 1.0
ASK_FOR_NOTHING = {"n": 1, "frequency_penalty": 0, "presence_penalty": 0}
_TRANSLATED = frozenset({"stop", "top_p", "user", "max_completion_tokens"})
_SYSTEM = ("system", "developer")


_LAST = b"message_stop"
_answer = msgspec.json.Decoder(Answer)
_event = msgspec.json.Decoder(Event)


class Anthropic:
    """A provider that speaks Anthropic's format."""

    def __init__(self, config: ProviderConfig, request: RequestConfig, session: aiohttp.ClientSession) -> None:
        self._model = config.model
        self._endpoint = endpoint(
            config,
            request,
            session,
            vendor=ANTHROPIC,
            base_url=BASE_URL,
            path="v1/messages",
            auth=("x-api-key", ""),
            headers={"anthropic-version": VERSION},
        )

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        """Answer `request` within `timeout_s` seconds, or raise ProviderError."""
        answer = await self._endpoint.post(self._payload(request), request, timeout_s)
        said = self._endpoint.decode(_answer, answer)
        if said.error is not None:
            raise self._endpoint.error_inside(said.error, request)
        if said.content is None:
            raise self._endpoint.malformed("it has no content")
        return ChatCompletion(
            id=said.id,
            model=said.model,
            choices=(choice_of(said.content, said.stop_reason),),
            usage=usage_of(said.usage),
            provider=self._endpoint.provider,
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` in pieces, or raise ProviderError at whatever piece the answer breaks off."""
        options = {k: v for k, v in request.options.items() if k not in ("stream", "stream_options")}
        payload = self._payload(msgspec.structs.replace(request, options=options))
        payload["stream"] = True
        pieces = Pieces(self._endpoint.provider, wants_usage(request.options))
        async with aclosing(self._endpoint.events(payload, request, _is_last)) as events:
            async for event in events:
                for chunk in pieces.add(self._said(event, request)):
                    yield chunk
        if not pieces.complete:
            raise self._endpoint.malformed("it has no stop_reason")

    def _said(self, event: ServerEvent, request: ChatRequest) -> Event:
        if event.name == b"error":
            raise self._endpoint.error_event(event.data, request)
        said = self._endpoint.decode(_event, event.data)
        if said.error is not None:
            raise self._endpoint.error_inside(said.error, request)
        return said

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


def _is_last(event: ServerEvent) -> bool:
    return event.name == _LAST


def _role(message: Message) -> object:
    return message.get("role") if isinstance(message, Mapping) else None


def _max_tokens(request: ChatRequest, options: Mapping[str, object]) -> object:
    if request.max_tokens is not None:
        return request.max_tokens
    return options.get("max_completion_tokens", DEFAULT_MAX_TOKENS)
