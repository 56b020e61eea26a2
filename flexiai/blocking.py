"""`FlexiAI`: the client for threads and scripts, without asyncio.

Rules
-----
* Each client runs one AsyncFlexiAI in one background thread, from the first use to `close()`.
* Every method may be called from any thread, and blocks it. In a coroutine that blocks the whole event loop: there,
  use AsyncFlexiAI.
* A client that is neither closed nor used any more ends by itself, when it is collected or when the interpreter exits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest, Message
from flexiai.client import AsyncFlexiAI
from flexiai.core.breaker import Breaker
from flexiai.errors import FlexiAIError
from flexiai.events import Listener
from flexiai.loop_thread import LoopThread
from flexiai.status import ClientStatus
from flexiai.stream import ChatStream
from flexiai.sync.bus import Bus
from flexiai.sync.port import SyncPort
from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, SyncConfig

if TYPE_CHECKING:
    from flexiai.providers.base import Provider

T = TypeVar("T")


class FlexiAI:
    """Chat completions from whichever provider can answer. Use it with `with`, or call `close` at the end.

    The arguments are those of AsyncFlexiAI. Listeners and custom providers are called in the background thread.
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
    ) -> None:
        self._client = AsyncFlexiAI(
            providers=providers,
            sync=sync,
            breaker=breaker,
            request=request,
            custom=custom,
            listeners=listeners,
            worker=worker,
            rng=rng,
            bus=bus,
        )
        self._thread = LoopThread(farewell=self._client.aclose)
        self.chat = Chat(self, self._client, self._thread)
        weakref.finalize(self, self._thread.signal).atexit = False  # at exit the thread sees to itself, and waits

    @property
    def providers(self) -> tuple[ProviderConfig, ...]:
        """The providers in the order in which they are asked."""
        return self._client.providers

    @property
    def breakers(self) -> Mapping[str, Breaker]:
        """Each provider's breaker, to be read only."""
        return self._client.breakers

    @property
    def sync(self) -> SyncPort:
        """The line to the other workers; its `status()` may be read from any thread."""
        return self._client.sync

    def start(self) -> None:
        """Open connections and join the fleet now, instead of at the first request."""
        self._thread.run(self._client.start)

    def close(self) -> None:
        """Leave the fleet and close every connection; requests under way in other threads get FlexiAIError."""
        self._thread.stop()

    def reset(self, provider: str, reason: str | None = None) -> None:
        """As `AsyncFlexiAI.reset`."""
        self._operate(lambda client: client.reset(provider, reason))

    def force_open(self, provider: str, *, for_s: float, reason: str | None = None) -> None:
        """As `AsyncFlexiAI.force_open`."""
        self._operate(lambda client: client.force_open(provider, for_s=for_s, reason=reason))

    def drain(self, provider: str, *, for_s: float, reason: str | None = None) -> None:
        """As `AsyncFlexiAI.drain`."""
        self._operate(lambda client: client.drain(provider, for_s=for_s, reason=reason))

    def status(self) -> ClientStatus:
        """As `AsyncFlexiAI.status`."""
        return self._operate(lambda client: client.status())

    def _operate(self, do: Callable[[AsyncFlexiAI], T]) -> T:
        async def operate() -> T:
            return do(self._client)

        return self._thread.run(operate)

    def __enter__(self) -> FlexiAI:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingChatStream:
    """An answer piece by piece: `for chunk in stream`, within `with stream` or with `close` at the end.

    As `ChatStream`, blocking the calling thread. `provider`: who answers.
    """

    def __init__(self, owner: FlexiAI, thread: LoopThread, stream: ChatStream) -> None:
        self.provider = stream.provider
        self._owner = owner  # which ends when it is collected, and must not while its stream is in use
        self._thread = thread
        self._stream = stream

    def __iter__(self) -> BlockingChatStream:
        return self

    def __next__(self) -> ChatChunk:
        """The next piece. StreamBroken if the answer broke off, FlexiAIError if the client was closed."""
        chunk = self._thread.run(self._next)
        if chunk is None:
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Leave, if it is not over."""
        with suppress(FlexiAIError):  # a closed client has ended its streams
            self._thread.run(self._stream.aclose)

    def __enter__(self) -> BlockingChatStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _next(self) -> ChatChunk | None:
        return await anext(self._stream, None)


class Completions:
    """`client.chat.completions`."""

    def __init__(self, owner: FlexiAI, client: AsyncFlexiAI, thread: LoopThread) -> None:
        self._owner = owner  # which ends when it is collected, and must not while its completions are in use
        self._client = client
        self._thread = thread

    @overload
    def create(
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
    def create(
        self,
        *,
        messages: Iterable[Message],
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: Literal[True],
        request_id: str | None = None,
        **options: Any,
    ) -> BlockingChatStream: ...
    def create(
        self,
        *,
        messages: Iterable[Message],
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        stream: bool | None = None,
        request_id: str | None = None,
        **options: Any,
    ) -> ChatCompletion | BlockingChatStream:
        """As `AsyncFlexiAI.chat.completions.create`, blocking the calling thread; a stream is read with `for`."""
        chat = ChatRequest(
            messages=tuple(messages),
            model=model,
            temperature=temperature,
            max_tokens=max_tokens,
            options=options,
            request_id=request_id,
        )
        if stream:
            return BlockingChatStream(self._owner, self._thread, self._thread.run(partial(self._client.stream, chat)))
        return self._thread.run(partial(self._client.answer, chat))


class Chat:
    """`client.chat`."""

    def __init__(self, owner: FlexiAI, client: AsyncFlexiAI, thread: LoopThread) -> None:
        self.completions = Completions(owner, client, thread)
