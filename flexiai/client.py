"""The client, for asyncio. `blocking.FlexiAI` is its synchronous face.

Rules
-----
* A client starts once: by `start()`, by `with`, or by its first request. It is ready when sync is, which is bounded.
* What it opened it closes, in the reverse order, whatever goes wrong meanwhile; streams that nobody awaits first.
* It belongs to the event loop in which it started.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from random import Random
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload
from weakref import WeakValueDictionary

import msgspec

from flexiai.assembly import checked, open_providers, sync_of
from flexiai.attempt import Candidate
from flexiai.chat import ChatCompletion, ChatRequest, Message
from flexiai.clock import clock_of
from flexiai.core.breaker import Breaker, Change
from flexiai.emitter import Emitter
from flexiai.errors import FlexiAIError
from flexiai.events import Listener, OperatorActed, WorkerReady, WorkerStarted, WorkerStopped
from flexiai.failover import Failover
from flexiai.operating import limited, noted
from flexiai.status import ClientStatus, status_of
from flexiai.stream import ChatStream
from flexiai.sync.bus import Bus
from flexiai.sync.port import SyncPort
from flexiai.transitions import transition_event
from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, SyncConfig

if TYPE_CHECKING:
    from flexiai.providers.base import Provider

CLOSED = "this client is closed"


class AsyncFlexiAI:
    """Chat completions from whichever provider can answer. Use it with `async with`, or call `aclose` at the end.

    providers  in any order; their priority counts
    sync       how to share what is known with other workers (None: not at all)
    breaker    when a provider is left alone (None: the defaults)
    request    what a request may cost (None: the defaults)
    custom     providers of your own by name, instead of the built-in ones; each name needs its ProviderConfig too
    listeners  are called with every event
    worker     this worker's identity in events and records (None: host:pid)
    rng        source of all chance
    bus        the fleet's store, instead of the one that `sync` names
    pid        the process id that WorkerStarted tells (None: this process)

    Raises ConfigurationError for settings that cannot work.
    """

    def __init__(
        self,
        *,
        providers: Sequence[ProviderConfig],
        sync: SyncConfig | None = None,
        breaker: BreakerConfig | None = None,
        request: RequestConfig | None = None,
        custom: Mapping[str, Provider] | None = None,
        listeners: Sequence[Listener] = (),
        worker: str | None = None,
        rng: Random | None = None,
        bus: Bus | None = None,
        pid: int | None = None,
    ) -> None:
        self._custom = dict(custom or {})
        self._request = request or RequestConfig()
        self._emit = Emitter(listeners)
        self._rng = rng or Random()
        self._pid = pid or os.getpid()
        self._starting: asyncio.Task[None] | None = None
        self._failover: Failover | None = None
        self._stack = AsyncExitStack()
        self._closed = False
        self._streams: WeakValueDictionary[int, ChatStream] = WeakValueDictionary()  # in the order of their beginning
        self._stream_numbers = itertools.count()
        self.worker: str = worker or f"{socket.gethostname()}:{os.getpid()}"
        """Who this client is in events and in the fleet's records."""
        self.providers: tuple[ProviderConfig, ...] = checked(providers, self._custom)
        """The providers in the order in which they are asked."""
        rules = breaker or BreakerConfig()
        quorum = sync.open_quorum if sync is not None and sync.enabled else 1
        self.breakers: Mapping[str, Breaker] = MappingProxyType(
            {provider.name: Breaker(provider.name, rules, self.worker, quorum) for provider in self.providers}
        )
        """Each provider's breaker, to be read only."""
        self.sync: SyncPort = sync_of(sync, bus, self.breakers, emit=self._emit, worker=self.worker, rng=self._rng)
        """The line to the other workers; its `status()` says how well it holds."""
        self.chat: AsyncChat = AsyncChat(self)
        """`chat.completions.create` asks."""

    async def start(self) -> None:
        """Open connections and join the fleet; returns when requests can be served. May be called more than once.

        FlexiAIError if the client is closed.
        """
        if self._closed:
            raise FlexiAIError(CLOSED)
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    async def aclose(self) -> None:
        """Leave the fleet and close every connection. Requests still under way are not waited for.

        A stream whose caller has left it lying is ended; one of which a piece is awaited breaks.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._starting is not None:
                await asyncio.wait((self._starting,))
        finally:
            self._failover = None
            try:
                await self._end_streams()
            finally:
                await self._stack.aclose()

    async def __aenter__(self) -> AsyncFlexiAI:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def answer(self, chat: ChatRequest) -> ChatCompletion:
        """Answer one request; `chat.completions.create` is the usual way to ask, and says what this raises."""
        failover = self._failover or await self._running()
        return await failover.answer(self._named(chat))

    async def stream(self, chat: ChatRequest) -> ChatStream:
        """As `answer`, piece by piece; returns when the first piece of content is there."""
        failover = self._failover or await self._running()
        pieces = failover.stream(self._named(chat))
        stream = ChatStream(await anext(pieces), pieces)
        self._streams[next(self._stream_numbers)] = stream
        return stream

    def reset(self, provider: str, reason: str | None = None) -> None:
        """An operator's word that a provider works: CLOSED, here and in the whole fleet, and no hold is in force.

        It acts here at once; the fleet is told as soon as its store can be reached. `reason`: one line, told with it
        everywhere. Must be called in the client's event loop, as the other two. KeyError if there is no such provider.
        """
        now, note, breaker = self._now(), noted(reason), self.breakers[provider]
        self._operated(provider, "reset", breaker.reset(now, note), note=note, now=now)

    def force_open(self, provider: str, *, for_s: float, reason: str | None = None) -> None:
        """An operator's word that nobody may ask a provider for `for_s` seconds, here and in the whole fleet.

        It is not probed before that time is over, and then as usual. KeyError if there is no such provider,
        ConfigurationError unless `for_s` is above 0 and at most a day. `reason`: one line, told with it everywhere.
        """
        now, note, breaker = self._now(), noted(reason), self.breakers[provider]
        for_s = limited(for_s)
        self._operated(provider, "open", breaker.force_open(now, for_s, note), for_s=for_s, note=note, now=now)

    def drain(self, provider: str, *, for_s: float, reason: str | None = None) -> None:
        """An operator's word to spare a provider for `for_s` seconds, here and in the whole fleet.

        It gets no new requests that another can take; those under way go on. When the time is over, all is as before.
        `reason` is as in `force_open`, and so are the errors.
        """
        now, note, breaker = self._now(), noted(reason), self.breakers[provider]
        for_s = limited(for_s)
        breaker.drain(now, for_s, note)
        self._operated(provider, "drain", None, for_s=for_s, note=note, now=now)

    def status(self) -> ClientStatus:
        """What this client knows of its providers and of the fleet, now. Must be called in its event loop."""
        now, sync = self._now(), self.sync.status()
        providers = (status_of(p, self.breakers[p.name], now, fleet=sync.enabled) for p in self.providers)
        return ClientStatus(worker=self.worker, providers=tuple(providers), sync=sync)

    def _operated(
        self,
        provider: str,
        action: Literal["open", "drain", "reset"],
        change: Change | None,
        *,
        note: str,
        now: float,
        for_s: float = 0.0,
    ) -> None:
        acted = OperatorActed(t=now, worker=self.worker, provider=provider, action=action, for_s=for_s, note=note)
        self._emit(acted)
        if change is not None:
            self._emit(transition_event(change, provider=provider, worker=self.worker, t=now))
        self.sync.announce(provider)

    async def _running(self) -> Failover:
        await self.start()
        if self._failover is None:
            raise FlexiAIError(CLOSED)
        return self._failover

    def _named(self, chat: ChatRequest) -> ChatRequest:
        if chat.request_id is not None:
            return chat
        return msgspec.structs.replace(chat, request_id=f"{self._rng.getrandbits(64):016x}")

    async def _end_streams(self) -> None:
        for stream in list(self._streams.values()):
            with suppress(RuntimeError):  # one of which a piece is awaited
                await stream.aclose()

    async def _start(self) -> None:
        try:
            async with AsyncExitStack() as stack:
                self._say_started()
                stack.callback(self._say_stopped)
                providers = await open_providers(self.providers, self._custom, self._request, stack)
                stack.push_async_callback(self.sync.aclose)
                synced = await self.sync.start()
                if self._closed:
                    raise FlexiAIError(CLOSED)
                self._failover = self._failover_over(providers)
                self._stack = stack.pop_all()
        except BaseException:
            self._starting = None  # the next request tries again
            raise
        self._emit(WorkerReady(t=self._now(), worker=self.worker, synced=synced))

    def _failover_over(self, providers: Mapping[str, Provider]) -> Failover:
        route = [Candidate(p.name, providers[p.name], self.breakers[p.name]) for p in self.providers]
        return Failover(route, self._request, sync=self.sync, emit=self._emit, worker=self.worker, rng=self._rng)

    def _say_started(self) -> None:
        names = tuple(provider.name for provider in self.providers)
        self._emit(WorkerStarted(t=self._now(), worker=self.worker, pid=self._pid, providers=names))

    def _say_stopped(self) -> None:
        self._emit(WorkerStopped(t=self._now(), worker=self.worker))

    @staticmethod
    def _now() -> float:
        return clock_of(asyncio.get_running_loop())()


class AsyncCompletions:
    """`client.chat.completions`."""

    def __init__(self, client: AsyncFlexiAI) -> None:
        self._client = client

    @overload
    async def create(
        self,
        *,
        messages: Iterable[Message],
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: Literal[False] | None = None,
        request_id: str | None = None,
        **options: Any,
    ) -> ChatCompletion: ...
    @overload
    async def create(
        self,
        *,
        messages: Iterable[Message],
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: Literal[True],
        request_id: str | None = None,
        **options: Any,
    ) -> ChatStream: ...
    async def create(
        self,
        *,
        messages: Iterable[Message],
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: bool | None = None,
        request_id: str | None = None,
        **options: Any,
    ) -> ChatCompletion | ChatStream:
        """Ask for a chat completion, in OpenAI's terms; the answer names the provider that gave it.

        messages     the conversation, in OpenAI's shape: `{"role": "user", "content": "Hello"}`, …
        model        instead of each provider's configured one
        temperature  from 0 to 2 (None: the provider's own default)
        max_tokens   the most tokens of the answer (None: the provider's own bound)
        stream       True: piece by piece, as a ChatStream, returned when the first piece of content is there
        request_id   the caller's own id for this request, in events and at the provider (None: one is drawn)
        options      further OpenAI parameters

        Raises InvalidRequestError if a provider finds the request itself at fault, NoProviderAvailable if nobody could
        answer, FlexiAIError if the client is closed. It may be cancelled at any time. A stream that breaks off raises
        StreamBroken where its next piece would come.
        """
        chat = ChatRequest(
            messages=tuple(messages),
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            options=options,
            request_id=request_id,
        )
        return await (self._client.stream(chat) if stream else self._client.answer(chat))


class AsyncChat:
    """`client.chat`."""

    def __init__(self, client: AsyncFlexiAI) -> None:
        self.completions = AsyncCompletions(client)
