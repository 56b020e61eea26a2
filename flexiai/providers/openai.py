"""OpenAI's chat-completions format, which any OpenAI-compatible server speaks too.

Rules
-----
* Options go out as given; one that is None counts as not given.
* Options whose answers could not be carried to the caller (log probabilities, audio, annotations, custom tools and the
  functions of old) are refused by name, as the caller's own error: an answer with a part silently missing would be
  worse. See UNCARRIED.
* A stream is always asked for its usage: what it costs is to be known whether or not the caller wants to hear of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp
import msgspec

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest
from flexiai.providers.classification import OPENAI
from flexiai.providers.event_stream import ServerEvent
from flexiai.providers.http import endpoint
from flexiai.providers.openai_answer import Chunk, Completion, Pieces, choice_of, usage_of
from flexiai.providers.options import Unsupported, given, refuse, wants_usage, without
from flexiai.types import ProviderConfig, RequestConfig

BASE_URL = "https://api.openai.com/v1"
UNCARRIED = frozenset(
    {
        "audio",
        "function_call",
        "functions",
        "logprobs",
        "modalities",
        "moderation",
        "stream",
        "top_logprobs",
        "web_search_options",
    }
)
UNCARRIED_WHOLE = UNCARRIED | {"stream_options"}  # an option of streams alone
_DONE = b"[DONE]"
_completion = msgspec.json.Decoder(Completion)
_chunk = msgspec.json.Decoder(Chunk)


class OpenAI:
    """A provider that speaks OpenAI's format."""

    def __init__(self, config: ProviderConfig, request: RequestConfig, session: aiohttp.ClientSession) -> None:
        self._model = config.model
        self._max_tokens = config.max_tokens
        self._omit = config.omit
        self._endpoint = endpoint(
            config,
            request,
            session,
            vendor=OPENAI,
            base_url=BASE_URL,
            path="chat/completions",
            auth=("Authorization", "Bearer "),
        )

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        """Answer `request` within `timeout_s` seconds, or raise ProviderError."""
        answer = await self._endpoint.post(self._payload(request, stream=False), request, timeout_s)
        said = self._endpoint.decode(_completion, answer)
        if said.error is not None:
            raise self._endpoint.error_inside(said.error, request)
        if not said.choices:
            raise self._endpoint.malformed("it has no choices")
        return ChatCompletion(
            id=said.id or "",
            model=said.model or "",
            created=int(said.created or 0),
            choices=tuple([choice_of(c) for c in said.choices]),
            usage=usage_of(said.usage),
            provider=self._endpoint.provider,
        )

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` in pieces, or raise ProviderError at whatever piece the answer breaks off."""
        payload = self._payload(request, stream=True)
        pieces = Pieces(self._endpoint.provider, wants_usage(request.options))
        async with aclosing(self._endpoint.events(payload, request, _is_done)) as events:
            async for event in events:
                for chunk in pieces.rest() if _is_done(event) else pieces.add(self._said(event, request)):
                    yield chunk
        if not pieces.complete:
            raise self._endpoint.malformed("it has no finish_reason")

    def _said(self, event: ServerEvent, request: ChatRequest) -> Chunk:
        if event.name == b"error":
            raise self._endpoint.error_event(event.data, request)
        said = self._endpoint.decode(_chunk, event.data)
        if said.error is not None:
            raise self._endpoint.error_inside(said.error, request)
        return said

    def _payload(self, request: ChatRequest, *, stream: bool) -> dict[str, object]:
        try:
            return _payload_of(without(request, self._omit), self._model, self._max_tokens, stream)
        except Unsupported as error:
            what = str(error)
        raise self._endpoint.unsupported(what)


def _payload_of(request: ChatRequest, model: str, max_tokens: int | None, stream: bool) -> dict[str, object]:
    payload = given(request.options) if request.options else {}
    if stream:
        asked = payload.get("stream_options")
        payload.pop("stream", None)
        payload["stream_options"] = {**(asked if isinstance(asked, Mapping) else {}), "include_usage": True}
    if payload:
        _check(payload, stream)
    payload["model"] = request.model or model
    payload["messages"] = request.messages
    if request.temperature is not None:
        payload["temperature"] = request.temperature
    if request.max_tokens is not None:
        payload["max_tokens"] = request.max_tokens
    elif max_tokens is not None:
        payload.setdefault("max_completion_tokens", max_tokens)
    if stream:
        payload["stream"] = True
    return payload


def _check(options: Mapping[str, object], stream: bool) -> None:
    refuse(options.keys() & (UNCARRIED if stream else UNCARRIED_WHOLE))
    for kind in _kinds(options.get("tools")):
        if kind != "function":
            raise Unsupported(f"a tool of the type {kind}")


def _is_done(event: ServerEvent) -> bool:
    return event.data.strip() == _DONE


def _kinds(tools: Any) -> list[object]:
    """The types of these tools; what is no list of tools is the vendor's to refuse."""
    return [t.get("type") for t in tools if isinstance(t, Mapping)] if isinstance(tools, (list, tuple)) else []
