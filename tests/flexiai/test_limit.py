"""A limit on a wait, on a loop whose clock the test moves: it stands still when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.limit import STOOD_STILL_S, TURNS, Limit

T = TypeVar("T")
WITHIN_S = 1.0


class Still(asyncio.SelectorEventLoop):
    """Its clock jumps to the next timer, and further while it `stands`."""

    def __init__(self) -> None:
        super().__init__()
        self.at = 0.0

    def time(self) -> float:
        return self.at

    def stands(self, for_s: float) -> None:
        self.at += for_s

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # asyncio's own
            self.at = max(self.at, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def run(play: Callable[[Still], Coroutine[object, object, T]]) -> T:
    with asyncio.Runner(loop_factory=Still) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, Still)
        return runner.run(play(loop))


async def waited(loop: Still, answer_at: float | None, stand_at: float, stand_s: float) -> tuple[bool, float]:
    """Whether an answer that lies there at `answer_at` was read, and when that was known. The loop stands still once."""
    answered = loop.create_future()
    if answer_at is not None:
        # as of a socket: what has arrived is found in one turn of the loop, and read in the next but one
        loop.call_at(answer_at, lambda: loop.call_soon(loop.call_soon, answered.set_result, None))
    loop.call_at(stand_at, loop.stands, stand_s)
    try:
        async with Limit(WITHIN_S) as limit:
            await answered
    except TimeoutError:
        assert limit.expired()
        return False, loop.at
    assert not limit.expired()
    return True, loop.at


def test_silence_ends_the_wait_on_time() -> None:
    assert run(lambda loop: waited(loop, None, 5.0, 0.0)) == (False, WITHIN_S)


@given(answer_at=st.floats(0.51, 1.09), stand_s=st.floats(0.6, 0.9))
def test_what_arrived_while_the_loop_stood_still_is_read(answer_at: float, stand_s: float) -> None:
    answered, at = run(lambda loop: waited(loop, answer_at, 0.5, stand_s))
    assert answered
    assert at == 0.5 + stand_s


@given(stand_s=st.floats(0.02, 0.9))
def test_what_was_not_sent_while_the_loop_stood_still_has_its_time_afterwards(stand_s: float) -> None:
    async def play(loop: Still) -> None:
        sent = loop.create_future()
        loop.call_soon(loop.stands, stand_s)
        loop.call_soon(loop.call_soon, sent.set_result, None)
        async with Limit(WITHIN_S):
            await sent
            await asyncio.sleep(WITHIN_S - WITHIN_S / TURNS - 2 * STOOD_STILL_S)  # a look finds out no more

    run(play)


@given(stands=st.lists(st.tuples(st.floats(0.01, 3.0), st.floats(0.0, 3.0)), max_size=4))
def test_silence_ends_the_wait_however_often_the_loop_stands_still(stands: list[tuple[float, float]]) -> None:
    async def play(loop: Still) -> float:
        for at, for_s in stands:
            loop.call_at(at, loop.stands, for_s)
        with pytest.raises(TimeoutError):
            async with Limit(WITHIN_S):
                await loop.create_future()
        return loop.at

    at = run(play)
    assert WITHIN_S <= at <= 2 * WITHIN_S + sum(for_s for _, for_s in stands)


def test_a_busy_loop_that_is_late_by_little_loses_nothing() -> None:
    assert run(lambda loop: waited(loop, None, 0.99, 0.015)) == (False, pytest.approx(1.005))


def test_another_timeout_or_a_leaving_caller_is_not_taken_for_the_limit() -> None:
    async def play(loop: Still) -> None:
        with pytest.raises(TimeoutError):
            async with Limit(WITHIN_S) as limit:
                raise TimeoutError
        assert not limit.expired()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5), Limit(WITHIN_S) as limit:
                await loop.create_future()
        assert not limit.expired()

    run(play)
