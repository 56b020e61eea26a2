"""A service whose one provider streams a piece, waits until a file is there, and streams the rest.

`uvicorn gated_service:app` with GATE, the file, and DRAIN_S and GRACE_S, the service's settings. FLOOD: no waiting,
but long pieces without end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from fleets import Answers, service

from flexiai.app.settings import Limits
from flexiai.chat import ChatChunk, ChatRequest, ChunkChoice, Delta

GATE = Path(os.environ["GATE"])


class Gated(Answers):
    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        yield _piece("first")
        while "FLOOD" in os.environ:
            yield _piece("x" * 100_000)
        while not GATE.exists():
            await asyncio.sleep(0.01)
        yield _piece("rest")


def _piece(text: str) -> ChatChunk:
    return ChatChunk(id="c", model="m", choices=(ChunkChoice(delta=Delta(content=text)),), provider="p")


app = service(
    {"p": Gated("p")},
    limits=Limits(
        drain_s=float(os.environ.get("DRAIN_S", "0")), shutdown_grace_s=float(os.environ.get("GRACE_S", "30"))
    ),
    journal_dir=Path(os.environ["JOURNAL"]),
    log_level="info",
)
