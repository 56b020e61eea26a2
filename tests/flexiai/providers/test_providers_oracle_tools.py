"""Tools, formats and their answers: ours beside the vendors' own SDKs, asked of the same strict server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest, ToolCall
from flexiai.errors import InvalidRequestError
from flexiai.providers import build_provider, new_session
from flexiai.types import ProviderConfig, RequestConfig
from tests.provider_process import ProviderProcess, provider_process

pytestmark = pytest.mark.real

WIRES = ("openai", "anthropic")
SCHEMA = {"type": "object", "properties": {"words": {"type": "integer"}}}
TOOLS = [
    {"type": "function", "function": {"name": "count", "description": "Counts.", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "now"}},
]
TOOLS_NATIVE: list[Any] = [
    {"name": "count", "description": "Counts.", "input_schema": SCHEMA},
    {"name": "now", "input_schema": {"type": "object"}},
]
HI = {"role": "user", "content": "Hi there, you."}
ANSWER_SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"], "additionalProperties": False}  # fmt: skip
Called = list[tuple[str, str, str]]  # id, name, arguments


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    with provider_process(tmp_path_factory.mktemp("provider"), name="vendor") as process:
        yield process


def base_url(server: ProviderProcess, wire: str) -> str:
    return server.openai_url if wire == "openai" else server.url


def ask(server: ProviderProcess, wire: str, *messages: Any, **options: Any) -> tuple[ChatCompletion, list[ChatChunk]]:
    """Our answer to these messages, whole and in pieces."""

    async def scene() -> tuple[ChatCompletion, list[ChatChunk]]:
        settings = RequestConfig()
        fields = {"name": wire, "api_key": "k", "model": "m-1", "base_url": base_url(server, wire), "wire": wire}
        request = ChatRequest(messages=messages or (HI,), options=options)
        async with new_session(settings) as session:
            provider = build_provider(ProviderConfig.model_validate(fields), settings, session)
            whole = await provider.complete(request, timeout_s=10)
            return whole, [chunk async for chunk in provider.stream(request)]

    return asyncio.run(scene())


def called(calls: tuple[ToolCall, ...] | None) -> Called:
    return [(c.id, c.function.name, c.function.arguments) for c in calls or ()]


def put_together(chunks: list[ChatChunk]) -> tuple[str, Called, str | None]:
    """What a caller makes of a stream: its text, its calls, why it ended."""
    text, reason = "", None
    calls: list[list[str]] = []
    for chunk in chunks:
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reason = choice.finish_reason or reason
            for part in choice.delta.tool_calls or ():
                if part.index == len(calls):
                    calls.append([part.id or "", "", ""])
                calls[part.index][1] += (part.function and part.function.name) or ""
                calls[part.index][2] += (part.function and part.function.arguments) or ""
    return text, [(c[0], c[1], c[2]) for c in calls], reason


def without_numbers(calls: Called) -> list[tuple[str, str]]:
    return [(name, json.dumps(json.loads(arguments))) for _, name, arguments in calls]


CHOICES: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {}, ["count", "now"]),
    ({"tool_choice": "required"}, {"tool_choice": {"type": "any"}}, ["count", "now"]),
    ({"tool_choice": "none"}, {"tool_choice": {"type": "none"}}, []),
    (
        {"tool_choice": {"type": "function", "function": {"name": "now"}}},
        {"tool_choice": {"type": "tool", "name": "now"}},
        ["now"],
    ),
    (
        {"parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ["count"],
    ),
]


@pytest.mark.parametrize(("options", "_native", "names"), CHOICES)
def test_openais_sdk_hears_the_same_calls(
    server: ProviderProcess, options: dict[str, Any], _native: Any, names: list[str]
) -> None:
    async def theirs() -> tuple[Any, Any]:
        async with openai.AsyncOpenAI(api_key="k", base_url=server.openai_url, max_retries=0) as sdk:
            asked: dict[str, Any] = {"model": "m-1", "messages": [HI], "tools": TOOLS, **options}
            whole = await sdk.chat.completions.create(**asked)
            async with sdk.chat.completions.stream(**asked) as stream:
                return whole.choices[0], (await stream.get_final_completion()).choices[0]

    whole, chunks = ask(server, "openai", tools=TOOLS, **options)
    (choice,) = whole.choices
    text, calls, reason = put_together(chunks)
    assert [name for _, name, _ in calls] == names
    for their in asyncio.run(theirs()):
        said = [(c.id, c.function.name, c.function.arguments) for c in their.message.tool_calls or ()]
        assert without_numbers(called(choice.message.tool_calls)) == without_numbers(calls) == without_numbers(said)
        assert choice.finish_reason == reason == their.finish_reason
        assert (choice.message.content or "", text) == (their.message.content or "",) * 2


@pytest.mark.parametrize(("options", "native", "names"), CHOICES)
def test_anthropics_sdk_hears_the_same_calls(
    server: ProviderProcess, options: dict[str, Any], native: dict[str, Any], names: list[str]
) -> None:
    async def theirs() -> tuple[Any, Any]:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as sdk:
            asked: dict[str, Any] = {
                "model": "m-1",
                "max_tokens": 99,
                "messages": [HI],
                "tools": TOOLS_NATIVE,
                **native,
            }
            async with sdk.messages.stream(**asked) as stream:
                return await sdk.messages.create(**asked), await stream.get_final_message()

    whole, chunks = ask(server, "anthropic", tools=TOOLS, **options)
    (choice,) = whole.choices
    text, calls, reason = put_together(chunks)
    assert [name for _, name, _ in calls] == names
    assert reason == choice.finish_reason == ("tool_calls" if names else "stop")
    for their in asyncio.run(theirs()):
        said = [(b.id, b.name, json.dumps(b.input)) for b in their.content if b.type == "tool_use"]
        assert without_numbers(called(choice.message.tool_calls)) == without_numbers(calls) == without_numbers(said)
        words = "".join(b.text for b in their.content if b.type == "text")
        assert (choice.message.content or "", text) == (words, words)
        assert whole.usage.completion_tokens == their.usage.output_tokens


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_goes_on_with_the_results_of_its_calls(server: ProviderProcess, wire: str) -> None:
    (first,) = ask(server, wire, tools=TOOLS)[0].choices
    calls = [
        {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for id, name, arguments in called(first.message.tool_calls)
    ]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "it is so"} for call in calls]
    asked = {"role": "assistant", "content": first.message.content, "tool_calls": calls}
    whole, chunks = ask(server, wire, HI, asked, *results, tools=TOOLS)
    assert whole.choices[0].message.content == "vendor answers as m-1 to 9 words."
    assert whole.choices[0].finish_reason == "stop"
    assert put_together(chunks) == ("vendor answers as m-1 to 9 words.", [], "stop")


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_of_one_vendor_goes_on_at_the_other(server: ProviderProcess, wire: str) -> None:
    (other,) = set(WIRES) - {wire}
    (first,) = ask(server, other, tools=TOOLS, parallel_tool_calls=False)[0].choices
    ((id, name, arguments),) = called(first.message.tool_calls)
    call = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": id, "content": "3"}
    asked = {"role": "assistant", "content": first.message.content, "tool_calls": [call]}
    assert ask(server, wire, HI, asked, result, tools=TOOLS)[0].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("wire", WIRES)
def test_an_answer_in_json_by_its_schema(server: ProviderProcess, wire: str) -> None:
    format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": ANSWER_SCHEMA, "strict": True}}
    whole, chunks = ask(server, wire, response_format=format)
    expected = {"answer": "vendor answers as m-1 to 3 words."}
    assert json.loads(whole.choices[0].message.content or "") == expected
    assert json.loads(put_together(chunks)[0]) == expected


def test_anthropics_sdk_asks_for_json_as_we_do(server: ProviderProcess) -> None:
    async def theirs() -> Any:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as sdk:
            config: Any = {"format": {"type": "json_schema", "schema": ANSWER_SCHEMA}}
            return await sdk.messages.create(model="m-1", max_tokens=99, messages=[HI], output_config=config)  # type: ignore[list-item]

    assert json.loads(asyncio.run(theirs()).content[0].text) == {"answer": "vendor answers as m-1 to 3 words."}


@pytest.mark.parametrize("wire", WIRES)
def test_images_are_taken_by_both(server: ProviderProcess, wire: str) -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://host.invalid/a.png"}},
    ]
    assert ask(server, wire, {"role": "user", "content": parts})[0].choices[0].finish_reason == "stop"


@pytest.mark.parametrize("wire", WIRES)
def test_a_result_without_its_call_is_the_callers_own_error(server: ProviderProcess, wire: str) -> None:
    with pytest.raises(InvalidRequestError, match="tool"):
        ask(server, wire, HI, {"role": "tool", "tool_call_id": "none", "content": "3"}, tools=TOOLS)


def test_the_server_refuses_what_the_later_api_version_has_no_more(server: ProviderProcess) -> None:
    async def theirs() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=server.url, max_retries=0) as sdk:
            with pytest.raises(anthropic.BadRequestError, match="temperature: Extra inputs are not permitted"):
                await sdk.messages.create(model="m", max_tokens=9, messages=[HI], extra_body={"temperature": 0.5})  # type: ignore[list-item]

    asyncio.run(theirs())
