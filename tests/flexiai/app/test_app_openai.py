"""The endpoints that speak as OpenAI does, asked by OpenAI's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import openai
import pytest
from app_client import asked
from asgi_driver import ask, started
from fleets import Answers, Fails, service
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI
from pydantic import SecretStr

from flexiai.app.settings import Doors, Limits
from flexiai.chat import ChatCompletion, ChatMessage, ChatRequest, Choice, FunctionCall, ToolCall
from flexiai.core.outcome import Trouble
from flexiai.errors import InvalidRequestError
from flexiai.types import BreakerConfig

HELLO = [{"role": "user", "content": "hello"}]
KEY = "sk-of-this-service-1"


def completion(app: Any, key: str = "any", **arguments: Any) -> Any:
    arguments = {"model": "flexiai", "messages": HELLO, **arguments}
    return asked(app, lambda client: client.chat.completions.create(**arguments), key)


def failure(app: Any, kind: type[openai.APIStatusError], key: str = "any", **arguments: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as error:
        completion(app, key, **arguments)
    assert type(error.value) is kind
    assert isinstance(error.value.body, dict)
    assert error.value.body.keys() == {"message", "type", "param", "code"}
    assert error.value.response.headers["x-request-id"]
    return error.value


def raw(app: Any, body: Any, **more: Any) -> Any:
    async def run() -> Any:
        async with started(app):
            return await ask(app, "POST", "/v1/chat/completions", body, **more)

    return asyncio.run(run())


def test_openais_client_gets_its_completion_and_may_learn_who_answered() -> None:
    told = completion(service({"first": Fails("first", 500), "second": Answers("second")}))
    assert told.object == "chat.completion"
    assert told.choices[0].message.content == "you said hello"
    assert told.choices[0].message.role == "assistant"
    assert told.choices[0].finish_reason == "stop"
    assert told.usage.total_tokens == 3
    assert told.created > 1_700_000_000
    assert told.flexiai["provider"] == "second"
    assert told.flexiai["request_id"]


def test_the_request_id_and_the_provider_are_told_in_headers() -> None:
    async def ask_it(client: AsyncOpenAI) -> Mapping[str, str]:
        answer = await client.chat.completions.with_raw_response.create(
            model="flexiai",
            messages=HELLO,
            extra_headers={"X-Request-ID": "mine-1"},  # type: ignore[arg-type]
        )
        return answer.headers

    provider = Answers("openai")
    headers = asked(service({"openai": provider}), ask_it)
    assert (headers["x-request-id"], headers["x-flexiai-provider"]) == ("mine-1", "openai")
    assert provider.asked[0].request_id == "mine-1"


def test_what_is_null_is_left_out_as_openai_does_but_never_the_content() -> None:
    class Calls:
        async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
            call = ToolCall(id="call-1", function=FunctionCall(name="weather", arguments='{"city":"Oslo"}'))
            message = ChatMessage(content=None, tool_calls=(call,))
            choice = Choice(message=message, finish_reason="tool_calls")
            return ChatCompletion(id="c", model="m", choices=(choice,), provider="openai", created=7)

    plain = raw(service({"openai": Answers("openai")}), {"model": "flexiai", "messages": HELLO}).json
    assert plain["choices"][0]["message"] == {"content": "you said hello", "role": "assistant"}
    calling = raw(service({"openai": Calls()}), {"model": "flexiai", "messages": HELLO}).json
    assert calling["created"] == 7
    assert calling["choices"] == [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "content": None,
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": "call-1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                    }
                ],
            },
        }
    ]


def test_further_fields_reach_the_provider_as_they_are() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    provider = Answers("openai")
    completion(
        service({"openai": provider}), temperature=0, max_tokens=5, top_p=0.5, tools=tools, tool_choice="auto", seed=1
    )
    asked_for = provider.asked[0]
    assert (asked_for.temperature, asked_for.max_tokens) == (0, 5)
    assert asked_for.options == {"top_p": 0.5, "tools": tools, "tool_choice": "auto", "seed": 1}


@pytest.mark.parametrize("model", ["flexiai", "auto", "m"])
def test_the_fleets_names_and_a_configured_model_ask_each_provider_for_its_own(model: str) -> None:
    provider = Answers("openai")
    completion(service({"openai": provider}), model=model)
    assert provider.asked[0].model is None


def test_a_model_that_nobody_configured_is_answered_as_openai_would() -> None:
    provider = Answers("openai")
    error = failure(service({"openai": provider}), openai.NotFoundError, model="gpt-9")
    assert (error.code, error.param, error.type) == ("model_not_found", "model", "invalid_request_error")
    assert provider.asked == []


@pytest.mark.parametrize(("others", "asked_for"), [("configured", None), ("pass", "gpt-9")])
def test_other_models_are_for_the_operator_to_decide(others: Any, asked_for: str | None) -> None:
    provider = Answers("openai")
    completion(service({"openai": provider}, other_models=others), model="gpt-9")
    assert provider.asked[0].model == asked_for


def test_models_are_listed_and_found_one_by_one() -> None:
    async def ask_it(client: AsyncOpenAI) -> tuple[list[tuple[str, str]], str]:
        listed = [(m.id, m.owned_by) async for m in client.models.list()]
        return listed, (await client.models.retrieve("m")).id

    listed, found = asked(service({"openai": Answers("openai"), "anthropic": Answers("anthropic")}), ask_it)
    assert listed == [("flexiai", "flexiai"), ("auto", "flexiai"), ("m", "openai")]
    assert found == "m"


def test_a_model_that_is_not_there_is_not_found() -> None:
    with pytest.raises(openai.NotFoundError, match="no model called 'a/b'"):
        asked(service({"openai": Answers("openai")}), lambda client: client.models.retrieve("a/b"))


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages[0]"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"model": ""}, "model"),
        ({"extra_body": {"stream": 1}}, "stream"),
        ({"extra_body": {"stream_options": 5}}, "stream_options"),
    ],
)
def test_a_body_that_is_no_request_is_a_bad_request(arguments: dict[str, Any], param: str) -> None:
    provider = Answers("openai")
    error = failure(service({"openai": provider}), openai.BadRequestError, **arguments)
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert provider.asked == []


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"", b'{"model": "flexiai"}'])
def test_what_is_no_request_at_all_is_told_in_openais_shape(body: bytes) -> None:
    answer = raw(service({"openai": Answers("openai")}), body)
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (404, openai.NotFoundError),
        (422, openai.BadRequestError),
    ],
)
def test_what_a_provider_refuses_raises_what_openai_would(status: int, kind: type[openai.APIStatusError]) -> None:
    error = failure(service({"openai": Fails("openai", status)}), kind)
    assert error.response.headers["x-flexiai-provider"] == "openai"


def test_the_vendors_own_code_is_told() -> None:
    class Filters:
        async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
            raise InvalidRequestError(
                "no", provider="openai", trouble=Trouble.CONTENT_FILTER, status=400, code="content_filter"
            )

    assert failure(service({"openai": Filters()}), openai.BadRequestError).code == "content_filter"


def test_when_nobody_answers_it_is_a_server_error_that_says_when_to_come_back() -> None:
    breaker = BreakerConfig(failure_threshold=1, reset_timeout_s=7.3, reset_jitter=0)
    error = failure(service({"openai": Fails("openai", 503)}, breaker=breaker), openai.InternalServerError)
    assert (error.status_code, error.code, error.type) == (503, "no_provider_available", "server_error")
    assert error.response.headers["retry-after"] == "8"
    assert error.response.json()["flexiai"]["providers"][0]["provider"] == "openai"


def test_when_every_provider_says_that_it_is_too_much_it_is_a_rate_limit() -> None:
    fleet = {"openai": Fails("openai", 429, 3.0), "anthropic": Fails("anthropic", 429, 5.0)}
    error = failure(service(fleet), openai.RateLimitError)
    assert error.response.headers["retry-after"] == "3"
    one_is_down = {"openai": Fails("openai", 429, 3.0), "anthropic": Fails("anthropic", 500)}
    assert failure(service(one_is_down), openai.InternalServerError).status_code == 503


def test_a_key_is_wanted_where_keys_are_configured() -> None:
    doors = Doors(api_keys=(SecretStr("sk-of-somebody-else"), SecretStr(KEY)))
    provider = Answers("openai")
    app = service({"openai": provider}, doors=doors)
    error = failure(app, openai.AuthenticationError, key="sk-wrong")
    assert (error.code, provider.asked) == ("invalid_api_key", [])
    assert KEY not in str(error)
    with pytest.raises(openai.AuthenticationError):
        asked(app, lambda client: client.models.list(), "sk-wrong")
    assert completion(app, key=KEY).choices[0].message.content == "you said hello"


def test_a_body_too_large_is_told_in_openais_shape() -> None:
    limits = Limits(max_body_bytes=1024)
    with pytest.raises(openai.APIStatusError) as error:
        completion(
            service({"openai": Answers("openai")}, limits=limits), messages=[{"role": "user", "content": "x" * 1024}]
        )
    assert (error.value.status_code, error.value.code) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("POST", "/v1/completions", 404), ("GET", "/v1/chat/completions", 405)]
)
def test_what_is_not_there_is_told_in_openais_shape(method: str, path: str, status: int) -> None:
    async def run() -> Any:
        async with started(service({"openai": Answers("openai")})) as app:
            return await ask(app, method, path)

    answer = asyncio.run(run())
    assert answer.status == status
    assert answer.json["error"].keys() == {"message", "type", "param", "code"}


def test_before_its_start_a_worker_says_so_in_openais_shape() -> None:
    answer = asyncio.run(ask(service({"openai": Answers("openai")}), "POST", "/v1/chat/completions", {}))
    assert answer is not None
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (503, "not_serving")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "model",
        "messages",
        "temperature",
        "max_tokens",
        "stream",
        "stream_options",
        "self",
        "request_id",
        "options",
        "tools",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(FIELDS, JSON), st.booleans())
def test_whatever_is_sent_the_answer_is_one_that_openai_could_give(fields: dict[str, Any], sound: bool) -> None:
    class Takes:
        async def complete(self, request: ChatRequest, *, timeout_s: float) -> ChatCompletion:
            return ChatCompletion(
                id="c", model="m", choices=(Choice(message=ChatMessage(content="x")),), provider="openai"
            )

    body = {**fields, "model": "flexiai", "messages": HELLO} if sound else fields
    answer = raw(service({"openai": Takes()}), body)
    assert answer.status in (200, 400, 404), answer.body
    if answer.status != 200:
        assert answer.json["error"]["type"] == "invalid_request_error"
