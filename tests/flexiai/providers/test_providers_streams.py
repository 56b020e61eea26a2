"""Streamed answers of both vendors, as chunks in OpenAI's shape."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from aiohttp import web
from scripted import OK, WIRES, Scripted, ask_stream, config, serving, streaming

from flexiai.chat import (
    ChatChunk,
    ChatRequest,
    CompletionTokensDetails,
    FunctionDelta,
    PromptTokensDetails,
    ToolCallDelta,
    Usage,
)
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import ProviderError
from flexiai.providers import build_provider, http, new_session
from flexiai.types import RequestConfig

HI = ChatRequest(messages=({"role": "user", "content": "Hi."},))
DONE = b"data: [DONE]\n\n"
STOP = {"type": "message_stop"}
ASKED = {"stream_options": {"include_usage": True}}


def openai(delta: dict[str, Any], finish_reason: str | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason, "logprobs": None}
    return {"id": "c-1", "object": "chat.completion.chunk", "created": 7, "model": "m-1", "choices": [choice], **more}


OPENAI = [
    openai({"role": "assistant", "content": "", "refusal": None}),
    openai({"content": "Hel"}),
    openai({"content": "lo."}),
    openai({}, "stop"),
    {"id": "c-1", "created": 7, "model": "m-1", "choices": [],
     "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5,
               "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
               "completion_tokens_details": {"reasoning_tokens": 1}}},
]  # fmt: skip


def block(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


START = {
    "type": "message_start",
    "message": {
        **OK["anthropic"],
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    },
}
ANTHROPIC = [
    START,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    block(0, {"type": "text_delta", "text": "Hel"}),
    b": a comment\n\n",
    block(0, {"type": "text_delta", "text": "lo."}),
    {"type": "news_to_us"},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 2},
    },
]
WHOLE: dict[str, list[Any]] = {"openai": [*OPENAI, DONE], "anthropic": [*ANTHROPIC, STOP]}


def text(chunks: list[ChatChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


def calls(chunks: list[ChatChunk]) -> list[ToolCallDelta]:
    return [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or ()]


def reasons(chunks: list[ChatChunk]) -> list[str]:
    return [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]


def failure(wire: str, *events: Any, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        ask_stream(wire, streaming(*events), **fields)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    return raised.value


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_comes_in_pieces_and_its_usage_with_the_last(wire: str) -> None:
    chunks = ask_stream(wire, streaming(*WHOLE[wire]))
    assert text(chunks) == "Hello."
    assert [chunk.has_content for chunk in chunks] == [False, True, True, False]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert reasons(chunks) == ["stop"]
    assert {chunk.provider for chunk in chunks} == {f"the-{wire}"}
    assert {chunk.model for chunk in chunks} == {"m-1"}
    assert [chunk.usage is None for chunk in chunks] == [True, True, True, False]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (3, 2)


@pytest.mark.parametrize("wire", WIRES)
def test_usage_that_was_asked_for_comes_in_a_chunk_of_its_own_as_openais(wire: str) -> None:
    chunks = ask_stream(wire, streaming(*WHOLE[wire]), options=ASKED)
    assert [chunk.usage is None for chunk in chunks] == [True, True, True, True, False]
    assert chunks[-1].choices == ()
    assert reasons(chunks) == ["stop"]


def test_openais_details_of_usage_are_told() -> None:
    assert ask_stream("openai", streaming(*WHOLE["openai"]))[-1].usage == Usage(
        prompt_tokens=3,
        completion_tokens=2,
        total_tokens=5,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=1),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=1),
    )


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_is_asked_for_with_its_usage(wire: str) -> None:
    server = streaming(*WHOLE[wire])
    ask_stream(wire, server, options={"stream": True, "stream_options": {"include_usage": False}})
    assert server.asked["stream"] is True
    assert server.asked.get("stream_options") == ({"include_usage": True} if wire == "openai" else None)


def test_openais_tool_calls_are_told_as_they_come() -> None:
    told = [
        openai({"role": "assistant", "content": None, "tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}]}),
        openai({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]}),
        openai({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        openai({}, "tool_calls"),
    ]  # fmt: skip
    chunks = ask_stream("openai", streaming(*told, DONE))
    assert calls(chunks) == [
        ToolCallDelta(index=0, id="call_1", type="function", function=FunctionDelta(name="add", arguments="")),
        ToolCallDelta(index=0, function=FunctionDelta(arguments='{"a":')),
        ToolCallDelta(index=0, function=FunctionDelta(arguments="1}")),
    ]
    assert [chunk.has_content for chunk in chunks] == [True, True, True, False]
    assert reasons(chunks) == ["tool_calls"]


def test_anthropics_tool_use_becomes_tool_calls_numbered_among_themselves() -> None:
    told = [
        START,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        block(0, {"type": "thinking_delta", "thinking": "Hm."}),
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        block(1, {"type": "text_delta", "text": "Let me see."}),
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {}}},
        block(2, {"type": "input_json_delta", "partial_json": ""}),
        block(2, {"type": "input_json_delta", "partial_json": '{"a":'}),
        block(2, {"type": "input_json_delta", "partial_json": "1}"}),
        {"type": "content_block_stop", "index": 2},
        {"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}},
        block(3, {"type": "input_json_delta", "partial_json": ""}),
        {"type": "content_block_stop", "index": 3},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9, "input_tokens": 4}},
        STOP,
    ]  # fmt: skip
    chunks = ask_stream("anthropic", streaming(*told))
    assert text(chunks) == "Let me see."
    assert calls(chunks) == [
        ToolCallDelta(index=0, id="toolu_1", type="function", function=FunctionDelta(name="add", arguments="")),
        ToolCallDelta(index=0, function=FunctionDelta(arguments='{"a":')),
        ToolCallDelta(index=0, function=FunctionDelta(arguments="1}")),
        ToolCallDelta(index=1, id="toolu_2", type="function", function=FunctionDelta(name="now", arguments="")),
        ToolCallDelta(index=1, function=FunctionDelta(arguments="{}")),
    ]
    assert reasons(chunks) == ["tool_calls"]
    assert chunks[-1].usage == Usage(prompt_tokens=4, completion_tokens=9, total_tokens=13)


def test_a_tool_call_whose_arguments_come_at_its_start_has_them_once() -> None:
    use = {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}}
    told = [
        START,
        {"type": "content_block_start", "index": 0, "content_block": use},
        {"type": "content_block_stop", "index": 0},
    ]
    (call,) = calls(ask_stream("anthropic", streaming(*told, ANTHROPIC[-1], STOP)))
    assert call.function is not None
    assert call.function.arguments == '{"a": 1}'


def test_a_streamed_refusal_is_the_content_and_ends_as_filtered() -> None:
    told = [openai({"role": "assistant", "refusal": ""}), openai({"refusal": "No."}), openai({}, "stop")]
    chunks = ask_stream("openai", streaming(*told, DONE))
    assert (text(chunks), reasons(chunks)) == ("No.", ["content_filter"])


@pytest.mark.parametrize(("wire", "reason"), [("openai", "content_filter"), ("anthropic", "refusal")])
def test_an_answer_that_the_content_filter_ended_is_an_answer(wire: str, reason: str) -> None:
    end: list[Any] = [openai({}, reason), DONE]
    if wire == "anthropic":
        end = [{"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 2}}, STOP]
    chunks = ask_stream(wire, streaming(*WHOLE[wire][:2], *end))
    assert reasons(chunks) == ["content_filter"]


def test_several_answers_at_once_each_say_why_they_ended() -> None:
    told = [openai({"content": "a"}), openai({"content": "b"}, index=1), openai({}, "stop"), openai({}, "length", 1)]
    chunks = ask_stream("openai", streaming(*told, DONE))
    assert reasons(chunks) == ["stop", "length"]
    assert failure("openai", *told[:3], DONE).trouble is Trouble.MALFORMED


def test_chunks_that_say_nothing_are_left_out() -> None:
    first = {"id": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}  # Azure begins with it
    assert len(ask_stream("openai", streaming(first, *WHOLE["openai"]))) == 4


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("pieces", [0, 1, 2, 3])
def test_a_stream_that_ends_before_its_answer_does_is_a_failure(wire: str, pieces: int) -> None:
    error = failure(wire, *WHOLE[wire][:pieces])
    assert (error.trouble, error.outcome, error.status) == (Trouble.DISCONNECT, Outcome.FAILURE, None)


@pytest.mark.parametrize(
    ("wire", "events"), [("openai", [OPENAI[0], OPENAI[1], DONE]), ("openai", [DONE]), ("anthropic", [*ANTHROPIC[:6], STOP])]
)  # fmt: skip
def test_a_stream_that_does_not_say_why_it_ended_is_a_failure(wire: str, events: list[Any]) -> None:
    assert failure(wire, *events).trouble is Trouble.MALFORMED


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "junk", [b"data: {\n\n", b"data: \xff\n\n", b"data: []\n\n", b'data: {"type": 7, "choices": 7}\n\n']
)
def test_an_event_that_is_not_in_the_format_is_a_failure(wire: str, junk: bytes) -> None:
    assert failure(wire, WHOLE[wire][0], junk, *WHOLE[wire][1:]).trouble is Trouble.MALFORMED


@pytest.mark.parametrize("wire", WIRES)
def test_an_event_beyond_the_bound_is_a_failure(wire: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_ANSWER", 1000)
    error = failure(wire, WHOLE[wire][0], b": " + b"x" * 2000)
    assert (error.trouble, "1000 bytes" in str(error)) == (Trouble.MALFORMED, True)


@pytest.mark.parametrize("wire", WIRES)
def test_a_refused_stream_is_told_like_any_other_refusal(wire: str) -> None:
    async def scene() -> ProviderError:
        scripted = Scripted({"error": {"message": "Slow down.", "type": "some"}}, 429, {"Retry-After": "8"})
        async with serving(scripted) as url, new_session(RequestConfig()) as session:
            with pytest.raises(ProviderError) as raised:
                async for _ in build_provider(config(wire, url), RequestConfig(), session).stream(HI):
                    pass
            return raised.value

    error = asyncio.run(scene())
    assert (error.outcome, error.status, error.retry_after_s) == (Outcome.RATE_LIMITED, 429, 8)
    assert str(error) == "HTTP 429: Slow down."


@pytest.mark.parametrize("wire", WIRES)
def test_a_200_that_is_no_stream_is_a_failure(wire: str) -> None:
    for body, trouble in ((OK[wire], Trouble.MALFORMED), ({"error": {"message": "Down"}}, Trouble.ERROR_BODY)):
        with pytest.raises(ProviderError) as raised:
            ask_stream(wire, Scripted(body))
        assert raised.value.trouble is trouble


class Slow:
    """Sends the beginning of a stream, and then only tells when its caller has gone."""

    def __init__(self, *beginning: Any) -> None:
        self._beginning = streaming(*beginning)._body
        self.gone = asyncio.Event()
        self.requests = 0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(self._beginning)
        assert request.transport is not None
        while not request.transport.is_closing():
            await asyncio.sleep(0)
        self.gone.set()
        return response


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("how", ["closed", "cancelled"])
def test_the_connection_does_not_outlive_a_stream_that_nobody_wants(wire: str, how: str) -> None:
    async def scene() -> None:
        server = Slow(*WHOLE[wire][:3])
        async with asyncio.timeout(10), serving(server) as url, new_session(RequestConfig()) as session:  # type: ignore[arg-type]
            provider = build_provider(config(wire, url), RequestConfig(), session)
            first = asyncio.Event()

            async def read() -> None:
                async with aclosing(provider.stream(HI)) as chunks:
                    async for _ in chunks:
                        first.set()
                        if how == "closed":
                            break

            reader = asyncio.create_task(read())
            await first.wait()
            if how == "cancelled":
                reader.cancel()
            await asyncio.wait([reader])
            assert reader.cancelled() is (how == "cancelled")
            await server.gone.wait()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert {task.get_coro().__qualname__ for task in left} <= {"RequestHandler.start"}, "the server's own"

    asyncio.run(scene())


@pytest.mark.parametrize("wire", WIRES)
def test_a_complete_stream_leaves_its_connection_to_the_next_request(wire: str) -> None:
    async def scene() -> int:
        connections = set()
        scripted = streaming(*WHOLE[wire])

        class Counting:
            async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
                connections.add(request.transport)
                return await scripted.handle(request)

        async with serving(Counting()) as url, new_session(RequestConfig()) as session:  # type: ignore[arg-type]
            provider = build_provider(config(wire, url), RequestConfig(), session)
            for _ in range(3):
                assert text([chunk async for chunk in provider.stream(HI)]) == "Hello."
        return len(connections)

    assert asyncio.run(scene()) == 1


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_is_complete_with_its_last_event_though_its_connection_stays_open(
    wire: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "DRAIN_S", 0.001)

    async def scene() -> None:
        server = Slow(*WHOLE[wire])
        async with asyncio.timeout(10), serving(server) as url, new_session(RequestConfig()) as session:  # type: ignore[arg-type]
            provider = build_provider(config(wire, url), RequestConfig(), session)
            assert text([chunk async for chunk in provider.stream(HI)]) == "Hello."
            await server.gone.wait()

    asyncio.run(scene())
