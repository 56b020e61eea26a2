"""Whatever JSON a vendor's stream holds, it is told or refused, and never anything else; and it adds up."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.chat import ChatChunk
from flexiai.providers import anthropic_answer, openai_answer

ANSWERS = {
    "openai": (openai_answer.Pieces, msgspec.json.Decoder(openai_answer.Chunk)),
    "anthropic": (anthropic_answer.Pieces, msgspec.json.Decoder(anthropic_answer.Event)),
}
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4)
JSON = st.recursive(
    VALUES | st.sampled_from(["text", "tool_use", "text_delta", "input_json_delta", "end_turn", "stop", {}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "id", "index", "name", "input", "role", "content", "refusal", "tool_calls", "function", "arguments", "delta", "finish_reason", "stop_reason", "partial_json", "usage", "output_tokens"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KINDS = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "x"]
)
ODD = {
    "openai": st.fixed_dictionaries({}, optional={"id": JSON, "model": JSON, "created": JSON, "choices": JSON | st.lists(JSON, max_size=2), "usage": JSON}),
    "anthropic": st.fixed_dictionaries({"type": KINDS}, optional={"index": JSON, "content_block": JSON, "delta": JSON, "usage": JSON, "message": JSON}),
}  # fmt: skip


def told(wire: str, events: list[Any], separate_usage: bool = False) -> list[ChatChunk]:
    """The chunks of these events, those that are not in the format skipped."""
    kind, decoder = ANSWERS[wire]
    pieces, chunks = kind("p", separate_usage), []
    for event in events:
        said: Any = None
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            said = decoder.decode(event if isinstance(event, bytes) else json.dumps(event).encode())
        if said is not None:
            chunks += list(pieces.add(said))
    return chunks


@pytest.mark.parametrize("wire", ANSWERS)
@given(data=st.data(), separate_usage=st.booleans())
def test_no_json_however_odd_breaks_a_stream_otherwise_than_by_its_format(
    wire: str, data: st.DataObject, separate_usage: bool
) -> None:
    for chunk in told(wire, data.draw(st.lists(ODD[wire], max_size=8)), separate_usage):
        assert msgspec.json.decode(msgspec.json.encode(chunk), type=ChatChunk) == chunk


def test_bytes_that_are_no_text_in_a_calls_input_are_no_answer() -> None:
    start = b'{"type": "content_block_start", "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "\xff"}}}'
    assert told("anthropic", [start]) == []


TEXTS = st.lists(st.text(min_size=1, max_size=5), max_size=6)
CALLS = st.lists(st.tuples(st.text(min_size=1, max_size=5), st.lists(st.text(max_size=4), max_size=4)), max_size=3)


@given(TEXTS, CALLS, st.booleans())
def test_both_vendors_streams_of_one_answer_are_the_same_chunks(
    words: list[str], calls: list[tuple[str, list[str]]], separate_usage: bool
) -> None:
    first = {"role": "assistant", "content": ""}
    openai: list[Any] = [_part(first), *(_part({"content": word}) for word in words)]
    anthropic: list[Any] = [
        {"type": "message_start", "message": {"id": "i", "model": "m", "usage": {"input_tokens": 3}}}
    ]
    anthropic += [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}} for word in words]
    for at, (name, pieces) in enumerate(calls):
        begun = {"index": at, "id": f"c{at}", "type": "function", "function": {"name": name, "arguments": ""}}
        told_pieces = [p for p in pieces if p] or ["{}"]
        openai += [_part({"tool_calls": [begun]})]
        openai += [_part({"tool_calls": [{"index": at, "function": {"arguments": p}}]}) for p in told_pieces]
        block = {"type": "tool_use", "id": f"c{at}", "name": name, "input": {}}
        anthropic += [{"type": "content_block_start", "index": at + 1, "content_block": block}]
        deltas = [{"type": "input_json_delta", "partial_json": p} for p in pieces]
        anthropic += [{"type": "content_block_delta", "index": at + 1, "delta": d} for d in deltas]
        anthropic += [{"type": "content_block_stop", "index": at + 1}]
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    openai += [_part({}, "stop"), {"id": "i", "model": "m", "choices": [], "usage": usage}]
    anthropic += [{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}]
    pieces_of_openai = openai_answer.Pieces("p", separate_usage)
    chunks = [c for e in openai for c in pieces_of_openai.add(msgspec.convert(e, openai_answer.Chunk))]
    chunks += pieces_of_openai.rest()
    assert pieces_of_openai.complete
    assert chunks == told("anthropic", anthropic, separate_usage)


def _part(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
