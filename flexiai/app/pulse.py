"""A worker's place among the metrics of its instance, and the beat in which it writes down what no event tells."""

from __future__ import annotations

import asyncio
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from flexiai.app.refused import names_of_errors
from flexiai.app.replies import ErrorReply, Reply
from flexiai.app.settings import AppSettings
from flexiai.app.telemetry.catalogue import REQUESTS
from flexiai.app.telemetry.exposition import exposition, totals_of
from flexiai.app.telemetry.instance import Instance, has_supervisor, shared_directory
from flexiai.app.telemetry.listener import Telemetry, layout
from flexiai.app.telemetry.series import Layout
from flexiai.client import AsyncFlexiAI
from flexiai.clock import clock_of
from flexiai.errors import NoProviderAvailable
from flexiai.journal import Journal
from flexiai.logs import log

BEAT_S = 1.0


class Pulse:
    """What a worker counts for its instance (`telemetry`, a listener), and what the instance has counted."""

    def __init__(self, settings: AppSettings, pid: int) -> None:
        names = [provider.name for provider in settings.providers]
        places = layout(names, names_of_errors(), _version())
        self._own_directory = settings.metrics_dir is None
        self._instance = _joined(places, pid, settings.metrics_dir)
        self.telemetry = Telemetry(self._instance.numbers, places)

    @contextmanager
    def beating(self, client: AsyncFlexiAI, journal: Journal | None) -> Iterator[None]:
        """Write down every second what no event tells. Must be entered in the client's event loop."""
        loop = asyncio.get_running_loop()
        clock = clock_of(loop)
        self.telemetry.began(clock(), (_version(), platform.python_version(), platform.python_implementation()))
        timer: asyncio.TimerHandle

        def beat() -> None:
            nonlocal timer
            timer = loop.call_later(BEAT_S, beat)
            self.telemetry.sample(client.sync.status(), clock(), journal.lost if journal else 0)

        beat()
        try:
            yield
        finally:
            timer.cancel()

    def refused(self, reply: Reply, error: Exception) -> None:
        """A chat request ended in `error`, and is answered with `reply`."""
        if isinstance(reply.value, ErrorReply):
            self.telemetry.refused(reply.value.error)
        if isinstance(error, NoProviderAvailable) and any(said.reason == "retry_budget" for said in error.said):
            self.telemetry.budget_spent()

    def prometheus(self, now: float) -> str:
        """What the instance has counted, as Prometheus reads it, at `now` on the host's monotonic clock."""
        return exposition(*self._instance.readings(), now)

    def requests(self) -> tuple[int, dict[str, int]]:
        """How many workers of the instance are alive, and the requests of all it ever had, by status."""
        alive, kept = self._instance.readings()
        by_status: dict[str, int] = {}
        for (_, status), number in totals_of(REQUESTS, alive, kept).items():
            by_status[status] = by_status.get(status, 0) + int(number)
        return len(alive), by_status

    def close(self, *, told_to_end: bool = True) -> None:
        """Leave; the last worker of an instance that ends takes its directory along."""
        self._instance.close(remove=self._own_directory and (told_to_end or not has_supervisor()))


def _joined(places: Layout, pid: int, directory: Path | None) -> Instance:
    if sys.platform == "win32":
        return Instance(places, pid, None)
    try:
        return Instance(places, pid, directory or shared_directory(pid))
    except OSError as error:
        log.warning("Metrics are this worker's alone, for they cannot be shared: %s", error)
        return Instance(places, pid, None)


def _version() -> str:
    try:
        return version("flexiai")
    except PackageNotFoundError:
        return "unknown"
