"""A server that answers as told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest
from flexiai.providers import build_provider, new_session
from flexiai.types import ProviderConfig, RequestConfig

KEY = "sk-secret-0123456789"
OK = {
    "openai": {
        "id": "chatcmpl-1",
        "created": 1_700_000_000,
        "model": "m-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    },
    "anthropic": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [{"type": "text", "text": "Hello."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 2},
    },
}
WIRES = ("openai", "anthropic")


class Scripted:
    """Answers every request with `body` (JSON unless bytes), `status` and `headers`."""

    def __init__(self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._status = status
        self._headers = dict(headers or {})
        self.paths: list[str] = []
        self.headers: Mapping[str, str] = {}
        self.asked: Any = None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.paths.append(request.path_qs)
        self.headers = request.headers
        self.asked = json.loads(await request.read() or b"null")
        return web.Response(
            body=self._body, status=self._status, headers={"Content-Type": "application/json", **self._headers}
        )


@asynccontextmanager
async def serving(scripted: Scripted) -> AsyncIterator[str]:
    """The server's address, without a slash at its end."""
    runner = web.ServerRunner(web.Server(scripted.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def config(wire: str, base_url: str, key: str | None = KEY, **settings: Any) -> ProviderConfig:
    return ProviderConfig.model_validate(
        {"name": f"the-{wire}", "api_key": key, "model": "m-default", "base_url": base_url, "wire": wire, **settings}
    )


async def complete(
    wire: str, scripted: Scripted, request: ChatRequest, key: str | None = KEY, **settings: Any
) -> ChatCompletion:
    """What a provider of this wire format makes of the server's answer to `request`."""
    costs = RequestConfig()
    async with serving(scripted) as url, new_session(costs) as session:
        provider = build_provider(config(wire, url, key, **settings), costs, session)
        return await provider.complete(request, timeout_s=10)


def ask(
    wire: str, scripted: Scripted, key: str | None = KEY, settings: Mapping[str, Any] | None = None, **fields: Any
) -> ChatCompletion:
    """The same, from a test that is not a coroutine."""
    fields.setdefault("messages", ({"role": "user", "content": "Hi."},))
    return asyncio.run(complete(wire, scripted, ChatRequest(**fields), key, **(settings or {})))


async def stream(wire: str, scripted: Scripted, request: ChatRequest, key: str | None = KEY) -> list[ChatChunk]:
    """The chunks that a provider of this wire format makes of the server's answer to `request`."""
    settings = RequestConfig()
    async with serving(scripted) as url, new_session(settings) as session:
        provider = build_provider(config(wire, url, key), settings, session)
        return [chunk async for chunk in provider.stream(request)]


def ask_stream(wire: str, scripted: Scripted, **fields: Any) -> list[ChatChunk]:
    """The same, from a test that is not a coroutine."""
    fields.setdefault("messages", ({"role": "user", "content": "Hi."},))
    return asyncio.run(stream(wire, scripted, ChatRequest(**fields)))


def streaming(*events: Any, end: bytes = b"") -> Scripted:
    """A server that answers with these events, each JSON (named by its type, if it has one) or bytes as they are."""
    body = b"".join(e if isinstance(e, bytes) else _framed(e) for e in events) + end
    return Scripted(body, headers={"Content-Type": "text/event-stream"})


def _framed(event: dict[str, Any]) -> bytes:
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()
