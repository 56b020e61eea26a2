"""How a request reaches the service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.app.incoming import CallerGone, check_length, read_body, request_id, while_connected
from flexiai.app.refused import BodyTooLarge, BodyTooSlow

ID_LIKE = re.compile(r"[A-Za-z0-9._:-]{1,128}")


@given(st.from_regex(rb"\A[A-Za-z0-9._:-]{1,128}\Z"))
def test_a_sound_request_id_is_kept(value: bytes) -> None:
    assert request_id([(b"host", b"x"), (b"x-request-id", value)]) == value.decode()


@given(st.binary(max_size=200))
def test_whatever_is_sent_as_request_id_the_one_used_is_sound(value: bytes) -> None:
    assert ID_LIKE.fullmatch(request_id([(b"x-request-id", value)]))


def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    assert request_id([]) != request_id([])


def test_a_caller_that_leaves_in_the_middle_of_its_body_is_gone() -> None:
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> dict[str, Any]:
        return next(messages)

    with pytest.raises(CallerGone):
        asyncio.run(read_body(receive, 100, 10.0))


def test_a_body_that_does_not_come_in_time_is_given_up() -> None:
    with pytest.raises(BodyTooSlow):
        asyncio.run(read_body(never, 100, 0.01))


@given(st.integers(0, 10**30), st.integers(1024, 10**9))
def test_a_body_that_says_that_it_is_too_long_is_not_read(length: int, most: int) -> None:
    headers = [(b"host", b"x"), (b"content-length", str(length).encode())]
    if length <= most:
        check_length(headers, most)
        return
    with pytest.raises(BodyTooLarge):
        check_length(headers, most)


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


def outcome(work: Coroutine[Any, Any, str]) -> str:
    async def run() -> str:
        result = await while_connected(never, work)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1, "the watch outlived its request"
        return result

    return asyncio.run(run())


def test_a_callers_presence_changes_nothing() -> None:
    async def work() -> str:
        return "done"

    assert outcome(work()) == "done"


def test_an_error_of_the_work_is_its_own_even_a_timeout() -> None:
    async def work() -> str:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        outcome(work())


def test_a_cancellation_from_outside_is_not_taken_for_a_departure() -> None:
    async def run() -> None:
        task = asyncio.create_task(while_connected(never, asyncio.sleep(3600, "never")))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
