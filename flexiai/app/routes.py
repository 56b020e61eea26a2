"""The endpoints for operators, load balancers and orchestrators, as FastAPI routes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from fastapi import FastAPI, Response

from flexiai.app.health import Liveness, Providers, ResetDone, health, provider_health, readiness
from flexiai.app.incoming import new_id
from flexiai.app.metrics import metrics
from flexiai.app.refusals import no_such_provider, not_serving
from flexiai.app.replies import Reply
from flexiai.app.worker import Desk, Worker
from flexiai.clock import clock_of


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


def add_operations(app: FastAPI, desk: Desk) -> None:
    """Add `/metrics`, `/providers` and the reset of a provider."""

    @app.get("/metrics", summary="What this worker counted")
    async def get_metrics() -> Response:
        return _told_by(desk, lambda worker: Reply(200, metrics(worker)))

    @app.get("/providers", summary="The providers as this worker sees them")
    async def get_providers() -> Response:
        return _told_by(desk, _providers)

    @app.post("/providers/{name}/reset", summary="Close a provider's circuit, on every worker")
    async def reset_provider(name: str) -> Response:
        return _told_by(desk, lambda worker: _reset(worker, name))


def _told_by(desk: Desk, tell: Callable[[Worker], Reply]) -> Response:
    reply = tell(desk.worker) if desk.worker is not None else not_serving(new_id())
    return reply.response()


def _providers(worker: Worker) -> Reply:
    return Reply(200, Providers(worker_id=worker.id, providers=provider_health(worker, _now())))


def _reset(worker: Worker, name: str) -> Reply:
    if name not in worker.client.breakers:
        return no_such_provider(name, tuple(worker.client.breakers), worker.id)
    worker.client.reset(name)
    provider = next(p for p in provider_health(worker, _now()) if p.name == name)
    return Reply(200, ResetDone(worker_id=worker.id, provider=provider))


def _now() -> float:
    return clock_of(asyncio.get_running_loop())()
