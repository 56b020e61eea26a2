"""One worker: a process's client, its settings, and the listeners the app keeps for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from flexiai.app.access import Access
from flexiai.app.ending import Ending
from flexiai.app.load import Load
from flexiai.app.models import Models
from flexiai.app.pulse import Pulse
from flexiai.app.settings import AppSettings
from flexiai.client import AsyncFlexiAI
from flexiai.counters import Counters
from flexiai.events import Listener
from flexiai.journal import Journal
from flexiai.logs import LogListener, configure_logging, log
from flexiai.tracing import traces

ClientFactory = Callable[[AppSettings, Sequence[Listener]], AsyncFlexiAI]


@dataclass(frozen=True, slots=True)
class Worker:
    """A started client, what was counted of it, and who may come to it. `id`: the process id, as in every answer."""

    id: int
    settings: AppSettings
    client: AsyncFlexiAI
    counters: Counters
    journal: Journal | None
    access: Access
    models: Models
    load: Load
    ending: Ending
    pulse: Pulse


@dataclass(slots=True)
class Desk:
    """Where the endpoints find the worker: None before it has started and after it has stopped."""

    worker: Worker | None = None


def client_of(settings: AppSettings, listeners: Sequence[Listener]) -> AsyncFlexiAI:
    """The client that the settings describe, not yet started."""
    return AsyncFlexiAI(
        providers=settings.providers,
        sync=settings.sync,
        breaker=settings.breaker,
        request=settings.request,
        listeners=listeners,
    )


@asynccontextmanager
async def running_worker(settings: AppSettings, factory: ClientFactory = client_of) -> AsyncIterator[Worker]:
    """A worker whose client is started, and closed at the end. ConfigurationError if it cannot work."""
    configure_logging(settings.log_level, settings.log_format)
    for remark in settings.remarks:
        log.warning("%s", remark)
    pid = os.getpid()
    load = Load(settings.limits.max_concurrency)
    ending = _ending(settings, load)
    counters = Counters(provider.name for provider in settings.providers)
    with ExitStack() as stack:
        journal = stack.enter_context(closing(Journal(settings.journal_dir, pid))) if settings.journal_dir else None
        pulse = Pulse(settings, pid)
        stack.callback(lambda: pulse.close(told_to_end=ending.begun))
        listeners: list[Listener] = [counters, pulse.telemetry, LogListener(pid)]
        if journal is not None:
            listeners.insert(0, journal)
        if settings.traces:
            listeners.append(traces())
        async with factory(settings, listeners) as client:
            worker = Worker(
                id=pid,
                settings=settings,
                client=client,
                counters=counters,
                journal=journal,
                access=Access(settings.doors),
                models=Models(settings.providers, settings.other_models),
                load=load,
                ending=ending,
                pulse=pulse,
            )
            with ending.on_sigterm(), pulse.beating(client, journal):
                yield worker


def _ending(settings: AppSettings, load: Load) -> Ending:
    grace_s = settings.limits.shutdown_grace_s
    return Ending(
        settings.limits.drain_s, settings.request.deadline_s if grace_s is None else grace_s, cut_short=load.cut_short
    )
