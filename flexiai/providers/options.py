"""A request's further parameters, as OpenAI names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flexiai.chat import ChatRequest

_NO_IS_NOTHING = ("stream", "logprobs")


class Unsupported(Exception):
    """What a provider's format has no word for."""


def given(options: Mapping[str, Any]) -> dict[str, object]:
    """The options that ask for something: not None, a `stream` or `logprobs` that says no, or `modalities` of text."""
    return {k: v for k, v in options.items() if v is not None and not _is_nothing(k, v)}


def _is_nothing(name: str, value: object) -> bool:
    return (value is False and name in _NO_IS_NOTHING) or (name == "modalities" and value == ["text"])


def wants_usage(options: Mapping[str, object]) -> bool:
    """Whether a stream is to tell its usage in a chunk of its own."""
    asked = options.get("stream_options")
    return isinstance(asked, Mapping) and bool(asked.get("include_usage"))


def without(request: ChatRequest, names: frozenset[str]) -> ChatRequest:
    """The request without the options of these names."""
    if not names:
        return request
    return msgspec.structs.replace(
        request,
        temperature=None if "temperature" in names else request.temperature,
        max_tokens=None if "max_tokens" in names else request.max_tokens,
        options={k: v for k, v in request.options.items() if k not in names},
    )


def refuse(names: set[str]) -> None:
    """Refuse a request that has options of these names, if there are any."""
    if names:
        raise Unsupported(f"the option {', '.join(sorted(names))}")
