"""The service: FastAPI, one client for each worker process, and the guide's endpoints.

`uvicorn flexiai.app:app --workers 4` runs it with settings from the environment; `create_app` makes another one, with
settings or a client of one's own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flexiai.app.bodies import DirectChat, FullChat
from flexiai.app.chat import ChatEndpoint
from flexiai.app.dialect import Direct
from flexiai.app.openai import OpenAIsWay, openais_error
from flexiai.app.openapi import with_chat
from flexiai.app.refusals import of_http
from flexiai.app.routes import add_health, add_models, add_operations
from flexiai.app.settings import AppSettings, load_settings
from flexiai.app.startup import Startup
from flexiai.app.worker import ClientFactory, Desk, client_of, running_worker
from flexiai.errors import ConfigurationError

DESCRIPTION = "Failover between LLM providers, with circuit breakers shared by every worker."


class FlexiAIApp(FastAPI):
    """FastAPI whose start, where the settings make it impossible, fails with a sentence instead of a traceback."""

    startup: Startup
    desk: Desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, or the lifespan."""
        if scope["type"] == "lifespan":
            send = self.startup.plainly(send)
        await super().__call__(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """The schema, with the chat endpoints, which FastAPI does not see."""
        return with_chat(super().openapi())


def create_app(settings: AppSettings | None = None, client_factory: ClientFactory = client_of) -> FlexiAIApp:
    """The service, to be given to an ASGI server. `settings` None: read from the environment when it starts.

    `client_factory` makes each worker's client of its settings. A start that cannot succeed fails with one sentence.
    """
    desk, startup = Desk(), Startup()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            async with running_worker(settings or load_settings(), client_factory) as desk.worker:
                yield
        except ConfigurationError as error:
            startup.refused = error
            raise
        finally:
            desk.worker = None

    app = FlexiAIApp(title="FlexiAI", description=DESCRIPTION, lifespan=lifespan)
    app.startup, app.desk = startup, desk
    chats = {
        "/chat/direct": ChatEndpoint(desk, Direct(DirectChat, whole=False)),
        "/chat": ChatEndpoint(desk, Direct(FullChat, whole=True)),
        "/v1/chat/completions": ChatEndpoint(desk, OpenAIsWay()),
    }
    app.router.routes[:0] = [Route(path, endpoint, methods=["POST"]) for path, endpoint in chats.items()]
    add_models(app, desk)
    add_health(app, desk)
    add_operations(app, desk)
    app.add_exception_handler(HTTPException, _http_error)
    return app


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    path = request.url.path
    reply = of_http(error, request.method, path)
    return (openais_error(reply) if path.startswith("/v1/") else reply).response()
