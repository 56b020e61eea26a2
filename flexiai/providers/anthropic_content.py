"""The messages of a conversation, from OpenAI's shape to Anthropic's. Pure.

Rules
-----
* System and developer messages are lifted, in their order, to `system`, wherever they stood.
* A tool message is a `tool_result` of the user's; turns of one role that follow each other become one, so that all
  results of a turn's calls stand together in the turn after it, and roles take turns as some servers demand.
* A call's arguments must be a JSON object, for Anthropic takes them as one. Its id keeps to Anthropic's alphabet.
* Images and PDF files go by their http(s) URL or as the base64 of a data URL. How closely an image is to be looked at
  (`detail`) is left out, as is a message's `name`: the format has no place for them.
* A refusal that was an assistant's turn is its text. Fields that are empty are as good as absent.
* Anything else raises Unsupported, which names it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from flexiai.chat import Message
from flexiai.providers.options import Unsupported

SYSTEM_ROLES = ("system", "developer")
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
PDF = "application/pdf"
Block = dict[str, object]
_data_url = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_not_in_ids = re.compile(r"[^a-zA-Z0-9_-]")
_PLAIN = frozenset({"role", "content", "name"})
_FIELDS: dict[str, frozenset[str]] = {
    "user": _PLAIN,
    "assistant": _PLAIN | {"refusal", "tool_calls"},
    "tool": _PLAIN | {"tool_call_id"},
    **dict.fromkeys(SYSTEM_ROLES, _PLAIN),
}


def conversation(messages: Iterable[Message]) -> tuple[list[object], list[Block]]:
    """The text blocks of the system's messages, and the turns of the user and the assistant."""
    system: list[object] = []
    turns: list[Block] = []
    for message in messages:
        role = _role(message)
        content = _content(message, role)
        if role in SYSTEM_ROLES:
            system += _blocks(content)
            continue
        speaker = "assistant" if role == "assistant" else "user"
        said = content if role == "user" else _said(message, role, content)
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] = _blocks(turns[-1]["content"]) + _blocks(said)
        else:
            turns.append({"role": speaker, "content": said})
    return system, turns


def _role(message: Message) -> str:
    role = message.get("role") if isinstance(message, Mapping) else None
    if not isinstance(role, str) or role not in _FIELDS:
        raise Unsupported(f"a message of the role {role}")
    return role


def _said(message: Message, role: str, content: object) -> object:
    """What a message of the assistant or of a tool says, as Anthropic's content."""
    if role == "tool":
        return [{"type": "tool_result", "tool_use_id": _id(message.get("tool_call_id")), "content": content}]
    calls = message.get("tool_calls")
    if not content and message.get("refusal"):
        content = message["refusal"]
    if not calls:
        return content
    return [*(_blocks(content) if content else ()), *(_call(c) for c in _list(calls, "tool_calls"))]


def _call(call: Any) -> Block:
    function = _mapping(call).get("function")
    if not isinstance(function, Mapping):
        raise Unsupported(f"a tool call of the type {_mapping(call).get('type')}")
    return {
        "type": "tool_use",
        "id": _id(call.get("id")),
        "name": function.get("name"),
        "input": _arguments(function.get("arguments"), function.get("name")),
    }


def _arguments(text: object, name: object) -> Mapping[str, object]:
    try:
        arguments = msgspec.json.decode(text or "{}") if isinstance(text, str | None) else text
    except msgspec.DecodeError:
        arguments = None
    if not isinstance(arguments, Mapping):
        raise Unsupported(f"a call of {name} whose arguments are not a JSON object")
    return arguments


def _content(message: Message, role: str) -> object:
    """Its text, or its parts."""
    others = [str(name) for name in message.keys() - _FIELDS[role] if message[name]]
    if others:
        raise Unsupported(f"a message with {', '.join(sorted(others))}")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return content or ""
    return [_part(p) for p in _list(content, "content")]


def _part(part: Any) -> Block:
    match _mapping(part).get("type"):
        case "text":
            return _text(part.get("text"), part)
        case "refusal":
            return _text(part.get("refusal"), part)
        case "image_url":
            asked = part.get("image_url")
            return {"type": "image", "source": _source(asked.get("url") if isinstance(asked, Mapping) else asked)}
        case "file":
            return _document(_mapping(part.get("file")))
        case kind:
            raise Unsupported(f"content of the type {kind}")


def _text(text: object, part: Mapping[str, object]) -> Block:
    mark = {"cache_control": part["cache_control"]} if part.get("cache_control") else {}
    return {"type": "text", "text": text, **mark}


def _source(url: object) -> Block:
    if isinstance(url, str) and url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    kind, data = _embedded(url, "an image that is neither at an http(s) URL nor in a data URL")
    if kind not in IMAGE_TYPES:
        raise Unsupported(f"an image of the type {kind}")
    return {"type": "base64", "media_type": kind, "data": data}


def _document(file: Mapping[str, object]) -> Block:
    kind, data = _embedded(file.get("file_data"), "a file that is not in a data URL")
    if kind != PDF:
        raise Unsupported(f"a file of the type {kind}")
    title = {"title": file["filename"]} if file.get("filename") else {}
    return {"type": "document", "source": {"type": "base64", "media_type": kind, "data": data}, **title}


def _embedded(url: object, what: str) -> tuple[str, str]:
    found = _data_url.fullmatch(url) if isinstance(url, str) else None
    if found is None:
        raise Unsupported(what)
    return found[1], found[2]


def _blocks(content: object) -> list[object]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(_list(content, "content"))


def _id(said: object) -> object:
    return _not_in_ids.sub("_", said) if isinstance(said, str) else said


def _list(value: object, name: str) -> Sequence[Any]:
    if not isinstance(value, (list, tuple)):
        raise Unsupported(f"a message whose {name} is {type(value).__name__}")
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Unsupported(f"content of the type {type(value).__name__}")
    return value
