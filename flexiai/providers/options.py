"""A request's further parameters, as OpenAI names them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flexiai.providers.http import Endpoint

_NO_IS_NOTHING = ("stream", "logprobs")


def given(options: Mapping[str, Any]) -> dict[str, object]:
    """The options that ask for something: neither None nor a `stream` or `logprobs` that says no."""
    return {k: v for k, v in options.items() if v is not None and not (v is False and k in _NO_IS_NOTHING)}


def wants_usage(options: Mapping[str, object]) -> bool:
    """Whether a stream is to tell its usage in a chunk of its own."""
    asked = options.get("stream_options")
    return isinstance(asked, Mapping) and bool(asked.get("include_usage"))


def refuse(names: set[str], endpoint: Endpoint) -> None:
    """Refuse a request that has options of these names, if there are any."""
    if names:
        raise endpoint.unsupported(f"the option {', '.join(sorted(names))}")
