"""The seam to a provider: one verb."""

from __future__ import annotations

from typing import Protocol

from flexiai.chat import ChatCompletion, ChatRequest


class Provider(Protocol):
    """Something that answers chat requests.

    A custom provider is any object with this method. It may also have `async aclose()`, awaited at shutdown.
    """

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        """Answer `request`, or raise `ProviderError` saying what happened.

        `timeout_s` is how long the attempt may take; the caller enforces it too, by cancellation. Any exception that
        is not a ProviderError counts as `Trouble.OTHER`.
        """
        ...
