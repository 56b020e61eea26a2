"""The floor: a bare FastAPI endpoint that forwards a body with aiohttp. No failover, no breaker, no validation."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request, Response

TARGET = os.environ["FLOOR_TARGET"]


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app.state.session:
        yield


app = FastAPI(lifespan=_lifespan)


@app.post("/v1/chat/completions")
async def forward(request: Request) -> Response:
    """The provider's answer as it is."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer test"}
    async with request.app.state.session.post(TARGET, data=await request.body(), headers=headers) as answer:
        return Response(await answer.read(), answer.status, media_type="application/json")
