"""Failover between LLM providers, with circuit breakers that every worker shares."""

from flexiai.blocking import BlockingChatStream, FlexiAI
from flexiai.chat import ChatChunk, ChatCompletion
from flexiai.client import AsyncFlexiAI
from flexiai.errors import (
    ConfigurationError,
    FlexiAIError,
    InvalidRequestError,
    NoProviderAvailable,
    ProviderError,
    StreamBroken,
)
from flexiai.stream import ChatStream
from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, SyncConfig

__all__ = [
    "AsyncFlexiAI",
    "BlockingChatStream",
    "BreakerConfig",
    "ChatChunk",
    "ChatCompletion",
    "ChatStream",
    "ConfigurationError",
    "FlexiAI",
    "FlexiAIError",
    "InvalidRequestError",
    "NoProviderAvailable",
    "ProviderConfig",
    "ProviderError",
    "RequestConfig",
    "StreamBroken",
    "SyncConfig",
]
