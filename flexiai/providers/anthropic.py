"""Anthropic's messages format, to and from OpenAI's shape.

The API version is 2023-06-01: the later one (2026-10-21) refuses `temperature` and `top_p` whatever the model, which
many a caller sends. Some models refuse them in either version; the provider's setting `omit` is for those.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp
import msgspec

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest
from flexiai.providers.anthropic_answer import Answer, Event, Pieces, choice_of, usage_of
from flexiai.providers.anthropic_request import payload_of
from flexiai.providers.classification import ANTHROPIC
from flexiai.providers.event_stream import ServerEvent
from flexiai.providers.http import endpoint
from flexiai.providers.options import Unsupported, wants_usage, without
from flexiai.types import ProviderConfig, RequestConfig

BASE_URL = "https://api.anthropic.com"
VERSION = "2023-06-01"
DEFAULT_MAX_TOKENS = 4096
_LAST = b"message_stop"
_answer = msgspec.json.Decoder(Answer)
_event = msgspec.json.Decoder(Event)


class Anthropic:
    """A provider that speaks Anthropic's format."""

    def __init__(self, config: ProviderConfig, request: RequestConfig, session: aiohttp.ClientSession) -> None:
        self._model = config.model
        self._max_tokens = config.max_tokens or DEFAULT_MAX_TOKENS
        self._omit = config.omit
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
        try:
            return payload_of(without(request, self._omit), self._model, self._max_tokens)
        except Unsupported as error:
            what = str(error)
        raise self._endpoint.unsupported(what)


def _is_last(event: ServerEvent) -> bool:
    return event.name == _LAST
