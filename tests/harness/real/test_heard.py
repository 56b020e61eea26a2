"""What the load makes of the events of a stream."""

from __future__ import annotations

import pytest

from harness.real.heard import Heard

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n'
PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}],"flexiai":{"provider":"a"}}\n'
CALL = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0}]}}]}\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n'
DONE = b"data: [DONE]\n"


def heard(*lines: bytes) -> Heard:
    stream = Heard(10.0)
    for n, line in enumerate(lines):
        stream.line(line, 10.0 + n)
    return stream


def test_a_whole_stream_is_counted_in_pieces_and_timed_to_the_first() -> None:
    done = heard(ROLE, b"\n", b": a comment\n", PIECE, CALL, USAGE, DONE).done("r", "a", 20.0)
    assert (done.result, done.provider, done.status, done.chunks, done.error) == ("ok", "a", 200, 2, None)
    assert done.first_token_s == 3.0


def test_an_error_event_is_a_clear_end() -> None:
    done = heard(ROLE, PIECE, b'data: {"error":{"message":"it broke"}}\n').done("r", "a", 20.0)
    assert (done.result, done.status, done.chunks) == ("fail", 200, 1)
    assert "it broke" in (done.error or "")


def test_a_stream_that_ends_without_an_end_says_nothing_of_what_became_of_it() -> None:
    assert heard(ROLE, PIECE).done("r", "a", 20.0).result == "info"


@pytest.mark.parametrize("line", [b"data: {\n", b"data: []\n"])
def test_what_is_no_event_is_an_error(line: bytes) -> None:
    assert heard(PIECE, line).done("r", "a", 20.0).result == "fail"
