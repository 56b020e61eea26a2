"""Drives an ASGI application in this event loop, as a server would: its lifespan, requests, callers that go away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class StartRefused(Exception):
    """The application's lifespan failed; the message it told the server."""


@asynccontextmanager
async def started(app: Any) -> AsyncIterator[Any]:
    """The application between its start-up and its shutdown."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    lifespan = asyncio.create_task(app({"type": "lifespan", "state": {}}, to_app.get, from_app.put))
    to_app.put_nowait({"type": "lifespan.startup"})
    told = await from_app.get()
    if told["type"] != "lifespan.startup.complete":
        await asyncio.gather(lifespan, return_exceptions=True)
        raise StartRefused(told["message"])
    try:
        yield app
    finally:
        to_app.put_nowait({"type": "lifespan.shutdown"})
        await lifespan


async def ask(
    app: Any,
    method: str,
    path: str,
    body: bytes | Mapping[str, Any] = b"",
    headers: Mapping[str, str] | None = None,
    gone: asyncio.Event | None = None,
    chunk: int | None = None,
    peer: tuple[str, int] | None = ("127.0.0.1", 1),
    on_send: Callable[[dict[str, Any]], None] = lambda message: None,
    slowly: Callable[[dict[str, Any]], Awaitable[None]] | None = None,
) -> Answer | None:
    """The answer to one request, or None when there was none. Setting `gone` closes the caller's connection.

    `on_send` sees each message of the application's; `slowly` is awaited before one counts as sent.
    """
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    chunks = [content[i : i + (chunk or len(content))] for i in range(0, len(content), chunk or len(content) or 1)] or [
        b""
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if chunks:
            return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if slowly is not None:
            await slowly(message)
        sent.append(message)
        on_send(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path.partition("?")[0],
        "raw_path": path.partition("?")[0].encode(),
        "query_string": path.partition("?")[2].encode(),
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 80),
        "client": peer,
        "headers": [
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (headers or {}).items()
        ],
    }
    await asyncio.wait_for(app(scope, receive, send), 10)
    if not sent:
        return None
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], answered, b"".join(m.get("body", b"") for m in sent[1:]))
