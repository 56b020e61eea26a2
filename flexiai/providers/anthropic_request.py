"""A chat request in Anthropic's messages format (API version 2023-06-01). Pure.

Rules
-----
* `max_tokens` is required there: without one (or `max_completion_tokens`) it is the provider's own setting.
* A failover answers as freely as it can, rather than refuse a request that the better provider would have answered:
  temperatures of OpenAI's upper half (1 to 2) become Anthropic's highest, 1, which is its default and not sent.
  Options that ask for speed, price, caching or tone, and not for another answer, are left out (HINTS).
* Values that ask for nothing (`n: 1`, `frequency_penalty: 0`, no tools) are left out.
* stop -> stop_sequences; user, safety_identifier or metadata's user_id -> metadata.user_id (the other metadata are for
  OpenAI's own pages); reasoning_effort -> output_config.effort; response_format with a schema -> output_config.format.
* tools -> tools, each function's parameters as its input_schema; tool_choice and parallel_tool_calls -> tool_choice.
* Anything else is refused by name, as the caller's own error, before anything is sent: a seed, several answers, log
  probabilities, penalties, audio, custom tools, JSON without a schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flexiai.chat import ChatRequest
from flexiai.providers.anthropic_content import conversation
from flexiai.providers.options import Unsupported, given, refuse

MAX_TEMPERATURE = 1.0
ASK_FOR_NOTHING: dict[str, object] = {
    "n": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "top_p": 1,
    "store": False,
    "logit_bias": {},
    "tools": [],
}
HINTS = frozenset(
    {
        "prediction",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "service_tier",
        "verbosity",
    }
)
EFFORTS = {"none": "low", "minimal": "low"}  # the lowest that there is; the others have the same names
_TRANSLATED = frozenset(
    {
        "max_completion_tokens",
        "metadata",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "stop",
        "tool_choice",
        "tools",
        "top_p",
        "user",
    }
)


def payload_of(request: ChatRequest, model: str, max_tokens: int) -> dict[str, object]:
    """What is sent for `request`; Unsupported names what cannot be said. `model`, `max_tokens`: where it has none."""
    system, turns = conversation(request.messages)
    payload: dict[str, object] = {"model": request.model or model, "max_tokens": max_tokens, "messages": turns}
    if system:
        payload["system"] = system
    if request.options:
        payload |= _options(request.options)
    if request.max_tokens is not None:
        payload["max_tokens"] = request.max_tokens
    if request.temperature is not None and request.temperature < MAX_TEMPERATURE:
        payload["temperature"] = request.temperature
    return payload


def _options(asked: Mapping[str, Any]) -> dict[str, object]:
    options = {k: v for k, v in given(asked).items() if k not in HINTS and ASK_FOR_NOTHING.get(k) != v}
    refuse(options.keys() - _TRANSLATED)
    said: dict[str, object] = {
        "max_tokens": options.get("max_completion_tokens"),
        "top_p": options.get("top_p"),
        "metadata": _metadata(options),
        "stop_sequences": _stop_sequences(options.get("stop")),
        "tools": [_tool(t) for t in _tools(options)],
        "tool_choice": _tool_choice(options),
        "output_config": _output_config(options),
    }
    return {name: value for name, value in said.items() if value not in (None, [], {})}


def _metadata(options: Mapping[str, Any]) -> dict[str, object]:
    tags = options.get("metadata")
    tagged = tags.get("user_id") if isinstance(tags, Mapping) else None
    user = options.get("user") or options.get("safety_identifier") or tagged
    return {"user_id": user} if user else {}


def _stop_sequences(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


def _tools(options: Mapping[str, Any]) -> list[Any]:
    tools = options.get("tools", [])
    if not isinstance(tools, (list, tuple)):
        raise Unsupported(f"tools that are {type(tools).__name__}")
    return list(tools)


def _tool(tool: Any) -> dict[str, object]:
    kind = tool.get("type") if isinstance(tool, Mapping) else type(tool).__name__
    function = tool.get("function") if isinstance(tool, Mapping) else None
    if kind != "function" or not isinstance(function, Mapping):
        raise Unsupported(f"a tool of the type {kind}")
    schema = function.get("parameters") or {}
    if not isinstance(schema, Mapping):
        raise Unsupported(f"a tool whose parameters are {type(schema).__name__}")
    made: dict[str, object] = {"name": function.get("name"), "input_schema": {"type": "object", **schema}}
    return made | {name: function[name] for name in ("description", "strict") if function.get(name)}


def _tool_choice(options: Mapping[str, Any]) -> dict[str, object] | None:
    choice = _chosen(options.get("tool_choice"))
    one_at_a_time = options.get("parallel_tool_calls") is False
    if not one_at_a_time or not options.get("tools") or choice == {"type": "none"}:
        return choice
    return {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}


def _chosen(asked: Any) -> dict[str, object] | None:
    match asked:
        case None:
            return None
        case "auto" | "none":
            return {"type": asked}
        case "required":
            return {"type": "any"}
        case {"type": "function", "function": {"name": name}}:
            return {"type": "tool", "name": name}
        case _:
            kind = asked.get("type") if isinstance(asked, Mapping) else asked
            raise Unsupported(f"the tool_choice {kind}")


def _output_config(options: Mapping[str, Any]) -> dict[str, object]:
    effort = options.get("reasoning_effort")
    config = {"effort": EFFORTS.get(effort, effort) if isinstance(effort, str) else effort, "format": _format(options)}
    return {name: value for name, value in config.items() if value is not None}


def _format(options: Mapping[str, Any]) -> dict[str, object] | None:
    match options.get("response_format"):
        case None | {"type": "text"}:
            return None
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            return {"type": "json_schema", "schema": schema}
        case asked:
            kind = asked.get("type") if isinstance(asked, Mapping) else asked
            raise Unsupported(f"the response_format {kind} without a schema")
