"""What is sent to the vendors, and what is made of their answers."""

from __future__ import annotations

from collections import ChainMap
from types import MappingProxyType
from typing import Any

import pytest
from scripted import KEY, OK, WIRES, Scripted, ask

from flexiai.chat import CompletionTokensDetails, FunctionCall, PromptTokensDetails, ToolCall, Usage
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import InvalidRequestError
from flexiai.providers.anthropic import DEFAULT_MAX_TOKENS
from flexiai.providers.openai import UNCARRIED

SYSTEM = {"role": "system", "content": "Be brief."}
HI = {"role": "user", "content": "Hi."}


def answering(wire: str, **changes: Any) -> Scripted:
    return Scripted({**OK[wire], **changes})


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_names_its_provider_and_counts_its_tokens(wire: str) -> None:
    answer = ask(wire, answering(wire))
    assert answer.provider == f"the-{wire}"
    assert (answer.id, answer.model) == (OK[wire]["id"], "m-1")
    assert answer.choices[0].message.content == "Hello."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage == Usage(prompt_tokens=3, completion_tokens=2, total_tokens=5)


def test_openai_is_asked_as_it_documents() -> None:
    server = answering("openai")
    ask("openai", server, temperature=1.5, max_tokens=9, options={"seed": 7, "stop": ["x"], "top_p": None})
    assert server.paths == ["/chat/completions"]
    assert server.headers["Authorization"] == f"Bearer {KEY}"
    assert server.headers["Content-Type"] == "application/json"
    assert server.asked == {
        "model": "m-default",
        "messages": [HI],
        "temperature": 1.5,
        "max_tokens": 9,
        "seed": 7,
        "stop": ["x"],
    }


def test_anthropic_is_asked_as_it_documents() -> None:
    server = answering("anthropic")
    ask("anthropic", server, temperature=0.5, max_tokens=9, options={"stop": "x", "top_p": 0.9, "user": "u1", "n": 1})
    assert server.paths == ["/v1/messages"]
    assert server.headers["x-api-key"] == KEY
    assert server.headers["anthropic-version"] == "2023-06-01"
    assert "Authorization" not in server.headers
    assert server.asked == {
        "model": "m-default",
        "max_tokens": 9,
        "messages": [HI],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u1"},
    }


@pytest.mark.parametrize("wire", WIRES)
def test_a_request_may_name_its_model_and_carries_its_id(wire: str) -> None:
    server = answering(wire)
    ask(wire, server, model="m-own", request_id="r-17")
    assert server.asked["model"] == "m-own"
    assert server.headers["X-Request-ID"] == "r-17"


@pytest.mark.parametrize("request_id", [None, "a\r\nX-Evil: 1", "naïve", "tab\there"])
def test_an_id_that_no_header_can_carry_is_not_sent(request_id: str | None) -> None:
    server = answering("openai")
    ask("openai", server, request_id=request_id)
    assert "X-Request-ID" not in server.headers
    assert "X-Evil" not in server.headers


@pytest.mark.parametrize("wire", WIRES)
def test_a_provider_without_a_key_is_asked_without_credentials(wire: str) -> None:
    server = answering(wire)
    ask(wire, server, key=None)
    assert not {"authorization", "x-api-key"} & {name.lower() for name in server.headers}


@pytest.mark.parametrize("wire", WIRES)
def test_messages_may_be_any_mapping(wire: str) -> None:
    server = answering(wire)
    said = {"role": "assistant", "content": "Yes?"}
    ask(wire, server, messages=(MappingProxyType(HI), ChainMap(dict(said)), MappingProxyType(HI)))
    assert server.asked["messages"] == [HI, said, HI]


def test_system_messages_are_lifted_for_anthropic_in_their_order() -> None:
    server = answering("anthropic")
    parts = {"role": "developer", "content": [{"type": "text", "text": "In English."}]}
    ask("anthropic", server, messages=(SYSTEM, HI, parts))
    assert server.asked["system"] == [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "In English."}]
    assert server.asked["messages"] == [HI]


def test_a_turn_as_the_official_sdk_dumps_it_can_be_sent_back_to_anthropic() -> None:
    server = answering("anthropic")
    turn = {"role": "assistant", "content": "Yes?", "name": "bot", "refusal": None, "tool_calls": None}
    ask("anthropic", server, messages=(HI, turn, HI))
    assert server.asked["messages"] == [HI, {"role": "assistant", "content": "Yes?"}, HI]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, DEFAULT_MAX_TOKENS),
        ({"max_tokens": 5}, 5),
        ({"options": {"max_completion_tokens": 6}}, 6),
        ({"max_tokens": 5, "options": {"max_completion_tokens": 6}}, 5),
    ],
)
def test_anthropic_is_always_given_max_tokens(fields: dict[str, Any], expected: int) -> None:
    server = answering("anthropic")
    ask("anthropic", server, **fields)
    assert server.asked["max_tokens"] == expected


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("option", sorted(UNCARRIED))
def test_an_option_whose_answer_could_not_be_carried_is_refused_by_name_before_anything_is_sent(
    wire: str, option: str
) -> None:
    server = answering(wire)
    with pytest.raises(InvalidRequestError, match=rf"\b{option}\b") as refused:
        ask(wire, server, options={option: {"some": "thing"}})
    assert (refused.value.outcome, refused.value.code) == (Outcome.NEUTRAL, "unsupported")
    assert server.paths == []


@pytest.mark.parametrize("wire", WIRES)
def test_options_that_say_no_ask_for_nothing(wire: str) -> None:
    server = answering(wire)
    ask(wire, server, options={"stream": False, "logprobs": False, "modalities": ["text"], "tools": None, "user": None})
    assert not {"stream", "logprobs", "modalities", "tools", "user", "metadata"} & server.asked.keys()


