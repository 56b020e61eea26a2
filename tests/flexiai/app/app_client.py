"""OpenAI's own client, against the service in this event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from asgi_driver import started
from openai import AsyncOpenAI


@asynccontextmanager
async def client_of(app: Any, key: str = "any") -> AsyncIterator[AsyncOpenAI]:
    """OpenAI's client against the started service, without retries of its own."""
    async with started(app):
        transport = httpx2.ASGITransport(app)
        async with AsyncOpenAI(
            api_key=key,
            base_url="http://127.0.0.1/v1",
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=transport),
        ) as client:
            yield client


def asked(app: Any, ask_it: Callable[[AsyncOpenAI], Awaitable[Any]], key: str = "any") -> Any:
    async def run() -> Any:
        async with client_of(app, key) as client:
            return await ask_it(client)

    return asyncio.run(run())
