"""RESP: requests come out of bytes however these are cut, and what is no RESP ends the connection."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sim.redis.resp import (
    Failure,
    Map,
    NullArray,
    ProtocolError,
    Push,
    Requests,
    Several,
    Status,
    encode,
    split_inline,
)
from tests.contracts.redis_twins import command

REQUESTS = st.lists(st.lists(st.binary(max_size=20), min_size=1, max_size=5), max_size=5)


def drained(requests: Requests) -> list[list[bytes]]:
    return list(iter(requests.next, None))


@given(REQUESTS, st.lists(st.integers(1, 7), min_size=1))
def test_requests_do_not_depend_on_how_their_bytes_are_cut(asked: list[list[bytes]], sizes: list[int]) -> None:
    data = b"".join(command(*words) for words in asked)
    requests, found, position, turn = Requests(), [], 0, 0
    while position < len(data):
        size = sizes[turn % len(sizes)]
        requests.feed(data[position : position + size])
        found += drained(requests)
        position, turn = position + size, turn + 1
    assert found == asked


WORDS = st.binary(max_size=20) | st.lists(st.sampled_from([b"a", b"$1", b"\r\n", b"\r", b""]), max_size=6).map(b"".join)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_a_request_that_comes_whole_may_have_line_ends_in_its_words(words: list[bytes]) -> None:
    requests = Requests()
    requests.feed(command(*words))
    assert drained(requests) == [words]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"GET a", [b"GET", b"a"]),
        (b"  SET  a 'it\\'s' ", [b"SET", b"a", b"it's"]),
        (b'SET a "x y\\n\\x41\\""', [b"SET", b"a", b'x y\nA"']),
        (b'SET a ""', [b"SET", b"a", b""]),
        (b"", []),
    ],
)
def test_an_inline_request_is_words_and_quotes(line: bytes, words: list[bytes]) -> None:
    assert split_inline(line) == words


def test_an_inline_request_ends_with_its_line() -> None:
    requests = Requests()
    requests.feed(b"\r\nPING\r\nECHO x\nGE")
    assert drained(requests) == [[b"PING"], [b"ECHO", b"x"]]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"*x\r\n", "invalid multibulk length"),
        (b"*99999999\r\n", "invalid multibulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "invalid bulk length"),
        (b"*1\r\n$x\r\n", "invalid bulk length"),
        (b'SET "a\r\n', "unbalanced quotes in request"),
        (b"x" * 70_000, "too big inline request"),
    ],
)
def test_what_is_no_resp_is_refused_in_the_real_servers_words(data: bytes, why: str) -> None:
    requests = Requests()
    requests.feed(data)
    with pytest.raises(ProtocolError) as refused:
        requests.next()
    assert refused.value.reply == f"ERR Protocol error: {why}".encode()


def test_replies_in_both_protocols() -> None:
    shapes = [
        (Status(b"OK"), b"+OK\r\n", b"+OK\r\n"),
        (Failure(b"ERR no"), b"-ERR no\r\n", b"-ERR no\r\n"),
        (b"x", b"$1\r\nx\r\n", b"$1\r\nx\r\n"),
        (-3, b":-3\r\n", b":-3\r\n"),
        (None, b"$-1\r\n", b"_\r\n"),
        (NullArray(), b"*-1\r\n", b"_\r\n"),
        ([b"x", [1]], b"*2\r\n$1\r\nx\r\n*1\r\n:1\r\n", b"*2\r\n$1\r\nx\r\n*1\r\n:1\r\n"),
        (Map([b"k", 1]), b"*2\r\n$1\r\nk\r\n:1\r\n", b"%1\r\n$1\r\nk\r\n:1\r\n"),
        (Push([b"k", 1]), b"*2\r\n$1\r\nk\r\n:1\r\n", b">2\r\n$1\r\nk\r\n:1\r\n"),
        (Several([1, 2]), b":1\r\n:2\r\n", b":1\r\n:2\r\n"),
    ]
    assert [(encode(reply), encode(reply, True)) for reply, _, _ in shapes] == [
        (two, three) for _, two, three in shapes
    ]