def test_what_a_provider_cannot_be_asked_is_refused_with_its_name_and_the_options() -> None:
    server = answering("anthropic")
    with pytest.raises(InvalidRequestError) as refused:
        ask("anthropic", server, options={"seed": 1, "n": 2})
    assert str(refused.value) == "the-anthropic cannot be asked for the option n, seed"
    assert (refused.value.outcome, refused.value.trouble) == (Outcome.NEUTRAL, Trouble.UNSUPPORTED)
    assert (refused.value.status, refused.value.code) == (400, "unsupported")
    assert server.paths == []


@pytest.mark.parametrize("wire", WIRES)
def test_what_a_providers_model_refuses_can_be_left_out(wire: str) -> None:
    server = answering(wire)
    omitting = {"omit": frozenset({"temperature", "seed", "max_tokens"})}
    ask(wire, server, settings=omitting, temperature=0.5, max_tokens=9, options={"seed": 1, "stop": "x"})
    assert not {"temperature", "seed"} & server.asked.keys()
    assert server.asked.get("max_tokens") == (None if wire == "openai" else DEFAULT_MAX_TOKENS)
    assert {"stop", "stop_sequences"} & server.asked.keys()


@pytest.mark.parametrize("wire", WIRES)
def test_a_provider_may_have_headers_of_its_own_which_win(wire: str) -> None:
    server = answering(wire)
    ask(wire, server, settings={"headers": {"OpenAI-Organization": "org-1", "user-agent": "mine", "api-key": "k"}})
    assert (server.headers["OpenAI-Organization"], server.headers["User-Agent"]) == ("org-1", "mine")
    assert server.headers["api-key"] == "k"


@pytest.mark.parametrize("wire", WIRES)
def test_a_provider_may_have_a_bound_of_its_own_for_answers(wire: str) -> None:
    server = answering(wire)
    name = "max_tokens" if wire == "anthropic" else "max_completion_tokens"
    ask(wire, server, settings={"max_tokens": 77})
    assert server.asked[name] == 77
    ask(wire, server, settings={"max_tokens": 77}, max_tokens=5)
    assert (server.asked["max_tokens"], "max_completion_tokens" in server.asked) == (5, False)


@pytest.mark.parametrize("kind", ["custom", "web_search"])
def test_a_tool_whose_calls_could_not_be_carried_is_refused_by_its_type(kind: str) -> None:
    for wire in WIRES:
        with pytest.raises(InvalidRequestError, match=f"a tool of the type {kind}"):
            ask(wire, answering(wire), options={"tools": [{"type": kind, kind: {"name": "x"}}]})


def test_openai_is_given_tools_and_formats_as_they_are() -> None:
    server = answering("openai")
    options = {
        "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "n": 2,
        "seed": 7,
    }
    ask("openai", server, options=options)
    assert {k: server.asked[k] for k in options} == options


def test_openais_tool_calls_are_told() -> None:
    said = {"role": "assistant", "content": None, "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]}  # fmt: skip
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls"}
    (told,) = ask("openai", answering("openai", choices=[choice])).choices
    call = ToolCall(id="call_1", function=FunctionCall(name="add", arguments='{"a": 1}'))
    assert (told.message.content, told.message.tool_calls, told.finish_reason) == (None, (call,), "tool_calls")


def test_anthropics_tool_use_becomes_tool_calls() -> None:
    blocks = [
        {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 12345678901234567890}},
        {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
    ]
    (told,) = ask("anthropic", answering("anthropic", content=blocks, stop_reason="tool_use")).choices
    assert told.message.tool_calls is not None
    assert [(c.id, c.function.name, c.function.arguments) for c in told.message.tool_calls] == [
        ("toolu_1", "add", '{"a": 12345678901234567890}'),
        ("toolu_2", "now", "{}"),
    ]
    assert (told.message.content, told.finish_reason) == (None, "tool_calls")


@pytest.mark.parametrize("wire", WIRES)
def test_a_request_that_is_not_json_is_the_callers_own(wire: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"not JSON|content is object"):
        ask(wire, answering(wire), messages=({"role": "user", "content": object()},))
    with pytest.raises(InvalidRequestError, match="not JSON"):
        ask(wire, answering(wire), options={"stop": [object()]})


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("news_to_us", "news_to_us"),
        (None, None),
    ],
)
def test_anthropics_stop_reasons_become_openais(stop_reason: str | None, finish_reason: str | None) -> None:
    answer = ask("anthropic", answering("anthropic", stop_reason=stop_reason))
    assert answer.choices[0].finish_reason == finish_reason


def test_anthropics_cached_input_counts_as_prompt_and_other_blocks_are_no_text() -> None:
    usage = {
        "input_tokens": 3,
        "output_tokens": 2,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 100,
        "output_tokens_details": {"thinking_tokens": 1},
    }
    blocks = [{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    answer = ask("anthropic", answering("anthropic", usage=usage, content=blocks))
    assert answer.usage == Usage(
        prompt_tokens=113,
        completion_tokens=2,
        total_tokens=115,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=100, cache_write_tokens=10),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=1),
    )
    assert answer.choices[0].message.content == "AB"


def test_a_refusal_in_place_of_an_answer_is_its_content() -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}, "finish_reason": "stop"}
    answer = ask("openai", answering("openai", choices=[choice]))
    assert answer.choices[0].message.content == "No."
    assert answer.choices[0].finish_reason == "content_filter"
