"""What may be asked in OpenAI's format: chat completions with tools, images and formats. Unknown options are taken."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.real.provider.wire import Asked, Rejected, count_words


class _Part(msgspec.Struct):
    type: Literal["text", "image_url", "input_audio", "file", "refusal"]
    text: str = ""


class _Called(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    type: Literal["function"]
    function: _Called


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[_Part] | None = None
    tool_calls: Annotated[list[_Call], Meta(min_length=1)] | None = None
    tool_call_id: str | None = None

    @property
    def texts(self) -> list[str]:
        if isinstance(self.content, str):
            return [self.content]
        return [part.text for part in self.content or ()]


class _Function(msgspec.Struct):
    name: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: Literal["function"]
    function: _Function


class _Named(msgspec.Struct):
    name: str


class _Choice(msgspec.Struct):
    type: Literal["function"]
    function: _Named


class _Schema(msgspec.Struct):
    name: str
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _Schema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Ask(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    stop: str | list[str] | None = None
    tools: Annotated[list[_Tool], Meta(min_length=1)] | None = None
    tool_choice: Literal["none", "auto", "required"] | _Choice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None


_decoder = msgspec.json.Decoder(_Ask)


def asked(body: bytes) -> Asked:
    """The request, or Rejected."""
    try:
        ask = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Rejected(400, str(error)) from error
    _check(ask)
    return Asked(
        model=ask.model,
        words=count_words([text for message in ask.messages for text in message.texts]),
        stream=bool(ask.stream),
        max_tokens=ask.max_completion_tokens or ask.max_tokens,
        stop=(ask.stop,) if isinstance(ask.stop, str) else tuple(ask.stop or ()),
        usage=ask.stream_options is not None and ask.stream_options.include_usage,
        calls=_calls(ask),
        json=ask.response_format is not None and ask.response_format.type != "text",
    )


def _check(ask: _Ask) -> None:
    """What the format's types do not say."""
    if ask.stream_options is not None and not ask.stream:
        raise Rejected(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    if ask.tools is None and (ask.tool_choice is not None or ask.parallel_tool_calls is not None):
        raise Rejected(400, "'tool_choice' and 'parallel_tool_calls' are only allowed when 'tools' are specified.")
    called: set[str] = set()
    for message in ask.messages:
        called |= {call.id for call in message.tool_calls or ()}
        if message.role == "tool" and message.tool_call_id not in called:
            raise Rejected(
                400, "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            )


def _calls(ask: _Ask) -> tuple[str, ...]:
    """The tools to call: each that is given, or the chosen one, until there is a result."""
    if ask.tools is None or ask.tool_choice == "none" or ask.messages[-1].role == "tool":
        return ()
    names = tuple(tool.function.name for tool in ask.tools)
    if isinstance(ask.tool_choice, _Choice):
        names = (ask.tool_choice.function.name,)
    return names[:1] if ask.parallel_tool_calls is False else names
