"""A caller may leave at any moment, and nothing stays behind."""

from __future__ import annotations

import asyncio
from types import coroutine

import pytest

from flexiai import BreakerConfig
from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome, Trouble
from flexiai.events import AttemptEnded, AttemptStarted, RequestEnded, RequestStarted
from tests.flexiai.client_parts import HELLO, Fleet, fleet, run, status


async def several_steps() -> None:
    for _ in range(3):
        await asyncio.sleep(0)
    raise status(503)


async def cancelled_after(f: Fleet, steps: int) -> bool:
    """Ask, and leave after so many turns of the loop; whether that was before the end."""
    task = asyncio.create_task(f.client.chat.completions.create(messages=HELLO, request_id="r"))
    for _ in range(steps):
        await asyncio.sleep(0)
    left = task.cancel()
    await asyncio.wait((task,))
    assert task.cancelled() == left
    return left


def probing(f: Fleet) -> None:
    breaker = f.client.breakers["a"]
    breaker.reset(0.0)
    permit = breaker.admit(0.0)
    breaker.record(permit, Outcome.RATE_LIMITED, 0.0, retry_after_s=1e-9)  # type: ignore[arg-type]  # CLOSED: a permit
    assert breaker.state is State.OPEN


@pytest.mark.parametrize("probe", [False, True])
def test_a_caller_who_leaves_at_any_await_leaves_no_slot_taken_and_one_end(probe: bool) -> None:
    async def main() -> int:
        async with (f := fleet([], [], breaker=BreakerConfig(failure_threshold=100))).client:
            for steps in range(100):
                f.events.clear()
                f.providers[0].script = [several_steps]
                if probe:
                    probing(f)
                left = await cancelled_after(f, steps)
                assert f.client.breakers["a"].probes_in_flight == 0
                assert len(f.only(RequestEnded)) == len(f.only(RequestStarted)) <= 1
                assert len(f.only(AttemptEnded)) == len(f.only(AttemptStarted))
                if left and f.only(RequestEnded):
                    assert f.only(RequestEnded)[0].result == "cancelled"
                if not left:
                    return steps
        raise AssertionError("the request never ended")

    assert run(main()) > 3


def test_a_caller_who_leaves_is_nobodys_failure() -> None:
    async def main() -> None:
        hang = asyncio.Event().wait
        async with (f := fleet([hang], [], breaker=BreakerConfig(failure_threshold=1))).client:
            assert await cancelled_after(f, 3)
        (ended,) = f.only(AttemptEnded)
        assert (ended.outcome, ended.trouble) == (Outcome.NEUTRAL, Trouble.CANCELLED)
        assert f.client.breakers["a"].state is State.CLOSED
        assert not f.providers[1].asked

    run(main())


def test_a_request_whose_loop_ends_under_it_still_ends_once() -> None:
    f = fleet([])

    @coroutine
    def stuck():  # type: ignore[no-untyped-def]  # a bare yield, as no coroutine of asyncio has it
        yield

    async def wait() -> None:
        await stuck()

    async def main() -> None:
        async with f.client:
            f.providers[0].script = [wait]
            work = f.client.chat.completions.create(messages=HELLO, request_id="r")
            work.send(None)
            work.close()

    run(main())
    assert [e.result for e in f.only(RequestEnded)] == ["cancelled"]
