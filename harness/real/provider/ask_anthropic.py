"""What may be asked in Anthropic's format: strict, as the vendor is. An unknown field is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from harness.real.provider.wire import Asked, Rejected, count_words

NO_SAMPLING = "2026-10-21"  # the API version since which temperature and its kin are refused
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
Id = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+$")]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Text(_Strict, frozen=True, tag_field="type", tag="text"):
    text: Annotated[str, Meta(min_length=1)]
    cache_control: dict[str, Any] | None = None


class _Base64(_Strict, frozen=True, tag_field="type", tag="base64"):
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf"]
    data: str


class _Url(_Strict, frozen=True, tag_field="type", tag="url"):
    url: str


class _Image(_Strict, frozen=True, tag_field="type", tag="image"):
    source: _Base64 | _Url


class _Document(_Strict, frozen=True, tag_field="type", tag="document"):
    source: _Base64 | _Url
    title: str | None = None


class _ToolUse(_Strict, frozen=True, tag_field="type", tag="tool_use"):
    id: Id
    name: Name
    input: dict[str, Any]


class _ToolResult(_Strict, frozen=True, tag_field="type", tag="tool_result"):
    tool_use_id: Id
    content: str | list[_Text | _Image] = ""
    is_error: bool = False


Block = _Text | _Image | _Document | _ToolUse | _ToolResult


class _Message(_Strict, frozen=True):
    role: Literal["user", "assistant"]
    content: Annotated[str, Meta(min_length=1)] | Annotated[list[Block], Meta(min_length=1)]

    @property
    def blocks(self) -> Sequence[Block]:
        return (_Text(self.content),) if isinstance(self.content, str) else self.content

    @property
    def uses(self) -> set[str]:
        return {block.id for block in self.blocks if isinstance(block, _ToolUse)}

    @property
    def results(self) -> set[str]:
        return {block.tool_use_id for block in self.blocks if isinstance(block, _ToolResult)}


class _Metadata(_Strict, frozen=True):
    user_id: str | None = None


class _Schema(msgspec.Struct):
    type: Literal["object"]


class _Tool(_Strict, frozen=True):
    name: Name
    input_schema: _Schema
    description: str | None = None
    strict: bool = False
    type: Literal["custom"] = "custom"


class _Choice(_Strict, frozen=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool = False


class _Format(_Strict, frozen=True):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class _Output(_Strict, frozen=True):
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: _Format | None = None


class _Ask(_Strict, frozen=True):
    model: Annotated[str, Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    system: str | list[_Text] = ""
    stream: bool = False
    stop_sequences: list[str] = []
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    metadata: _Metadata | None = None
    tools: list[_Tool] = []
    tool_choice: _Choice = _Choice("auto")
    output_config: _Output = _Output()


_decoder = msgspec.json.Decoder(_Ask)


def asked(body: bytes, version: str) -> Asked:
    """The request in an API version, or Rejected."""
    try:
        ask = _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise Rejected(400, str(error)) from error
    _check(ask, version)
    return Asked(
        model=ask.model,
        words=count_words(_texts(ask)),
        stream=ask.stream,
        max_tokens=ask.max_tokens,
        stop=tuple(ask.stop_sequences),
        calls=_calls(ask),
        json=ask.output_config.format is not None,
    )


def _check(ask: _Ask, version: str) -> None:
    """What the format's types do not say."""
    for name in ("temperature", "top_p", "top_k"):
        if version >= NO_SAMPLING and getattr(ask, name) is not None:
            raise Rejected(400, f"{name}: Extra inputs are not permitted")
    due: set[str] = set()
    for message in ask.messages:
        if due - message.results:
            raise Rejected(400, "`tool_use` ids were found without `tool_result` blocks immediately after")
        if message.results - due:
            raise Rejected(400, "unexpected `tool_use_id` found in `tool_result` blocks")
        due = message.uses


def _calls(ask: _Ask) -> tuple[str, ...]:
    """The tools to call: each that is given, or the chosen one, until there is a result."""
    if not ask.tools or ask.tool_choice.type == "none" or ask.messages[-1].results:
        return ()
    names = tuple(tool.name for tool in ask.tools)
    if ask.tool_choice.name is not None:
        names = (ask.tool_choice.name,)
    return names[:1] if ask.tool_choice.disable_parallel_tool_use else names


def _texts(ask: _Ask) -> list[str]:
    system = [ask.system] if isinstance(ask.system, str) else [block.text for block in ask.system]
    return system + [text for message in ask.messages for block in message.blocks for text in _in_block(block)]


def _in_block(block: Block) -> list[str]:
    if isinstance(block, _ToolResult):
        if isinstance(block.content, str):
            return [block.content]
        return [part.text for part in block.content if isinstance(part, _Text)]
    return [block.text] if isinstance(block, _Text) else []
