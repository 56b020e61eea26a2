"""OpenAI's answers, whole and in pieces, as ours. Pure.

Rules
-----
* A refusal in place of an answer becomes the content, with finish_reason content_filter, as with Anthropic.
* What OpenAI always gives and some servers do not (an id, a model, whole seconds, an index) is not insisted on.
* A stream is complete at its last event, `[DONE]`, once each answer in it has its finish_reason.
* The usage comes in a chunk of its own at the end, without choices, only for who asked for that; for anybody else it is
  told in the last chunk of the answer itself. Other chunks without choices are left out: they say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from flexiai.chat import (
    NO_USAGE,
    ChatChunk,
    ChatMessage,
    Choice,
    ChunkChoice,
    CompletionTokensDetails,
    Delta,
    FunctionCall,
    FunctionDelta,
    PromptTokensDetails,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from flexiai.providers.classification import VendorError

REFUSED = "content_filter"


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, frozen=True):
    """A call, or a part of one; some servers leave the index of a part out."""

    function: _Function = _Function()
    id: str | None = None
    index: int | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None
    role: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message
    index: int = 0
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _CompletionDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class Completion(msgspec.Struct, frozen=True):
    """The body of a whole answer."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: tuple[_Choice, ...] | None = None
    usage: _Usage | None = None
    error: VendorError | str | None = None


class _Part(msgspec.Struct, frozen=True):
    delta: _Message = _Message()
    index: int = 0
    finish_reason: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """The data of one event of a stream."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: tuple[_Part, ...] | None = None
    usage: _Usage | None = None
    error: VendorError | str | None = None


def choice_of(said: _Choice) -> Choice:
    """One answer."""
    message, content, reason = said.message, said.message.content, said.finish_reason
    if content is None and message.refusal is not None:
        content, reason = message.refusal, REFUSED
    calls = tuple(_call(c) for c in message.tool_calls) if message.tool_calls else None
    return Choice(index=said.index, message=ChatMessage(content=content, tool_calls=calls), finish_reason=reason)


def usage_of(said: _Usage | None) -> Usage:
    """Its tokens; none if it does not tell."""
    if said is None:
        return NO_USAGE
    return Usage(
        prompt_tokens=said.prompt_tokens,
        completion_tokens=said.completion_tokens,
        total_tokens=said.total_tokens,
        prompt_tokens_details=_prompt_details(said.prompt_tokens_details),
        completion_tokens_details=_completion_details(said.completion_tokens_details),
    )


class Pieces:
    """Makes our chunks of a stream's: `separate_usage` if its usage was asked for in a chunk of its own."""

    def __init__(self, provider: str, separate_usage: bool) -> None:
        self._provider = provider
        self._separate_usage = separate_usage
        self._open: set[int] = set()
        self._refused: set[int] = set()
        self._held: ChatChunk | None = None
        self._begun = False

    @property
    def complete(self) -> bool:
        """Whether each answer has said why it ended."""
        return self._begun and not self._open

    def add(self, said: Chunk) -> Iterator[ChatChunk]:
        """What can be told now that `said` has come. A chunk that ends an answer waits for the next."""
        chunk = ChatChunk(
            id=said.id or "",
            model=said.model or "",
            created=int(said.created or 0),
            choices=tuple([self._part(p) for p in said.choices or ()]),
            usage=None if said.usage is None else usage_of(said.usage),
            provider=self._provider,
        )
        if not chunk.choices and not self._separate_usage and self._held is not None:
            self._held = msgspec.structs.replace(self._held, usage=chunk.usage or self._held.usage)
        elif chunk.choices or (chunk.usage is not None and self._separate_usage):
            yield from self.rest()
            if any(c.finish_reason for c in chunk.choices):
                self._held = chunk
            else:
                yield chunk

    def rest(self) -> Iterator[ChatChunk]:
        """What waited, if anything did."""
        held, self._held = self._held, None
        if held is not None:
            yield held

    def _part(self, said: _Part) -> ChunkChoice:
        self._begun = True
        delta, reason = said.delta, said.finish_reason or None
        if delta.refusal:
            self._refused.add(said.index)
        if reason is None:
            self._open.add(said.index)
        else:
            self._open.discard(said.index)
            reason = REFUSED if said.index in self._refused else reason
        return ChunkChoice(index=said.index, delta=_delta(delta), finish_reason=reason)


def _delta(said: _Message) -> Delta:
    calls = tuple(_call_delta(i, c) for i, c in enumerate(said.tool_calls)) if said.tool_calls else None
    content = said.content if said.content is not None else said.refusal
    return Delta(role=None if said.role is None else "assistant", content=content, tool_calls=calls)


def _call(said: _ToolCall) -> ToolCall:
    function = FunctionCall(name=said.function.name or "", arguments=said.function.arguments or "")
    return ToolCall(id=said.id or "", function=function)


def _call_delta(place: int, said: _ToolCall) -> ToolCallDelta:
    return ToolCallDelta(
        index=place if said.index is None else said.index,
        id=said.id,
        type="function" if said.id is not None else None,
        function=FunctionDelta(name=said.function.name, arguments=said.function.arguments),
    )


def _prompt_details(said: _PromptDetails | None) -> PromptTokensDetails | None:
    if said is None:
        return None
    return PromptTokensDetails(cached_tokens=said.cached_tokens, cache_write_tokens=said.cache_write_tokens)


def _completion_details(said: _CompletionDetails | None) -> CompletionTokensDetails | None:
    return None if said is None else CompletionTokensDetails(reasoning_tokens=said.reasoning_tokens)
