"""RESP cut into frames: every byte once, whatever the chunks, and a message told from everything else."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from harness.real.resp_frames import Frames, is_message, words

blobs = st.binary(max_size=40).map(lambda b: b"$%d\r\n%s\r\n" % (len(b), b))
simple = st.one_of(
    st.sampled_from([b"+OK\r\n", b"-ERR no\r\n", b":7\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"_\r\n"]), blobs
)
replies = st.recursive(
    simple,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: b"*%d\r\n" % len(items) + b"".join(items)),
        st.lists(st.tuples(inner, inner), max_size=2).map(
            lambda pairs: b"%%%d\r\n" % len(pairs) + b"".join(a + b for a, b in pairs)
        ),
    ),
    max_leaves=8,
)


@given(st.lists(replies, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_frames_are_what_was_sent_however_it_was_chunked(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(sent)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    frames = Frames()
    cut = [f for a, b in pairwise(edges) for f in frames.feed(stream[a:b])]
    assert cut == sent
    assert frames.rest() == b""


def test_what_is_not_whole_is_kept_and_given_back() -> None:
    frames = Frames()
    assert frames.feed(b"+OK\r\n*2\r\n$1\r\na\r\n") == [b"+OK\r\n"]
    assert frames.rest() == b"*2\r\n$1\r\na\r\n"


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_a_commands_words_are_read(command: list[bytes]) -> None:
    frame = b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in command)
    assert words(frame) == command


def test_messages_are_told_from_replies_that_speak_of_them() -> None:
    assert is_message(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n")
    assert is_message(b">4\r\n$8\r\npmessage\r\n$1\r\np\r\n$1\r\nc\r\n$1\r\nx\r\n")
    assert not is_message(b"*3\r\n$9\r\nsubscribe\r\n$7\r\nmessage\r\n:1\r\n")
    assert not is_message(b"$7\r\nmessage\r\n")
