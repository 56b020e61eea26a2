"""OpenAI's chat-completions format, which any OpenAI-compatible server speaks too.

Rules
-----
* Options go out as given; one that is None counts as not given.
* Options whose answers `ChatCompletion` cannot carry (streams, tool calls, log probabilities, audio) are refused by
  name, as the caller's own error: an answer with a part silently missing would be worse. See UNCARRIED.
* A refusal in place of an answer becomes the content, with finish_reason content_filter, as with Anthropic.
"""

from __future__ import annotations

import aiohttp
import msgspec

from flexiai.chat import ChatCompletion, ChatMessage, ChatRequest, Choice, Usage
from flexiai.providers.http import endpoint
from flexiai.providers.options import given, refuse
from flexiai.providers.troubles import VendorError
from flexiai.types import ProviderConfig, RequestConfig

BASE_URL = "https://api.openai.com/v1"
UNCARRIED = frozenset(
    {
        "audio",
        "function_call",
        "functions",
        "logprobs",
        "modalities",
        "parallel_tool_calls",
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "top_logprobs",
    }
)


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    index: int = 0
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class _Completion(msgspec.Struct, frozen=True):
    id: str = ""
    model: str = ""
    created: int = 0
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: VendorError | str | None = None


_decoder = msgspec.json.Decoder(_Completion)


class OpenAI:
    """A provider that speaks OpenAI's format."""

    def __init__(self, config: ProviderConfig, request: RequestConfig, session: aiohttp.ClientSession) -> None:
        self._model = config.model
        self._endpoint = endpoint(
            config, request, session, base_url=BASE_URL, path="chat/completions", auth=("Authorization", "Bearer ")
        )

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        """Answer `request` within `timeout_s` seconds, or raise ProviderError."""
        answer = await self._endpoint.post(self._payload(request), request, timeout_s)
        said = self._endpoint.decode(_decoder, answer)
        if said.error is not None:
            raise self._endpoint.error_inside(said.error)
        if not said.choices:
            raise self._endpoint.malformed("it has no choices")
        return ChatCompletion(
            id=said.id,
            model=said.model,
            created=said.created,
            choices=tuple(_choice(c) for c in said.choices),
            usage=_usage(said.usage),
            provider=self._endpoint.provider,
        )

    def _payload(self, request: ChatRequest) -> dict[str, object]:
        payload = given(request.options)
        refuse(payload.keys() & UNCARRIED, self._endpoint)
        payload["model"] = request.model or self._model
        payload["messages"] = request.messages
        if request.temperature is not None:
            payload["temperature"] = request.temperature
        if request.max_tokens is not None:
            payload["max_tokens"] = request.max_tokens
        return payload


def _choice(said: _Choice) -> Choice:
    message = said.message
    if message.content is None and message.refusal is not None:
        return Choice(index=said.index, message=ChatMessage(content=message.refusal), finish_reason="content_filter")
    return Choice(index=said.index, message=ChatMessage(content=message.content), finish_reason=said.finish_reason)


def _usage(said: _Usage | None) -> Usage:
    if said is None:
        return Usage()
    return Usage(
        prompt_tokens=said.prompt_tokens, completion_tokens=said.completion_tokens, total_tokens=said.total_tokens
    )
