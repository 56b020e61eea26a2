"""A chat request and its answer, in OpenAI's shape. Provider adapters map them to and from their wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Message = Mapping[str, Any]  # {"role": "system" | "user" | "assistant", "content": str, …}


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks.

    model       None: each provider's configured one
    options     further OpenAI parameters; None counts as not given
    request_id  the caller's id for it, sent to the provider as X-Request-ID
    """

    messages: tuple[Message, ...]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    options: Mapping[str, Any] = {}
    request_id: str | None = None


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The assistant's turn."""

    content: str | None
    role: Literal["assistant"] = "assistant"


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. finish_reason: stop | length | tool_calls | content_filter."""

    message: ChatMessage
    index: int = 0
    finish_reason: str | None = "stop"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `provider` names who gave it; `created` is unix seconds as the vendor said (0: it did not)."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    provider: str
    usage: Usage = Usage()
    created: int = 0
    object: Literal["chat.completion"] = "chat.completion"
