"""The endpoints for operators, load balancers and orchestrators, as FastAPI routes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import ValidationError

from flexiai.app.bodies import TimedWord, Word
from flexiai.app.health import Liveness, health, readiness
from flexiai.app.incoming import new_id, request_id
from flexiai.app.metrics import metrics, wants_prometheus
from flexiai.app.models import Models
from flexiai.app.openai import openais_error
from flexiai.app.providers import Operated, providers
from flexiai.app.refusals import no_operator, no_such_provider, not_serving, refusal
from flexiai.app.refused import Refused
from flexiai.app.replies import Reply, id_header
from flexiai.app.telemetry.exposition import CONTENT_TYPE
from flexiai.app.worker import Desk, Worker
from flexiai.client import AsyncFlexiAI
from flexiai.clock import clock_of

LONGEST_WORD = 10_000
W = TypeVar("W", bound=Word)


def add_health(app: FastAPI, desk: Desk) -> None:
    """Add `/health`, `/health/ready` and `/health/live`."""

    @app.get("/health", summary="Health of this worker, its providers and its sync")
    async def get_health() -> Response:
        return _told_by(desk, lambda worker: health(worker, _now()))

    @app.get("/health/ready", summary="Whether to send traffic here")
    async def get_ready() -> Response:
        return readiness(desk.worker, _now()).response()

    @app.get("/health/live", summary="Whether the process answers")
    async def get_live() -> Response:
        return Reply(200, Liveness(worker_id=os.getpid())).response()


def add_models(app: FastAPI, desk: Desk) -> None:
    """Add `/v1/models` and its entries, as OpenAI has them."""

    @app.get("/v1/models", summary="The models that may be asked for")
    async def get_models(request: Request) -> Response:
        return _asked_by(desk, request, lambda models: models.all())

    @app.get("/v1/models/{name:path}", summary="One model that may be asked for")
    async def get_model(name: str, request: Request) -> Response:
        return _asked_by(desk, request, lambda models: models.get(name))


def add_operations(app: FastAPI, desk: Desk) -> None:
    """Add `/metrics`, `/providers`, and what an operator may do with a provider."""

    @app.get("/metrics", summary="What was counted: this worker's as JSON, the instance's as Prometheus' text")
    async def get_metrics(request: Request, format: str | None = None) -> Response:
        worker = desk.worker
        if worker is not None and wants_prometheus(request.headers.get("accept", ""), format):
            return Response(worker.pulse.prometheus(_now()), media_type=CONTENT_TYPE)
        return _told_by(desk, lambda worker: Reply(200, metrics(worker)))

    @app.get("/providers", summary="The providers as this worker sees them")
    async def get_providers() -> Response:
        return _told_by(desk, _providers)

    @app.post("/providers/{name}/reset", summary="Close a provider's circuit, on every worker")
    async def reset_provider(name: str, request: Request) -> Response:
        return await _operated(desk, request, name, Word, lambda client, said: client.reset(name, said.reason))

    @app.post("/providers/{name}/open", summary="Keep everybody from asking a provider for a time, on every worker")
    async def open_provider(name: str, request: Request) -> Response:
        return await _operated(
            desk,
            request,
            name,
            TimedWord,
            lambda client, said: client.force_open(name, for_s=said.for_s, reason=said.reason),
        )

    @app.post("/providers/{name}/drain", summary="Make a provider the last resort for a time, on every worker")
    async def drain_provider(name: str, request: Request) -> Response:
        return await _operated(
            desk,
            request,
            name,
            TimedWord,
            lambda client, said: client.drain(name, for_s=said.for_s, reason=said.reason),
        )


def operated_by(desk: Desk, request: Request, operate: Callable[[Worker], Reply]) -> Response:
    """What `operate` answers, if whoever asks may operate; a refusal otherwise."""

    def checked(worker: Worker) -> Reply:
        try:
            worker.access.check_operator(request.scope)
        except Refused as error:
            return no_operator(error, worker.id)
        return operate(worker)

    return _told_by(desk, checked)


def _asked_by(desk: Desk, request: Request, tell: Callable[[Models], msgspec.Struct]) -> Response:
    asked_as, worker = request_id(request.scope["headers"]), desk.worker
    if worker is None:
        return openais_error(not_serving(asked_as)).response()
    try:
        worker.access.check_caller(request.scope["headers"])
        reply = Reply(200, tell(worker.models), (id_header(asked_as),))
    except Refused as error:
        reply = openais_error(refusal(error, worker.id, asked_as))
    return reply.response()


def _told_by(desk: Desk, tell: Callable[[Worker], Reply]) -> Response:
    reply = tell(desk.worker) if desk.worker is not None else not_serving(new_id())
    return reply.response()


def _providers(worker: Worker) -> Reply:
    return Reply(200, providers(worker, _now()))


async def _operated(
    desk: Desk, request: Request, name: str, kind: type[W], operate: Callable[[AsyncFlexiAI, W], None]
) -> Response:
    """What an operator said, done; nothing of it is read before whoever asks was found to be one."""
    refused = operated_by(desk, request, lambda worker: _known(worker, name))
    if refused.status_code != 200:
        return refused
    body = await _short_body(request)
    return operated_by(desk, request, lambda worker: _done(worker, name, body, kind, operate))


def _known(worker: Worker, name: str) -> Reply:
    if name not in worker.client.breakers:
        return no_such_provider(name, tuple(worker.client.breakers), worker.id)
    provider = next(p for p in providers(worker, _now()).providers if p.name == name)
    return Reply(200, Operated(worker_id=worker.id, provider=provider))


def _done(worker: Worker, name: str, body: bytes, kind: type[W], operate: Callable[[AsyncFlexiAI, W], None]) -> Reply:
    try:
        said = kind.model_validate_json(body or b"{}")
    except ValidationError as error:
        return refusal(error, worker.id, new_id())
    operate(worker.client, said)
    return _known(worker, name)


async def _short_body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LONGEST_WORD:
            return b"too long"  # and therefore no JSON
    return body


def _now() -> float:
    return clock_of(asyncio.get_running_loop())()
