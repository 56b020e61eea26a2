"""A chat request and its answer, in OpenAI's shape. Provider adapters map them to and from their wire format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Message = Mapping[str, Any]
"""A message in OpenAI's shape: `{"role": "system" | "user" | "assistant" | "tool", "content": …}`."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller asks.

    model        None: each provider's configured one
    temperature  from 0 to 2
    options      further OpenAI parameters; None counts as not given
    request_id   the caller's id for it, sent to the provider as X-Request-ID
    """

    messages: tuple[Message, ...]
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    options: Mapping[str, Any] = {}
    request_id: str | None = None


class FunctionCall(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the model wants called. `arguments`: a JSON object as text, as the model wrote it."""

    name: str
    arguments: str = ""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that the model asks for; the caller's answer to it names its `id`."""

    id: str
    function: FunctionCall
    type: Literal["function"] = "function"


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True):
    """The assistant's turn. `tool_calls`: what it wants called, None if nothing."""

    content: str | None
    role: Literal["assistant"] = "assistant"
    tool_calls: tuple[ToolCall, ...] | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. finish_reason: stop | length | tool_calls | content_filter."""

    message: ChatMessage
    index: int = 0
    finish_reason: str | None = "stop"


class PromptTokensDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the prompt's tokens: those read from the vendor's cache, and those written to it."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionTokensDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the answer's tokens: those spent on thinking."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens. Details are None where the vendor gives none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails | None = None
    completion_tokens_details: CompletionTokensDetails | None = None


NO_USAGE = Usage(prompt_tokens=0, completion_tokens=0, total_tokens=0)


class ChatCompletion(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. `provider` names who gave it; `created` is unix seconds as the vendor said (0: it did not)."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    provider: str
    usage: Usage = NO_USAGE
    created: int = 0
    object: Literal["chat.completion"] = "chat.completion"


class FunctionDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a function call: its name comes once, its arguments in pieces."""

    name: str | None = None
    arguments: str | None = None


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the call number `index`; `id` and `type` come with its first part."""

    index: int
    id: str | None = None
    function: FunctionDelta | None = None
    type: Literal["function"] | None = None


class Delta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a chunk adds to the assistant's turn."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: tuple[ToolCallDelta, ...] | None = None


class ChunkChoice(msgspec.Struct, frozen=True, kw_only=True):
    """A part of one answer. finish_reason: as Choice's, in its last part; None before."""

    delta: Delta
    index: int = 0
    finish_reason: str | None = None


class ChatChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a streamed answer. `usage`: in one of the last parts, if it was asked for or is told anyway."""

    id: str
    model: str
    choices: tuple[ChunkChoice, ...]
    provider: str
    usage: Usage | None = None
    created: int = 0
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"

    @property
    def has_content(self) -> bool:
        """Whether it carries a part of the answer itself: from the first such part on, no other provider may answer."""
        return any(c.delta.content or c.delta.tool_calls for c in self.choices)
