"""The seam to a provider: one verb, and its streaming twin."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest


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


class StreamingProvider(Provider, Protocol):
    """A provider that can also answer piece by piece. One that cannot is asked to `complete`, and told in one piece."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        """Answer `request` in pieces, or raise `ProviderError` saying what happened, at whatever piece it did.

        The generator ends when the answer is complete; an answer that breaks off raises. The caller bounds the time
        to the first piece of content and between pieces, by cancellation, and closes the generator in any case:
        the connection must not outlive that. Each piece may be asked for by another task.
        """
        ...
