"""What `import flexiai` offers."""

from __future__ import annotations

import flexiai


def test_the_public_names_are_sorted_and_exist() -> None:
    assert flexiai.__all__ == sorted(flexiai.__all__)
    assert all(hasattr(flexiai, name) for name in flexiai.__all__)


def test_the_public_names_are_these() -> None:
    assert set(flexiai.__all__) == {
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
    }
