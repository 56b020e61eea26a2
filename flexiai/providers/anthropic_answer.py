"""Anthropic's answers, whole and in pieces, as ours. Pure.

Rules
-----
* Text blocks, one after the other, are the content; tool_use blocks are the tool calls; other blocks (thinking, and
  kinds to come) are left out. Without any text a turn that calls tools has no content, as with OpenAI.
* Cached input counts as prompt: Anthropic counts it apart, OpenAI's prompt tokens are all of the input.
* A stream is complete at message_stop, once it has told its stop reason. Events of unknown types are skipped, as
  Anthropic asks of its readers; so are pings.
* The usage goes out with the finish_reason, or, for who asked for that, in a chunk of its own after it.
* A call whose arguments were never told has none: `{}`, for its reader will parse them.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from flexiai.chat import (
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

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
NO_ARGUMENTS = "{}"


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")  # kept as it was written; what it holds is not looked at while decoding

    def __post_init__(self) -> None:
        """ValueError, which makes the whole malformed, for a call's input that is no text."""
        if self.type == "tool_use":
            _arguments(self)


class _Thinking(msgspec.Struct, frozen=True):
    thinking_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    """A stream tells it in parts, of which the later counts."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _Thinking | None = None

    def then(self, later: _Usage) -> _Usage:
        """This, and what was told later."""
        told = {name: value for name, value in msgspec.structs.asdict(later).items() if value is not None}
        return msgspec.structs.replace(self, **told)


class Answer(msgspec.Struct, frozen=True):
    """The body of a whole answer, and what begins a streamed one."""

    id: str = ""
    model: str = ""
    content: tuple[_Block, ...] | None = None
    stop_reason: str | None = None
    usage: _Usage = _Usage()
    error: VendorError | None = None


class _Delta(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class Event(msgspec.Struct, frozen=True):
    """The data of one event of a stream."""

    type: str
    message: Answer = Answer()
    index: int = 0
    content_block: _Block | None = None
    delta: _Delta = _Delta()
    usage: _Usage = _Usage()
    error: VendorError | None = None


def choice_of(blocks: tuple[_Block, ...], stop_reason: str | None) -> Choice:
    """The answer."""
    text = "".join([b.text for b in blocks if b.type == "text"])
    calls = tuple([_call(b) for b in blocks if b.type == "tool_use"]) or None
    message = ChatMessage(content=text if text or calls is None else None, tool_calls=calls)
    return Choice(message=message, finish_reason=_finish_reason(stop_reason))


def usage_of(said: _Usage) -> Usage:
    """Its tokens."""
    written, read, details = said.cache_creation_input_tokens, said.cache_read_input_tokens, said.output_tokens_details
    prompt = (said.input_tokens or 0) + (written or 0) + (read or 0)
    completion = said.output_tokens or 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=_cached(read, written),
        completion_tokens_details=None if details is None else _thought(details),
    )


class _Call:
    """A tool call that is being told: its place among the calls, and whether it has arguments yet."""

    def __init__(self, place: int) -> None:
        self.place = place
        self.argued = False


class Pieces:
    """Makes chunks of a stream's events: `separate_usage` if its usage was asked for in a chunk of its own."""

    def __init__(self, provider: str, separate_usage: bool) -> None:
        self._provider = provider
        self._separate_usage = separate_usage
        self._id = self._model = ""
        self._usage = _Usage()
        self._calls: dict[int, _Call] = {}  # by the index of their block
        self.complete = False  # it has said why it ended

    def add(self, event: Event) -> Iterator[ChatChunk]:
        """What an event tells."""
        match event.type:
            case "message_start":
                self._id, self._model, self._usage = event.message.id, event.message.model, event.message.usage
                yield self._chunk(Delta(role="assistant", content=""))
            case "content_block_start" if event.content_block is not None:
                yield from self._block(event.index, event.content_block)
            case "content_block_delta":
                yield from self._more(event.index, event.delta)
            case "content_block_stop":
                yield from self._without_arguments(event.index)
            case "message_delta":
                self._usage = self._usage.then(event.usage)
                if event.delta.stop_reason is not None:
                    yield from self._end(event.delta.stop_reason)

    def _block(self, index: int, block: _Block) -> Iterator[ChatChunk]:
        if block.type == "text" and block.text:
            yield self._chunk(Delta(content=block.text))
        elif block.type == "tool_use":
            call = self._calls[index] = _Call(len(self._calls))
            call.argued = bool(msgspec.json.decode(block.input))  # usually it is empty here, and told in pieces
            function = FunctionDelta(name=block.name, arguments=_arguments(block) if call.argued else "")
            yield self._call(ToolCallDelta(index=call.place, id=block.id, type="function", function=function))

    def _more(self, index: int, delta: _Delta) -> Iterator[ChatChunk]:
        call = self._calls.get(index)
        if delta.type == "text_delta" and delta.text:
            yield self._chunk(Delta(content=delta.text))
        elif delta.type == "input_json_delta" and delta.partial_json and call is not None:
            call.argued = True
            yield self._call(ToolCallDelta(index=call.place, function=FunctionDelta(arguments=delta.partial_json)))

    def _without_arguments(self, index: int) -> Iterator[ChatChunk]:
        call = self._calls.get(index)
        if call is not None and not call.argued:
            call.argued = True
            yield self._call(ToolCallDelta(index=call.place, function=FunctionDelta(arguments=NO_ARGUMENTS)))

    def _end(self, stop_reason: str) -> Iterator[ChatChunk]:
        self.complete = True
        usage = usage_of(self._usage)
        reason = _finish_reason(stop_reason)
        yield self._chunk(Delta(), reason, usage=None if self._separate_usage else usage)
        if self._separate_usage:
            yield ChatChunk(id=self._id, model=self._model, choices=(), provider=self._provider, usage=usage)

    def _call(self, call: ToolCallDelta) -> ChatChunk:
        return self._chunk(Delta(tool_calls=(call,)))

    def _chunk(self, delta: Delta, reason: str | None = None, usage: Usage | None = None) -> ChatChunk:
        choices = (ChunkChoice(delta=delta, finish_reason=reason),)
        return ChatChunk(id=self._id, model=self._model, choices=choices, provider=self._provider, usage=usage)


def _cached(read: int | None, written: int | None) -> PromptTokensDetails | None:
    if read is None and written is None:
        return None
    return PromptTokensDetails(cached_tokens=read, cache_write_tokens=written)


def _thought(said: _Thinking) -> CompletionTokensDetails:
    return CompletionTokensDetails(reasoning_tokens=said.thinking_tokens)


def _finish_reason(stop_reason: str | None) -> str | None:
    return None if stop_reason is None else FINISH_REASONS.get(stop_reason, stop_reason)


def _call(block: _Block) -> ToolCall:
    return ToolCall(id=block.id, function=FunctionCall(name=block.name, arguments=_arguments(block)))


def _arguments(block: _Block) -> str:
    return bytes(block.input).decode()
