"""Streamed answers, as OpenAI's own client and a plain reader of server-sent events get them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import openai
import pytest
from app_client import asked
from asgi_driver import Answer, ask, started
from fleets import Answers, Fails, service
from openai import AsyncOpenAI

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest, ChunkChoice, Delta, Usage
from flexiai.core.outcome import Trouble
from flexiai.errors import ProviderError
from flexiai.events import RequestEnded
from flexiai.types import RequestConfig

HELLO = [{"role": "user", "content": "hello"}]
BODY = {"model": "flexiai", "messages": HELLO, "stream": True}


def piece(text: str | None, **more: Any) -> ChatChunk:
    delta = Delta(content=text) if text is not None else Delta()
    return ChatChunk(
        id="c-1",
        model="m",
        choices=(ChunkChoice(delta=delta, finish_reason=more.pop("finish", None)),),
        provider="p",
        **more,
    )


class Speaks:
    """Streams its lines: pieces, errors to raise, events to wait for. `left`: its caller went before the end."""

    def __init__(self, *lines: ChatChunk | BaseException | asyncio.Event) -> None:
        self.lines = lines
        self.left = False
        self.asked: list[ChatRequest] = []

    async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
        raise AssertionError("nobody wants it whole")

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatChunk, None]:
        self.asked.append(request)
        try:
            for line in self.lines:
                if isinstance(line, BaseException):
                    raise line
                if isinstance(line, asyncio.Event):
                    await line.wait()
                else:
                    yield line
        except (asyncio.CancelledError, GeneratorExit):
            self.left = True
            raise


NOTHING_MORE = ChatChunk(
    id="c-1", model="m", choices=(), provider="p", usage=Usage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
)
BROKEN = ProviderError("the wire broke", provider="p", trouble=Trouble.DISCONNECT)


def raw(app: Any, body: Any, **more: Any) -> Answer:
    async def run() -> Answer | None:
        async with started(app):
            return await ask(app, "POST", "/v1/chat/completions", body, **more)

    answer = asyncio.run(run())
    assert answer is not None
    return answer


def events(answer: Answer) -> list[Any]:
    """What the server-sent events say, their framing checked."""
    parts = answer.body.decode().split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") and "\n" not in part for part in parts)
    said = [part.removeprefix("data: ") for part in parts]
    return [one if one == "[DONE]" else json.loads(one) for one in said]


def test_openais_client_reads_a_stream_to_its_end() -> None:
    async def ask_it(client: AsyncOpenAI) -> list[Any]:
        stream = await client.chat.completions.create(model="flexiai", messages=HELLO, stream=True)  # type: ignore[call-overload] # plain dicts
        return [chunk async for chunk in stream]

    provider = Speaks(piece("he"), piece("llo"), piece(None, finish="stop"))
    told = asked(service({"openai": Fails("openai", 500), "p": provider}), ask_it)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == "hello"
    assert told[-1].choices[0].finish_reason == "stop"
    assert {chunk.object for chunk in told} == {"chat.completion.chunk"}
    assert told[0].flexiai["provider"] == "p"


def test_the_head_names_the_stream_its_id_and_its_provider() -> None:
    answer = raw(service({"p": Speaks(piece("hi"))}), BODY, headers={"X-Request-ID": "r-7"})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert (answer.headers["x-request-id"], answer.headers["x-flexiai-provider"]) == ("r-7", "p")
    assert "content-length" not in answer.headers
    assert events(answer)[-1] == "[DONE]"


def test_each_piece_has_openais_fields_and_no_null_but_the_finish_reason() -> None:
    first, second, done = events(raw(service({"p": Speaks(piece("hi", created=7), piece(None, finish="stop"))}), BODY))
    answerer = first.pop("flexiai")
    assert (answerer["provider"], done) == ("p", "[DONE]")
    assert first == {
        "id": "c-1",
        "created": 7,
        "model": "m",
        "choices": [{"delta": {"content": "hi"}, "index": 0, "finish_reason": None}],
        "object": "chat.completion.chunk",
    }
    assert second["created"] > 1_700_000_000
    assert second["choices"] == [{"delta": {}, "index": 0, "finish_reason": "stop"}]


@pytest.mark.parametrize("wanted", [True, False])
def test_usage_is_told_to_those_who_asked(wanted: bool) -> None:
    provider = Speaks(piece("hi"), NOTHING_MORE)
    body = BODY | ({"stream_options": {"include_usage": True}} if wanted else {})
    told = events(raw(service({"p": provider}), body))
    assert len(told) == 2 + wanted
    assert [one.get("usage") for one in told[:-1]] == [
        None,
        {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    ][: 1 + wanted]


def test_a_provider_that_cannot_stream_is_told_in_one_piece() -> None:
    told = events(raw(service({"p": Answers("p")}), BODY))
    assert "".join(one["choices"][0]["delta"].get("content", "") for one in told[:-1]) == "you said hello"


def test_a_failure_before_the_first_piece_is_an_ordinary_error() -> None:
    answer = raw(service({"p": Speaks(BROKEN)}), BODY)
    assert answer.status == 503
    assert answer.json["error"]["code"] == "no_provider_available"


def test_a_stream_that_breaks_ends_with_an_error_and_not_as_if_it_were_whole() -> None:
    other = Answers("other")
    answer = raw(service({"p": Speaks(piece("he"), BROKEN), "other": other}), BODY)
    told = events(answer)
    assert answer.status == 200
    assert told[0]["choices"][0]["delta"]["content"] == "he"
    assert told[-1]["error"].keys() == {"message", "type", "param", "code"}
    assert told[-1]["flexiai"]["error"] == "stream_broken"
    assert "[DONE]" not in told
    assert other.asked == []


def test_openais_client_raises_where_a_stream_breaks() -> None:
    got: list[str] = []

    async def ask_it(client: AsyncOpenAI) -> None:
        stream = await client.chat.completions.create(model="flexiai", messages=HELLO, stream=True)
        async for chunk in stream:
            got.append(chunk.choices[0].delta.content)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(openai.APIError, match="broke off"):
        asked(service({"p": Speaks(piece("he"), BROKEN)}), ask_it)
    assert got == ["he"]


def test_a_caller_that_leaves_a_stream_takes_it_along_and_blames_nobody() -> None:
    async def run() -> tuple[list[bytes], list[Any], bool]:
        provider, gone, sent = Speaks(piece("he"), asyncio.Event()), asyncio.Event(), []
        seen: list[Any] = []
        async with started(service({"p": provider}, seen=seen)) as app:

            def on_send(message: dict[str, Any]) -> None:
                if message.get("body"):
                    sent.append(message["body"])
                    gone.set()

            await ask(app, "POST", "/v1/chat/completions", BODY, gone=gone, on_send=on_send)
        return sent, [(e.result, e.streamed) for e in seen if isinstance(e, RequestEnded)], provider.left

    sent, ended, left = asyncio.run(run())
    assert len(sent) == 1
    assert ended == [("cancelled", True)]
    assert left


def test_a_caller_that_takes_no_piece_is_gone() -> None:
    async def run() -> tuple[list[str], bool]:
        provider = Speaks(piece("he"), piece("llo"))
        seen: list[Any] = []

        async def stuck(message: dict[str, Any]) -> None:
            await asyncio.Event().wait()

        app = service({"p": provider}, seen=seen, request=RequestConfig(deadline_s=0.05))
        async with started(app):
            assert await ask(app, "POST", "/v1/chat/completions", BODY, slowly=stuck) is None
        return [e.result for e in seen if isinstance(e, RequestEnded)], provider.left

    assert asyncio.run(run()) == (["cancelled"], True)


def test_a_caller_that_does_not_take_the_error_either_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flexiai.app.event_stream.PARTING_S", 0.01)

    async def run() -> Answer | None:
        sent: list[bytes] = []

        async def stuck_after_a_piece(message: dict[str, Any]) -> None:
            sent.append(message.get("body", b""))
            if len(sent) > 2:  # the head and the first piece
                await asyncio.Event().wait()

        async with started(service({"p": Speaks(piece("he"), BROKEN)})) as app:
            answer = await ask(app, "POST", "/v1/chat/completions", BODY, slowly=stuck_after_a_piece)
            assert b'"error"' in sent[-1]
            return answer

    answer = asyncio.run(run())
    assert answer is not None
    assert b"he" in answer.body


def test_a_stream_that_is_cut_short_ends_with_an_error() -> None:
    async def run() -> tuple[Answer | None, int]:
        provider, told = Speaks(piece("he"), asyncio.Event()), asyncio.Event()
        app = service({"p": provider})
        async with started(app):

            def on_send(message: dict[str, Any]) -> None:
                if message.get("body"):
                    told.set()

            asking = asyncio.create_task(ask(app, "POST", "/v1/chat/completions", BODY, on_send=on_send))
            await told.wait()
            cut = app.desk.worker.load.cut_short()
            return await asking, cut

    answer, cut = asyncio.run(run())
    assert cut == 1
    assert answer is not None
    assert events(answer)[-1]["error"]["code"] == "not_serving"


def test_a_request_that_is_cut_short_is_answered() -> None:
    async def run() -> Answer | None:
        never = asyncio.Event()
        provider = Speaks(never)
        app = service({"p": provider})
        async with started(app):
            asking = asyncio.create_task(ask(app, "POST", "/v1/chat/completions", BODY))
            while not provider.asked:
                await asyncio.sleep(0)
            app.desk.worker.load.cut_short()
            return await asking

    answer = asyncio.run(run())
    assert answer is not None
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
