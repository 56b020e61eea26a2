"""What is left of dead processes, and of generators that nobody finished.

A suspended coroutine that is collected runs its `finally` blocks. A process that was killed must not, so what it left
is kept while the simulation runs, and ended without a word when nobody watches any more.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import ref

Generator = AsyncGenerator[Any, Any]


class Mortal(Protocol):
    """A loop that can be dead."""

    dead: bool

    def create_task(self, coro: Any) -> object:
        """Run a coroutine."""
        ...


def lay_to_rest(tasks: Iterable[asyncio.Task[Any]], loop: asyncio.AbstractEventLoop) -> None:
    """End tasks of a dead loop: what their `finally` blocks do reaches nobody."""
    _set_running_loop(loop)
    try:
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own way to say: on purpose
            _end(task.get_coro())
    finally:
        _set_running_loop(None)


def _end(coro: Any) -> None:
    for _attempt in range(100):  # a `finally` that awaits swallows the first request to end
        try:
            coro.close()
        except BaseException:  # noqa: S112 - whatever it says from its grave
            continue
        return


@contextmanager
def generators_of_loops() -> Iterator[None]:
    """asyncio's rule for asynchronous generators, for many loops in one thread: one that is dropped half-way is closed
    by the loop that began it; a dead loop's is kept as it is. When this ends, so do all that are left."""
    owners: dict[int, tuple[ref[Generator], Mortal]] = {}
    kept: list[Generator] = []

    def first(agen: Generator) -> None:
        owners[id(agen)] = (ref(agen), _get_running_loop())  # type: ignore[assignment]  # only simulated loops run here

    def dropped(agen: Generator) -> None:
        _, loop = owners.get(id(agen), (None, None))
        if loop is None or loop.dead:
            kept.append(agen)
        else:
            del owners[id(agen)]
            loop.create_task(agen.aclose())

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=first, finalizer=dropped)
    try:
        yield
    finally:
        sys.set_asyncgen_hooks(*before)
        for known, loop in owners.values():
            _end_generator(known(), loop)


def _end_generator(agen: Generator | None, loop: Mortal) -> None:
    """End a generator, and first what it awaits: that asks for the running loop, and would ask in vain if it were left
    to be collected as garbage."""
    _set_running_loop(loop)  # type: ignore[arg-type]  # only simulated loops run here
    try:
        if agen is not None:
            if (awaited := getattr(agen, "ag_await", None)) is not None:
                _end(awaited)
            _end(agen.aclose())
    finally:
        _set_running_loop(None)
