"""A loop's clock is read finely, whatever loop it is."""

import asyncio
import time

import pytest

from flexiai.clock import clock_of


def test_uvloops_clock_is_the_monotonic_one_and_finer_than_its_own():
    uvloop = pytest.importorskip("uvloop", reason="an extra that is not built for every platform")

    async def look():
        loop = asyncio.get_running_loop()
        clock = clock_of(loop)
        assert abs(clock() - loop.time()) < 1.0  # one clock, read more or less finely
        return {clock() % 1e-3 for _ in range(100)}

    assert len(uvloop.run(look())) > 1


def test_any_other_loop_is_asked_itself():
    class Loop(asyncio.SelectorEventLoop):
        def time(self):
            return 42.0

    loop = Loop()
    try:
        assert clock_of(loop)() == 42.0
    finally:
        loop.close()


def test_asyncios_own_clock_is_the_hosts_monotonic_one():
    async def look():
        before = time.monotonic()
        return before <= clock_of(asyncio.get_running_loop())() <= time.monotonic()

    assert asyncio.run(look())
