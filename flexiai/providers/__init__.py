"""The vendors' documented HTTP formats over one aiohttp session per worker, without their SDKs."""

from __future__ import annotations

import aiohttp

from flexiai.providers.anthropic import Anthropic
from flexiai.providers.base import StreamingProvider
from flexiai.providers.openai import OpenAI
from flexiai.providers.session import new_session
from flexiai.types import ProviderConfig, RequestConfig

__all__ = ["build_provider", "new_session"]


def build_provider(config: ProviderConfig, request: RequestConfig, session: aiohttp.ClientSession) -> StreamingProvider:
    """The provider that `config` describes; ConfigurationError if it cannot work. It does not close `session`."""
    wire = config.wire or ("anthropic" if config.name == "anthropic" else "openai")
    return Anthropic(config, request, session) if wire == "anthropic" else OpenAI(config, request, session)
