"""OpenAI's requests, said in Anthropic's format; the types of Anthropic's own SDK are the oracle."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from flexiai.chat import ChatRequest
from flexiai.providers.anthropic_request import ASK_FOR_NOTHING, HINTS, payload_of
from flexiai.providers.options import Unsupported

HI = {"role": "user", "content": "Hi."}
PNG = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": SCHEMA}}
NOW = {"type": "function", "function": {"name": "now"}}
TYPES = TypeAdapter(MessageCreateParamsNonStreaming)


def said(*messages: Any, temperature: float | None = None, **options: Any) -> dict[str, Any]:
    """What is sent, having the types that Anthropic's SDK gives it."""
    request = ChatRequest(messages=messages or (HI,), temperature=temperature, options=options)
    payload: dict[str, Any] = json.loads(json.dumps(payload_of(request, "m-1", 99)))
    for message in TYPES.validate_python(payload)["messages"]:
        list(message["content"])  # it validates while it is read
    return payload


def turns(*messages: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said(*messages)["messages"]
    return found


def call(id: str, name: str, arguments: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def test_a_conversation_with_tools_takes_turns() -> None:
    assert turns(
        {"role": "system", "content": "Be brief."},
        HI,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("c1", "add", '{"a": 1}'), call("c2", "now", "")]},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "tool", "tool_call_id": "c2", "content": [text("noon"), text("sharp")]},
        HI,
        {"role": "assistant", "content": None, "tool_calls": [call("c3", "now", "{}")], "refusal": None},
        {"role": "tool", "tool_call_id": "c3", "content": "one"},
    ) == [
        HI,
        {"role": "assistant", "content": [
            text("Let me see."),
            {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1}},
            {"type": "tool_use", "id": "c2", "name": "now", "input": {}}]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c1", "content": "2"},
            {"type": "tool_result", "tool_use_id": "c2", "content": [text("noon"), text("sharp")]},
            text("Hi.")]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c3", "name": "now", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c3", "content": "one"}]},
    ]  # fmt: skip


def test_turns_of_one_role_become_one() -> None:
    yes = {"role": "assistant", "content": "Yes."}
    assert turns(HI, HI, yes, {"role": "developer", "content": "x"}, yes, HI) == [
        {"role": "user", "content": [text("Hi."), text("Hi.")]},
        {"role": "assistant", "content": [text("Yes."), text("Yes.")]},
        HI,
    ]


def test_an_id_that_anthropic_would_not_take_is_the_same_in_call_and_result() -> None:
    (_, asked, answered) = turns(
        HI,
        {"role": "assistant", "tool_calls": [call("functions.add:0", "add", "{}")]},
        {"role": "tool", "tool_call_id": "functions.add:0", "content": "2"},
    )
    assert asked["content"][0]["id"] == answered["content"][0]["tool_use_id"] == "functions_add_0"


def test_a_turn_as_openais_sdk_dumps_it_can_be_sent() -> None:
    empty = {
        "name": "bot",
        "refusal": None,
        "tool_calls": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
    }
    assert turns(HI, {"role": "assistant", "content": "Yes?", **empty})[1] == {"role": "assistant", "content": "Yes?"}
    refused = {"role": "assistant", "content": None, "refusal": "No."}
    assert turns(HI, refused)[1] == {"role": "assistant", "content": "No."}
    parts = {"role": "assistant", "content": [text("So:"), {"type": "refusal", "refusal": "No."}]}
    assert turns(HI, parts)[1] == {"role": "assistant", "content": [text("So:"), text("No.")]}


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (text("What is it?"), text("What is it?")),
        (
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://host/a.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
                "title": "a.pdf",
            },
        ),
    ],
)
def test_parts_of_content_become_blocks(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert turns({"role": "user", "content": [part]}) == [{"role": "user", "content": [block]}]


def test_tools_are_given_with_their_schemas() -> None:
    strict = {"type": "function", "function": {**ADD["function"], "strict": True}}  # type: ignore[dict-item]
    assert said(tools=[ADD, NOW, strict])["tools"] == [
        {"name": "add", "description": "Adds.", "input_schema": SCHEMA},
        {"name": "now", "input_schema": {"type": "object"}},
        {"name": "add", "description": "Adds.", "strict": True, "input_schema": SCHEMA},
    ]


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "add"}}}, {"type": "tool", "name": "add"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
        ({"parallel_tool_calls": False, "tools": []}, None),
    ],
)
def test_how_tools_are_chosen(options: dict[str, Any], choice: dict[str, Any] | None) -> None:
    assert said(**{"tools": [ADD], **options}).get("tool_choice") == choice


@pytest.mark.parametrize(("asked", "sent"), [(0.0, 0.0), (0.7, 0.7), (1.0, None), (1.7, None), (None, None)])
def test_a_temperature_beyond_anthropics_highest_becomes_it_which_is_its_default(
    asked: float | None, sent: float | None
) -> None:
    assert said(temperature=asked).get("temperature") == sent


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"top_p": 0.9}, {"top_p": 0.9}),
        ({"stop": "x"}, {"stop_sequences": ["x"]}),
        ({"stop": ["x", "y"]}, {"stop_sequences": ["x", "y"]}),
        ({"user": "u", "safety_identifier": "s"}, {"metadata": {"user_id": "u"}}),
        ({"safety_identifier": "s"}, {"metadata": {"user_id": "s"}}),
        ({"metadata": {"user_id": "m", "team": "t"}}, {"metadata": {"user_id": "m"}}),
        ({"metadata": {"team": "t"}}, {}),
        ({"max_completion_tokens": 5}, {"max_tokens": 5}),
        ({"reasoning_effort": "high"}, {"output_config": {"effort": "high"}}),
        ({"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        ({"response_format": {"type": "text"}}, {}),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        ),
        (dict.fromkeys(HINTS, "x"), {}),
        (ASK_FOR_NOTHING, {}),
    ],
)
def test_options_are_translated_or_left_out(options: dict[str, Any], sent: dict[str, Any]) -> None:
    assert said(**options) == {"model": "m-1", "max_tokens": 99, "messages": [HI], **sent}


