"""Server-sent events are the same however their bytes are cut."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from flexiai.providers.event_stream import EventParser, EventTooLarge, ServerEvent

ENDS = (b"\n", b"\r", b"\r\n")
LINES = st.sampled_from(
    [b"", b"", b"data: a", b"data:b", b"data", b"data:", b"data:  c", "data: é€😀".encode(), b"event: ping", b"event:x",
     b": comment", b":", b"id: 1", b"retry: 10", b"nonsense", b"data: {\"a\": \"b: c\"}", b"\xef\xbb\xbfdata: bom"]
)  # fmt: skip
STREAMS = st.lists(st.tuples(LINES, st.sampled_from(ENDS)), max_size=30).map(lambda ls: b"".join(a + b for a, b in ls))


def parsed(chunks: Sequence[bytes], limit: int = 1000) -> tuple[list[ServerEvent], bool]:
    """The events of a stream, and whether one was too large."""
    parser, events = EventParser(limit), []
    try:
        for chunk in chunks:
            for event in parser.feed(chunk):
                events.append(event)  # noqa: PERF402 - those before a failure count
    except EventTooLarge:
        return events, True
    return events, False


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """`data` cut at these places (taken modulo its length), empty pieces included."""
    at = sorted(p % (len(data) + 1) for p in places)
    return [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)]


@given(STREAMS | st.binary(max_size=200), st.lists(st.integers(0, 10_000), max_size=40), st.integers(1, 60))
def test_the_same_bytes_are_the_same_events_however_they_are_cut(data: bytes, places: list[int], limit: int) -> None:
    whole = parsed([data], limit)
    assert parsed(cut(data, places), limit) == whole
    assert parsed([data[i : i + 1] for i in range(len(data))], limit) == whole


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=20), min_size=1),
        max_size=8,
    ),
    st.sampled_from(ENDS),
    st.lists(st.integers(0, 10_000), max_size=20),
)
def test_what_was_written_is_read(texts: list[list[str]], end: bytes, places: list[int]) -> None:
    stream = b"".join(b"".join(b"data: " + t.encode() + end for t in ts) + end for ts in texts)
    events, _ = parsed(cut(stream, places), 100_000)
    assert [e.data.decode() for e in events] == ["\n".join(ts) for ts in texts if any(ts)]


@given(STREAMS)
def test_openais_own_parser_finds_the_same_data(data: bytes) -> None:
    if b"\xef\xbb\xbf" in data:  # it does not skip a byte order mark
        return
    theirs = [e for e in SSEDecoder().iter_bytes(iter([data])) if e.data.strip("\n")]
    ours, _ = parsed([data])
    assert [(e.name.decode(), e.data.decode()) for e in ours] == [(e.event or "", e.data) for e in theirs]


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (b"data: a\n\n", [(b"", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a")]),
        (b"event: ping\ndata: {}\r\n\r\n", [(b"ping", b"{}")]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb")]),
        (b": keep-alive\n\ndata: a\n\n", [(b"", b"a")]),
        (b"event: lost\n\ndata: a\n\n", [(b"", b"a")]),
        (b"data: a\n\ndata: unfinished\n", [(b"", b"a")]),
        (b"data: a\n\ndata: unfinished", [(b"", b"a")]),
        (b"", []),
    ],
)
def test_the_standards_own_cases(data: bytes, events: list[tuple[bytes, bytes]]) -> None:
    assert parsed([data])[0] == [ServerEvent(*e) for e in events]


@pytest.mark.parametrize("data", [b"data: " + b"x" * 100, b": " + b"x" * 100 + b"\n", b"data: xxxxxxxxx\n" * 10])
def test_an_event_beyond_the_bound_is_not_kept(data: bytes) -> None:
    assert parsed([b"data: a\n\n", data], limit=50) == ([ServerEvent(b"", b"a")], True)
    assert parsed([b"data: a\n\n", data], limit=200)[1] is False
