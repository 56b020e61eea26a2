"""A request that is answered piece by piece."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from flexiai import BreakerConfig, ChatStream, InvalidRequestError, NoProviderAvailable, RequestConfig, StreamBroken
from flexiai.chat import ChatChunk, ChatMessage, Choice, Delta, FunctionCall, ToolCall, ToolCallDelta
from flexiai.core.breaker import Breaker
from flexiai.core.circuit import State
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import ProviderError
from flexiai.events import AttemptEnded, AttemptStarted, RequestEnded
from flexiai.pieces import one_chunk
from tests.flexiai.client_parts import HELLO, ROLE, Fleet, Speaking, answer_of, fleet, forever, run, status

CUT = ProviderError("it broke", provider="a", trouble=Trouble.DISCONNECT)
FILTERED = ProviderError("not that", provider="a", trouble=Trouble.CONTENT_FILTER)
ONCE = BreakerConfig(failure_threshold=1)


def speaking(*scripts: list[Any], **more: Any) -> Fleet:
    return fleet(*scripts, kind=Speaking, **more)


async def begin(f: Fleet) -> ChatStream:
    return await f.client.chat.completions.create(messages=HELLO, stream=True, request_id="r")


async def text_of(stream: ChatStream) -> str:
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def read_into(heard: list[ChatChunk], stream: ChatStream) -> None:
    async for chunk in stream:
        heard.append(chunk)  # noqa: PERF401 - what came before an error counts


async def told(f: Fleet) -> str:
    async with await begin(f) as stream:
        return await text_of(stream)


def ended(f: Fleet) -> AttemptEnded:
    return f.only(AttemptEnded)[-1]  # type: ignore[no-any-return]  # of that kind


def half_open(breaker: Breaker) -> None:
    """One probe slot is free."""
    permit = breaker.admit(0.0)
    breaker.record(permit, Outcome.RATE_LIMITED, 0.0, retry_after_s=1e-9)  # type: ignore[arg-type]  # CLOSED: a permit
    breaker.grant_probe(1.0)


def test_a_stream_is_told_in_order_and_its_outcome_comes_at_its_end() -> None:
    f = speaking([[ROLE, "one ", "two"]], [])

    async def main() -> None:
        async with f.client:
            stream = await begin(f)
            assert stream.provider == "a"
            assert not f.only(AttemptEnded)
            assert await text_of(stream) == "one two"
            assert await text_of(stream) == ""

    run(main())
    assert (ended(f).outcome, ended(f).streamed, ended(f).chunks) == (Outcome.SUCCESS, True, 2)
    assert ended(f).first_token_s is not None
    (end,) = f.only(RequestEnded)
    assert (end.result, end.provider, end.streamed) == ("ok", "a", True)
    assert f.client.breakers["a"].success_count == 1
    assert f.providers[0].open == 0


@pytest.mark.parametrize("begun", [[], [ROLE], [ROLE, Delta(), ""]])
@pytest.mark.parametrize("failure", [CUT, status(503), status(429), RuntimeError("own")])
def test_before_the_first_token_another_provider_takes_over_and_nothing_shows(begun: list[Any], failure: Any) -> None:
    f = speaking([[*begun, failure]], [[ROLE, "b says"]])

    async def main() -> list[str]:
        async with f.client, await begin(f) as stream:
            assert stream.provider == "b"
            return [chunk.provider async for chunk in stream]

    assert run(main()) == ["b", "b"]
    assert [(e.provider, e.first_token_s is None, e.chunks) for e in f.only(AttemptEnded)] == [
        ("a", True, 0),
        ("b", False, 1),
    ]
    assert f.providers[0].open == 0


def test_after_the_first_token_no_other_provider_is_asked_and_the_caller_is_told() -> None:
    f = speaking([[ROLE, "one ", "two", CUT]], [], breaker=ONCE)

    async def main() -> None:
        async with f.client:
            stream, heard = await begin(f), list[ChatChunk]()
            with pytest.raises(StreamBroken) as caught:
                await read_into(heard, stream)
            assert [chunk.choices[0].delta.content for chunk in heard] == [None, "one ", "two"]
            broken = caught.value
            assert (broken.provider, broken.trouble, broken.told) == ("a", Trouble.DISCONNECT, 2)
            assert "a broke off after 2 pieces: it broke" in str(broken)
            assert broken.__cause__ is CUT
            assert await text_of(stream) == ""

    run(main())
    assert not f.providers[1].asked
    assert (ended(f).outcome, ended(f).chunks) == (Outcome.FAILURE, 2)
    (end,) = f.only(RequestEnded)
    assert (end.result, end.provider, end.attempts) == ("failed", "a", 1)
    assert f.client.breakers["a"].state is State.OPEN
    assert f.providers[0].open == 0


def test_a_content_filter_that_ends_a_stream_is_the_callers_own() -> None:
    f = speaking([["one", FILTERED]], [], breaker=ONCE)

    async def main() -> None:
        with pytest.raises(StreamBroken):
            await told(f)

    run(main())
    assert [e.result for e in f.only(RequestEnded)] == ["rejected"]
    assert f.client.breakers["a"].state is State.CLOSED


def test_the_callers_own_error_before_the_first_token_goes_to_the_caller() -> None:
    f = speaking([[status(400)]], [])
    with pytest.raises(InvalidRequestError):
        run(told(f))
    assert not f.providers[1].asked


def test_a_tool_call_is_content_too() -> None:
    call = Delta(tool_calls=(ToolCallDelta(index=0, id="c"),))
    f = speaking([[ROLE, call, CUT]], [])
    with pytest.raises(StreamBroken):
        run(told(f))
    assert not f.providers[1].asked


def test_an_answer_without_content_is_an_answer_and_one_without_a_piece_is_none() -> None:
    f = speaking([[], [ROLE]], [])

    async def main() -> None:
        async with f.client:
            assert [await told(f), await told(f)] == ["hi", ""]

    run(main())
    assert (f.only(AttemptEnded)[0].trouble, f.only(AttemptEnded)[0].outcome) == (Trouble.MALFORMED, Outcome.FAILURE)
    assert (ended(f).outcome, ended(f).first_token_s, ended(f).chunks) == (Outcome.SUCCESS, None, 0)


def test_a_first_token_that_comes_too_late_fails_over() -> None:
    f = speaking([[ROLE, forever]], [], request=RequestConfig(first_token_timeout_s=0.01, attempt_timeout_s=30))
    assert run(told(f)) == "hi"
    assert (f.only(AttemptEnded)[0].trouble, ended(f).provider) == (Trouble.TIMEOUT, "b")
    assert f.providers[0].open == 0


def test_silence_between_tokens_breaks_a_stream() -> None:
    f = speaking([["one", forever]], [], request=RequestConfig(between_tokens_timeout_s=0.01))
    with pytest.raises(StreamBroken) as caught:
        run(told(f))
    assert caught.value.trouble is Trouble.TIMEOUT
    assert "no next token within 0.01 s" in str(caught.value)
    assert ended(f).outcome is Outcome.FAILURE
    assert f.providers[0].open == 0


def test_what_the_caller_takes_between_tokens_is_not_the_providers_time() -> None:
    f = speaking([["one", "two", "three"]], request=RequestConfig(between_tokens_timeout_s=0.05))

    async def main() -> None:
        async with f.client, await begin(f) as stream:
            async for _ in stream:
                await asyncio.sleep(0.1)

    run(main())
    assert ended(f).outcome is Outcome.SUCCESS


def test_the_deadline_bounds_a_stream_up_to_its_first_token_only() -> None:
    async def a_while() -> None:
        await asyncio.sleep(0.1)

    f = speaking([["one", a_while, "two"], [a_while]], [[a_while]], request=RequestConfig(deadline_s=0.05))

    async def main() -> None:
        async with f.client:
            assert await told(f) == "onetwo"
            with pytest.raises(NoProviderAvailable):
                await told(f)

    run(main())


def test_one_deadline_and_one_budget_bound_all_attempts_at_a_stream() -> None:
    breaker = BreakerConfig(failure_threshold=1000, failure_rate=None)
    request = RequestConfig(retry_budget=0.0, budget_window_s=3600, retries=1)
    f = speaking([[CUT]] * 30, [], request=request, breaker=breaker)

    async def main() -> None:
        async with f.client:
            assert [await told(f) for _ in range(5)] == ["hi"] * 5
            with pytest.raises(NoProviderAvailable) as caught:
                await told(f)
            assert [s.reason for s in caught.value.said] == ["failure", "retry_budget"]

    run(main())
    assert len(f.only(AttemptStarted)) == 5 * 3 + 1


def test_a_stream_counts_for_the_budget_from_its_first_token() -> None:
    request = RequestConfig(retry_budget=1.0, budget_window_s=3600)
    breaker = BreakerConfig(failure_threshold=1000, failure_rate=None)
    f = speaking([["one", "two"]] * 20 + [[CUT]] * 20, [], request=request, breaker=breaker)

    async def main() -> None:
        async with f.client:
            running = [await begin(f) for _ in range(20)]
            assert [await told(f) for _ in range(20)] == ["hi"] * 20
            assert [await text_of(stream) for stream in running] == ["onetwo"] * 20

    run(main())


def test_an_open_breaker_is_asked_before_a_stream_too() -> None:
    f = speaking([[CUT]], [], breaker=ONCE)

    async def main() -> None:
        async with f.client:
            assert [await told(f), await told(f)] == ["hi", "hi"]

    run(main())
    assert len(f.providers[0].asked) == 1
    assert f.only(AttemptStarted)[-1].skipped == ("a",)


def test_a_probe_holds_its_slot_to_the_end_of_its_stream() -> None:
    f = speaking([["one", "two"]], [], breaker=ONCE)

    async def main() -> None:
        async with f.client:
            half_open(f.client.breakers["a"])
            stream = await begin(f)
            assert f.client.breakers["a"].probes_in_flight == 1
            assert await told(f) == "hi"
            assert await text_of(stream) == "onetwo"
            assert f.client.breakers["a"].state is State.CLOSED

    run(main())
    assert [a.provider for a in f.only(AttemptStarted)] == ["a", "b"]


async def leave_by_close(stream: ChatStream) -> None:
    await stream.aclose()


async def leave_by_break(stream: ChatStream) -> None:
    async with stream:
        async for _ in stream:
            break


async def leave_while_waiting(stream: ChatStream) -> None:
    async def read() -> None:
        async for _ in stream:
            pass

    reading = asyncio.create_task(read())
    for _ in range(5):
        await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait((reading,))
    assert reading.cancelled()


@pytest.mark.parametrize("leave", [leave_by_close, leave_by_break, leave_while_waiting])
def test_a_caller_who_leaves_is_nobodys_failure_and_frees_everything(leave: Any) -> None:
    f = speaking([["one", "two", forever]], [], breaker=ONCE)

    async def main() -> None:
        async with f.client:
            half_open(f.client.breakers["a"])
            stream = await begin(f)
            assert f.providers[0].open == 1
            await leave(stream)
            assert f.providers[0].open == f.client.breakers["a"].probes_in_flight == 0
            assert f.client.breakers["a"].state is State.HALF_OPEN

    run(main())
    assert (ended(f).outcome, ended(f).trouble) == (Outcome.NEUTRAL, Trouble.CANCELLED)
    assert [e.result for e in f.only(RequestEnded)] == ["cancelled"]


def test_a_stream_that_is_dropped_is_ended_when_it_is_collected() -> None:
    f = speaking([["one", "two", forever]], [], breaker=ONCE)

    async def main() -> None:
        async with f.client:
            half_open(f.client.breakers["a"])
            stream = await begin(f)
            async for _ in stream:
                break
            del stream
            gc.collect()
            while not f.only(RequestEnded):
                await asyncio.sleep(0)
            assert f.providers[0].open == f.client.breakers["a"].probes_in_flight == 0

    run(main())
    assert [e.result for e in f.only(RequestEnded)] == ["cancelled"]


def test_a_closing_client_ends_the_streams_that_nobody_awaits() -> None:
    f = speaking([["one", "two"]] * 2)

    async def main() -> None:
        async with f.client:
            kept = [await begin(f), await begin(f)]
        assert f.providers[0].open == 0
        assert [await text_of(stream) for stream in kept] == ["", ""]

    run(main())
    assert f.kinds()[-3:] == ["AttemptEnded", "RequestEnded", "WorkerStopped"]
    assert [e.result for e in f.only(RequestEnded)] == ["cancelled"] * 2


def test_a_provider_that_cannot_stream_is_told_in_one_piece() -> None:
    f = fleet([status(503)], [])

    async def main() -> None:
        async with f.client, await begin(f) as stream:
            (chunk,) = [chunk async for chunk in stream]
            assert (chunk.provider, chunk.choices[0].finish_reason) == ("b", "stop")
            assert (chunk.choices[0].delta.role, chunk.choices[0].delta.content) == ("assistant", "hi")
            assert chunk.usage is not None

    run(main())
    assert (ended(f).streamed, ended(f).chunks) == (True, 1)


def test_a_whole_answer_has_an_attempts_time_even_if_a_stream_was_wanted() -> None:
    f = fleet([forever], [], request=RequestConfig(attempt_timeout_s=0.01, first_token_timeout_s=30))
    assert run(told(f)) == "hi"


def test_tool_calls_of_a_whole_answer_become_its_piece() -> None:
    call = ToolCall(id="c", function=FunctionCall(name="f", arguments="{}"))
    message = ChatMessage(content=None, tool_calls=(call,))
    answer = answer_of("a")
    chunk = one_chunk(type(answer)(id="1", model="m", provider="a", choices=(Choice(message=message),)))
    (part,) = chunk.choices[0].delta.tool_calls or ()
    assert (part.index, part.id, part.type) == (0, "c", "function")
    assert part.function is not None
    assert (part.function.name, part.function.arguments) == ("f", "{}")
    assert chunk.has_content


def test_a_provider_whose_end_fails_or_hangs_changes_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexiai.pieces.CLOSE_TIMEOUT_S", 0.01)

    class Stubborn(Speaking):
        async def stream(self, request: Any) -> Any:
            try:
                async for chunk in super().stream(request):
                    yield chunk
            finally:
                if self.begun == 1:
                    raise RuntimeError("cannot end")
                await forever()

    f = fleet([["one", "two"]] * 2, kind=Stubborn)

    async def main() -> None:
        async with f.client:
            for _ in range(2):
                async with await begin(f):
                    pass

    run(main())
    assert [e.result for e in f.only(RequestEnded)] == ["cancelled"] * 2


def test_a_provider_that_is_no_generator_is_its_own_failure() -> None:
    class Broken(Speaking):
        def stream(self, request: Any) -> Any:
            if self.name == "a":
                raise KeyError("a secret")
            return super().stream(request)

    f = fleet([], [], kind=Broken)
    assert run(told(f)) == "hi"
    assert f.only(AttemptEnded)[0].trouble is Trouble.OTHER
    assert "secret" not in repr(f.events)
