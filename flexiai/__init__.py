"""Failover between LLM providers, with circuit breakers that every worker shares."""

from flexiai.blocking import FlexiAI
from flexiai.chat import ChatCompletion
from flexiai.client import AsyncFlexiAI
from flexiai.errors import (
    ConfigurationError,
    FlexiAIError,
    InvalidRequestError,
    NoProviderAvailable,
    ProviderError,
)
from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, SyncConfig

__all__ = [
    "AsyncFlexiAI",
    "BreakerConfig",
    "ChatCompletion",
    "ConfigurationError",
    "FlexiAI",
    "FlexiAIError",
    "InvalidRequestError",
    "NoProviderAvailable",
    "ProviderConfig",
    "ProviderError",
    "RequestConfig",
    "SyncConfig",
]
