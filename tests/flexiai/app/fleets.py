"""Small fleets of pretended providers, and the service over them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from flexiai.app import create_app
from flexiai.app.settings import AppSettings
from flexiai.chat import ChatCompletion, ChatMessage, ChatRequest, Choice, Usage
from flexiai.client import AsyncFlexiAI
from flexiai.core.outcome import Trouble
from flexiai.errors import InvalidRequestError, ProviderError
from flexiai.events import Event, Listener
from flexiai.sync.bus import Bus
from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, SyncConfig


class Answers:
    """A provider that answers with the last message, and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[ChatRequest] = []

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        self.asked.append(request)
        said = request.messages[-1]["content"]
        return ChatCompletion(
            id="c-1",
            model=request.model or "model-of-" + self.name,
            choices=(Choice(message=ChatMessage(content=f"you said {said}")),),
            provider=self.name,
            usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3),
        )


class Fails:
    """A provider whose every answer is an HTTP error."""

    def __init__(self, name: str, status: int, retry_after_s: float | None = None) -> None:
        self.name = name
        self.status = status
        self.retry_after_s = retry_after_s

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        kind = InvalidRequestError if self.status in (400, 404, 413, 422) else ProviderError
        raise kind(
            f"{self.name} answered {self.status}",
            provider=self.name,
            trouble=Trouble.STATUS,
            status=self.status,
            retry_after_s=self.retry_after_s,
        )


class Hangs:
    """A provider that never answers. `asked` is set once it was, `cancelled` once it was given up."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.cancelled = False

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        self.asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        raise AssertionError("an event that nobody sets was set")


def service(
    providers: Mapping[str, Any],
    *,
    breaker: BreakerConfig | None = None,
    request: RequestConfig | None = None,
    seen: list[Event] | None = None,
    bus: Bus | None = None,
    sync: SyncConfig | None = None,
    log_level: Any = "critical",
    **more: Any,
) -> Any:
    """The service over `providers`, in their order of priority, without sync unless there is a `bus`. `seen` collects events."""
    settings = AppSettings(
        providers=tuple(ProviderConfig(name=n, model="m", priority=i) for i, n in enumerate(providers)),
        sync=sync or SyncConfig(enabled=bus is not None),
        breaker=breaker or BreakerConfig(),
        request=request or RequestConfig(),
        log_level=log_level,
        **more,
    )

    def client(told: AppSettings, listeners: Sequence[Listener]) -> AsyncFlexiAI:
        return AsyncFlexiAI(
            providers=told.providers,
            sync=told.sync,
            breaker=told.breaker,
            request=told.request,
            custom=providers,
            bus=bus,
            listeners=[*listeners, *([] if seen is None else [seen.append])],
        )

    return create_app(settings, client)