REFUSED_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"seed": 1, "n": 2}, "the option n, seed"),
    ({"presence_penalty": 0.1}, "the option presence_penalty"),
    ({"logprobs": True}, "the option logprobs"),
    ({"store": True}, "the option store"),
    ({"audio": {}, "modalities": ["text", "audio"]}, "the option audio, modalities"),
    ({"functions": []}, "the option functions"),
    ({"news_to_us": 1}, "the option news_to_us"),
    ({"stream_options": {}}, "the option stream_options"),
    ({"response_format": {"type": "json_object"}}, "the response_format json_object without a schema"),
    ({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}, "json_schema without a schema"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "a tool of the type custom"),
    ({"tools": "add"}, "tools that are str"),
    ({"tools": ["add"]}, "a tool of the type str"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": [1]}}]}, "parameters are list"),
    ({"tools": [ADD], "tool_choice": {"type": "allowed_tools"}}, "the tool_choice allowed_tools"),
]
REFUSED_MESSAGES: list[tuple[Any, str]] = [
    ("hi", "a message of the role None"),
    ({"role": "function", "content": "4", "name": "f"}, "a message of the role function"),
    ({"role": ["user"], "content": "4"}, "a message of the role ['user']"),
    ({"role": "assistant", "content": None, "audio": {"id": "a"}}, "a message with audio"),
    ({"role": "assistant", "function_call": {"name": "f"}}, "a message with function_call"),
    ({"role": "user", "content": "", "tool_calls": [call("c", "f", "{}")]}, "a message with tool_calls"),
    ({"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}, "a tool call of the type custom"),
    ({"role": "assistant", "tool_calls": [call("c", "f", "{")]}, "a call of f whose arguments are not a JSON object"),
    ({"role": "assistant", "tool_calls": [call("c", "f", "[1]")]}, "a call of f whose arguments are not a JSON object"),
    ({"role": "user", "content": "4", 7: 7, "x": 1, "y": 0}, "a message with 7, x"),
    ({"role": "user", "content": ["hi"]}, "content of the type str"),
    ({"role": "user", "content": 7}, "a message whose content is int"),
    ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "content of the type input_audio"),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "neither at an http(s) URL nor"),
    (
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}]},
        "an image of the type image/tiff",
    ),
    ({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}, "a file that is not in a data URL"),
    (
        {"role": "user", "content": [{"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}}]},
        "a file of the type text/csv",
    ),
]


@pytest.mark.parametrize(("options", "what"), REFUSED_OPTIONS)
def test_an_option_without_a_word_for_it_is_refused_by_name(options: dict[str, Any], what: str) -> None:
    with pytest.raises(Unsupported) as refused:
        said(**options)
    assert what in str(refused.value)


@pytest.mark.parametrize(("message", "what"), REFUSED_MESSAGES)
def test_a_message_without_a_word_for_it_is_refused_by_name(message: Any, what: str) -> None:
    with pytest.raises(Unsupported) as refused:
        said(HI, message)
    assert what in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ["role", "content", "tool_calls", "tool_call_id", "function", "type", "text", "image_url", "url", "name", "arguments"]  # fmt: skip
ODD = st.dictionaries(st.sampled_from(NAMES), JSON | st.sampled_from(["user", "assistant", "tool", "text", "function"]))
WORDS = st.text(min_size=1, max_size=5)
CALLS = st.lists(st.builds(call, WORDS, WORDS, st.just('{"a": 1}')), min_size=1, max_size=3)
EVEN = st.one_of(
    st.builds(lambda c: {"role": "user", "content": c}, WORDS),
    st.builds(lambda c: {"role": "system", "content": c}, WORDS),
    st.builds(lambda c: {"role": "assistant", "content": c}, WORDS),
    st.builds(lambda c, calls: {"role": "assistant", "content": c, "tool_calls": calls}, st.none() | WORDS, CALLS),
    st.builds(lambda i, c: {"role": "tool", "tool_call_id": i, "content": c}, WORDS, WORDS),
)


@given(st.lists(EVEN, max_size=8))
def test_turns_alternate_and_nothing_that_was_said_is_lost(messages: list[dict[str, Any]]) -> None:
    payload = said(HI, *messages)
    roles = [turn["role"] for turn in payload["messages"]]
    assert all(a != b for a, b in pairwise(roles))
    blocks = [b for turn in payload["messages"] for b in (turn["content"] if isinstance(turn["content"], list) else [text(turn["content"])])]  # fmt: skip
    told = [b["text"] for b in [*payload.get("system", []), *blocks] if b["type"] == "text"]
    assert sorted(told) == sorted(["Hi.", *(m["content"] for m in messages if m["role"] != "tool" and m["content"])])
    assert sum(b["type"] == "tool_use" for b in blocks) == sum(len(m.get("tool_calls", ())) for m in messages)
    assert sum(b["type"] == "tool_result" for b in blocks) == sum(m["role"] == "tool" for m in messages)


@given(st.lists(ODD | JSON, max_size=3), st.dictionaries(st.sampled_from(["tools", "tool_choice", "response_format", "metadata", "stop", "user"]), JSON))  # fmt: skip
def test_no_request_however_odd_is_anything_but_said_or_refused(messages: list[Any], options: dict[str, Any]) -> None:
    request = ChatRequest(messages=tuple(messages), options=options)
    with suppress(Unsupported):
        assert payload_of(request, "m-1", 99)["model"] == "m-1"
