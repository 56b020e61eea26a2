"""The chat endpoints."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgi_driver import Answer, ask, started
from fleets import Answers, Fails, Hangs, service

from flexiai.app.refusals import refusal
from flexiai.app.settings import Limits
from flexiai.errors import NoProviderAvailable, Said
from flexiai.events import RequestEnded
from flexiai.types import BreakerConfig


def post(app: Any, path: str, body: Any, **more: Any) -> Answer:
    async def once() -> Answer | None:
        async with started(app):
            return await ask(app, "POST", path, body, **more)

    answer = asyncio.run(once())
    assert answer is not None
    return answer


def test_direct_answers_with_the_text_the_provider_and_the_worker() -> None:
    answer = post(service({"openai": Answers("openai")}), "/chat/direct", {"message": "hello"})
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-flexiai-provider"] == "openai"
    told = answer.json
    assert isinstance(told.pop("worker_id"), int)
    assert told.pop("request_id") == answer.headers["x-request-id"]
    assert told == {
        "response": "you said hello",
        "provider": "openai",
        "model": "model-of-openai",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }


def test_direct_sends_the_guides_default_temperature_and_what_the_caller_chose() -> None:
    provider = Answers("openai")
    post(service({"openai": provider}), "/chat/direct", {"message": "x"})
    post(service({"openai": provider}), "/chat/direct", {"message": "x", "temperature": 0, "max_tokens": 5})
    assert [(r.temperature, r.max_tokens) for r in provider.asked] == [(0.7, None), (0.0, 5)]


def test_chat_takes_a_conversation_and_returns_the_whole_completion() -> None:
    provider = Answers("openai")
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi", "name": "kim"}]
    body = {"messages": turns, "model": "other", "options": {"top_p": 0.5}}
    answer = post(service({"openai": provider}), "/chat", body)
    assert answer.json["response"] == "you said hi"
    assert answer.json["completion"]["object"] == "chat.completion"
    assert answer.json["completion"]["choices"][0]["message"] == {
        "role": "assistant",
        "content": "you said hi",
        "tool_calls": None,
    }
    asked = provider.asked[0]
    assert list(asked.messages) == turns
    assert (asked.model, asked.options) == ("other", {"top_p": 0.5})


def test_chat_takes_a_plain_message_too() -> None:
    assert post(service({"openai": Answers("openai")}), "/chat", {"message": "hi"}).json["response"] == "you said hi"


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/chat/direct", {}, "body.message"),
        ("/chat/direct", {"message": "x" * 10_001}, "body.message"),
        ("/chat/direct", {"message": "x", "temperature": 2.1}, "body.temperature"),
        ("/chat/direct", {"message": "x", "temperature": -0.1}, "body.temperature"),
        ("/chat/direct", {"message": "x", "max_tokens": 0}, "body.max_tokens"),
        ("/chat/direct", {"message": "x", "max_tokens": 4001}, "body.max_tokens"),
        ("/chat/direct", {"message": "x", "temprature": 1}, "body.temprature: is not known"),
        ("/chat/direct", b"{", "Invalid JSON"),
        ("/chat/direct", b"", "Invalid JSON"),
        ("/chat", {}, "either message or messages"),
        ("/chat", {"message": "x", "messages": [{"role": "user", "content": "x"}]}, "either message or messages"),
        ("/chat", {"messages": []}, "body.messages"),
        ("/chat", {"messages": [{"role": "wizard", "content": "x"}]}, "body.messages[0].role"),
        ("/chat", {"message": "x", "options": {"stream": True}}, "options must not contain stream"),
    ],
)
def test_a_body_that_is_no_request_is_the_callers_error_and_asks_nobody(path: str, body: Any, named: str) -> None:
    provider = Answers("openai")
    answer = post(service({"openai": provider}), path, body)
    assert answer.status == 422
    assert answer.json["error"] == "invalid_request"
    assert named in answer.json["message"]
    assert provider.asked == []


def test_limits_are_inclusive() -> None:
    body = {"message": "x" * 10_000, "temperature": 2.0, "max_tokens": 4000}
    assert post(service({"openai": Answers("openai")}), "/chat/direct", body).status == 200


def test_a_body_in_pieces_is_one_body() -> None:
    answer = post(service({"openai": Answers("openai")}), "/chat/direct", {"message": "pieces"}, chunk=5)
    assert answer.json["response"] == "you said pieces"


def test_a_body_beyond_the_limit_is_not_read_to_its_end() -> None:
    answer = post(
        service({"openai": Answers("openai")}), "/chat/direct", b" " * (Limits().max_body_bytes + 1), chunk=1 << 20
    )
    assert (answer.status, answer.json["error"]) == (413, "body_too_large")


def test_a_get_is_told_what_the_endpoint_takes() -> None:
    async def once() -> Answer | None:
        async with started(service({"openai": Answers("openai")})) as app:
            return await ask(app, "GET", "/chat/direct")

    answer = asyncio.run(once())
    assert answer is not None
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert answer.json == {"error": "method_not_allowed", "message": "/chat/direct takes POST, not GET"}


def test_a_failing_provider_is_failed_over() -> None:
    answer = post(
        service({"openai": Fails("openai", 503), "anthropic": Answers("anthropic")}), "/chat/direct", {"message": "x"}
    )
    assert (answer.status, answer.headers["x-flexiai-provider"]) == (200, "anthropic")


def test_when_nobody_answers_the_caller_learns_what_each_said_and_when_to_come_back() -> None:
    breaker = BreakerConfig(failure_threshold=1, reset_timeout_s=7.3, reset_jitter=0)
    fleet = {"openai": Fails("openai", 503), "anthropic": Fails("anthropic", 500)}
    answer = post(service(fleet, breaker=breaker), "/chat/direct", {"message": "x"}, headers={"X-Request-ID": "r-9"})
    assert (answer.status, answer.json["error"]) == (503, "no_provider_available")
    assert answer.headers["retry-after"] == "8"
    assert 7 < answer.json["retry_after_s"] <= 7.3
    assert [said["provider"] for said in answer.json["providers"]] == ["openai", "anthropic"]
    assert answer.headers["x-request-id"] == answer.json["request_id"] == "r-9"


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_what_a_provider_refuses_as_such_keeps_its_status_and_is_not_failed_over(status: int) -> None:
    other = Answers("anthropic")
    answer = post(service({"openai": Fails("openai", status), "anthropic": other}), "/chat/direct", {"message": "x"})
    assert (answer.status, answer.json["error"]) == (status, "rejected_by_provider")
    assert answer.headers["x-flexiai-provider"] == answer.json["provider"] == "openai"
    assert other.asked == []


def test_an_error_of_our_own_tells_the_caller_nothing_of_its_inside() -> None:
    reply = refusal(RuntimeError("secret-detail"), 1, "r-1")
    assert reply.status == 500
    assert b"secret-detail" not in reply.response().body


def test_a_request_whose_time_ran_out_is_told_so() -> None:
    late = NoProviderAvailable((Said("openai", "timeout", "…"), Said("anthropic", "deadline", "…")), 0.0)
    reply = refusal(late, 1, "r-1")
    assert (reply.status, reply.response().headers["retry-after"]) == (504, "0")


def test_a_caller_that_goes_away_takes_its_request_along() -> None:
    async def leave() -> tuple[Answer | None, bool]:
        provider, gone = Hangs(), asyncio.Event()
        async with started(service({"openai": provider}, seen=seen)) as app:
            asking = asyncio.create_task(ask(app, "POST", "/chat/direct", {"message": "x"}, gone=gone))
            await provider.asked.wait()
            gone.set()
            return await asking, provider.cancelled

    seen: list[Any] = []
    answer, cancelled = asyncio.run(leave())
    assert answer is None
    assert cancelled
    assert [e.result for e in seen if isinstance(e, RequestEnded)] == ["cancelled"]


def test_requests_in_flight_are_independent() -> None:
    async def both() -> tuple[Answer | None, Answer | None]:
        async with started(service({"openai": Answers("openai")})) as app:
            return await asyncio.gather(
                ask(app, "POST", "/chat/direct", {"message": "a"}), ask(app, "POST", "/chat/direct", {"message": "b"})
            )

    first, second = asyncio.run(both())
    assert first is not None
    assert second is not None
    assert (first.json["response"], second.json["response"]) == ("you said a", "you said b")
    assert first.json["request_id"] != second.json["request_id"]
