"""The simulated event loop: asyncio's order, simulated time, costs, freezing, death."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sim.engine import Engine, Stuck
from harness.sim.refusals import NotSimulated
from harness.sim.runner import simulate
from tests.harness.sim.simulated import loop_on, network, run, run_on


def test_sleeping_takes_simulated_time_and_no_other() -> None:
    async def main() -> tuple[float, float]:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(86_400)
        return before, asyncio.get_running_loop().time()

    loop = loop_on(network())
    assert run_on(loop, main(), horizon_s=1e6) == (0.0, 86_400.0)


def test_callbacks_run_in_the_order_in_which_they_became_ready() -> None:
    async def main() -> list[int]:
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        loop.call_later(0.2, seen.append, 4)
        loop.call_later(0.1, seen.append, 3)
        for number in (1, 2):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(1)
        return seen

    assert run(main()) == [1, 2, 3, 4]


def test_cancelled_callbacks_and_timers_do_not_run() -> None:
    async def main() -> list[str]:
        seen: list[str] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(seen.append, "soon").cancel()
        loop.call_later(0.1, seen.append, "later").cancel()
        await asyncio.sleep(1)
        return seen

    assert run(main()) == []


def test_timeouts_task_groups_and_queues_work_as_in_asyncio() -> None:
    async def main() -> list[int]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)

        async def put() -> None:
            for number in range(5):
                await queue.put(number)

        got: list[int] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(put())
            for _ in range(5):
                got.append(await queue.get())  # noqa: PERF401 - an await between each
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await queue.get()
        assert asyncio.get_running_loop().time() == 0.5
        return got

    assert run(main()) == [0, 1, 2, 3, 4]


def test_a_busy_loop_is_late() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        woke: list[float] = []
        for _ in range(1000):
            loop.call_soon(int)
        loop.call_later(0.001, lambda: woke.append(loop.time()))
        await asyncio.sleep(1)
        return woke[0]

    assert run(main(), callback_cost_s=20e-6) >= 0.020


def test_loops_of_one_engine_share_time_and_nothing_else() -> None:
    net = network()
    one, two = loop_on(net, "one"), loop_on(net, "two")
    seen: list[tuple[str, float]] = []

    async def tell(name: str, after_s: float) -> None:
        await asyncio.sleep(after_s)
        seen.append((name, asyncio.get_running_loop().time()))

    two.clock_offset_s = 100.0
    two.create_task(tell("two", 0.5))
    run_on(one, tell("one", 1.0))
    assert seen == [("two", 100.5), ("one", 1.0)]


def test_what_must_not_be_simulated_is_refused_by_name() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(NotSimulated, match="threads"):
            await asyncio.to_thread(int)
        with pytest.raises(NotSimulated, match="subprocesses"):
            await asyncio.create_subprocess_exec("true")
        with pytest.raises(NotSimulated, match="file descriptors"):
            loop.add_reader(0, int)
        with pytest.raises(NotSimulated, match="signals"):
            loop.add_signal_handler(2, int)
        with pytest.raises(NotSimulated, match="TLS"):
            await asyncio.open_connection("here", 1, ssl=True)

    run(main())


def test_an_exception_in_a_callback_is_not_lost() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(ZeroDivisionError):
        run(main())


def test_a_task_that_nobody_awaits_tells_of_its_exception() -> None:
    net = network()
    troubles: list[str] = []
    loop = loop_on(net)
    loop._trouble = lambda message, error: troubles.append(f"{message}: {error!r}")

    async def fail() -> None:
        raise ValueError("unseen")

    async def main() -> None:
        task = asyncio.create_task(fail())
        await asyncio.sleep(1)
        del task
        gc.collect()

    run_on(loop, main())
    assert troubles == ["Task exception was never retrieved: ValueError('unseen')"]


def test_a_frozen_loop_runs_nothing_and_then_takes_news_before_overdue_timers() -> None:
    net = network()
    driver, loop = loop_on(net, "driver"), loop_on(net, "frozen")
    seen: list[tuple[str, float]] = []

    def note(what: str) -> None:
        seen.append((what, loop.time()))

    async def main() -> None:
        loop.call_later(1.0, note, "timer")
        loop.freeze()
        await asyncio.sleep(2.0)
        net.engine.call_later(0.0, loop.happened, note, "bytes")
        await asyncio.sleep(1.0)
        assert seen == []
        loop.thaw()
        await asyncio.sleep(1.0)

    run_on(driver, main())
    assert seen == [("bytes", 3.0), ("timer", 3.0)]


def test_a_dead_loop_runs_nothing_not_even_finally_until_it_is_buried() -> None:
    net = network()
    driver, loop = loop_on(net, "driver"), loop_on(net, "dead")
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1)
        finally:
            seen.append("finally")
            await asyncio.sleep(1)
            seen.append("after an await in finally")

    async def main() -> None:
        task = loop.create_task(work())
        await asyncio.sleep(0.5)
        loop.die()
        del task
        gc.collect()
        await asyncio.sleep(5)
        assert seen == []

    run_on(driver, main())
    loop.bury()
    assert seen == ["finally"]


def test_generators_dropped_half_way_are_closed_by_their_loop() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def numbers():  # type: ignore[no-untyped-def]  # an async generator
            try:
                yield 1
            finally:
                await asyncio.sleep(0.1)
                seen.append("closed")

        async for _ in numbers():
            break
        await asyncio.sleep(1)
        return seen

    assert run(main()) == ["closed"]


def test_a_run_that_would_not_end_is_stuck_and_says_so() -> None:
    async def forever() -> None:
        while True:
            await asyncio.sleep(1)

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck, match="has not ended"):
        run_on(loop_on(network()), forever(), horizon_s=10)
    with pytest.raises(Stuck, match="nothing is left"):
        run_on(loop_on(network()), never())
    loop = loop_on(network())
    with pytest.raises(Stuck, match="steps"):
        simulate(loop, forever(), max_steps=500_000)
    loop.die()
    loop.bury()


def test_plain_simpy_processes_live_beside_loops() -> None:
    net = network()
    seen: list[float] = []

    def process(engine: Engine):  # type: ignore[no-untyped-def]  # a simpy process
        for _ in range(3):
            yield engine.timeout(0.25)
            seen.append(engine.now)

    net.engine.process(process(net.engine))
    run_on(loop_on(net), asyncio.sleep(1))
    assert seen == [0.25, 0.5, 0.75]


@given(
    st.lists(st.floats(0.1, 20.0), min_size=1, max_size=8),
    st.floats(0.0, 5.0),
    st.floats(-8.0, 8.0),
    st.floats(0.5, 2.0),
)
def test_a_timer_runs_once_when_its_own_clock_says_so_however_that_is_set(
    waits: list[float], set_at: float, ahead_s: float, rate: float
) -> None:
    net = network()
    loop, stage = loop_on(net), loop_on(net, "stage")
    ran: list[tuple[int, float, float]] = []

    async def wait(number: int, due: float) -> None:
        loop.call_at(due, lambda: ran.append((number, loop.time(), net.engine.now)))

    for number, due in enumerate(waits):
        loop.create_task(wait(number, due))

    async def direct() -> None:
        await asyncio.sleep(set_at)
        loop.set_clock(ahead_s=ahead_s, rate=rate)
        await asyncio.sleep(100)

    run_on(stage, direct())
    assert sorted(number for number, *_ in ran) == list(range(len(waits)))
    for number, told, at in ran:
        late = 1e-5 if at < set_at else max(1e-5, ahead_s + 1e-5)
        assert -1e-5 <= told - waits[number] <= late


def test_a_loop_that_is_busy_runs_nothing_until_it_is_done() -> None:
    net = network()
    loop, stage = loop_on(net), loop_on(net, "stage")
    ran: list[float] = []

    async def direct() -> None:
        await asyncio.sleep(1)
        loop.occupy(0.5)
        loop.call_soon(lambda: ran.append(net.engine.now))
        loop.call_later(0.2, lambda: ran.append(net.engine.now))
        await asyncio.sleep(2)

    run_on(stage, direct())
    assert ran == [1.5, 1.5]
