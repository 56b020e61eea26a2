"""RESP, the wire format of Redis: requests out of bytes, replies into bytes.

Rules
-----
* A request is a list of byte strings, sent as an array of bulk strings or as one line (what one types into telnet).
* A reply is one of the Python values below; a connection speaks RESP2 until HELLO 3.
* What is not RESP ends the connection with the error that the real server gives.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

MAX_INLINE_BYTES = 64 * 1024
MAX_ARGUMENTS = 1024 * 1024
MAX_BULK_BYTES = 512 * 1024 * 1024


class Status(bytes):
    """A simple string, such as OK."""

    __slots__ = ()


class Failure(bytes):
    """An error: its code, a space, what is wrong."""

    __slots__ = ()


class Map(list["Reply"]):
    """Keys and values by turns: an array in RESP2, a map in RESP3."""

    __slots__ = ()


class Push(list["Reply"]):
    """What nobody asked for at that moment: an array in RESP2, a push in RESP3."""

    __slots__ = ()


class Several(list["Reply"]):
    """More than one reply to one request, or none (SUBSCRIBE a b)."""

    __slots__ = ()


class Encoded(bytes):
    """A reply that is RESP already."""

    __slots__ = ()


class NullArray:
    """No array (EXEC that did not run)."""

    __slots__ = ()


Reply: TypeAlias = bytes | int | NullArray | list["Reply"] | None

OK = Status(b"OK")


class ProtocolError(Exception):
    """What came is not RESP; the connection is of no more use. `reply`: what to say before closing it."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.reply = Failure(f"ERR Protocol error: {why}".encode(errors="replace"))


def encode(reply: Reply, resp3: bool = False) -> bytes:
    """The reply's bytes."""
    if isinstance(reply, bytes):
        return _text(reply)
    parts: list[bytes] = []
    _append(parts, reply, resp3)
    return b"".join(parts)


def _append(parts: list[bytes], reply: Reply, resp3: bool) -> None:
    if reply is None:
        parts.append(b"_\r\n" if resp3 else b"$-1\r\n")
    elif isinstance(reply, bytes):
        parts.append(_text(reply))
    elif isinstance(reply, int):
        parts.append(b":%d\r\n" % reply)
    elif isinstance(reply, NullArray):
        parts.append(b"_\r\n" if resp3 else b"*-1\r\n")
    else:
        parts.append(_header(reply, resp3))
        for item in reply:
            _append(parts, item, resp3)


def _text(reply: bytes) -> bytes:
    if isinstance(reply, Status):
        return b"+%b\r\n" % reply
    if isinstance(reply, Failure):
        return b"-%b\r\n" % reply
    if isinstance(reply, Encoded):
        return reply
    return b"$%d\r\n%b\r\n" % (len(reply), reply)


def _header(reply: list[Reply], resp3: bool) -> bytes:
    if isinstance(reply, Several):
        return b""
    if resp3 and isinstance(reply, Map):
        return b"%%%d\r\n" % (len(reply) // 2)
    if resp3 and isinstance(reply, Push):
        return b">%d\r\n" % len(reply)
    return b"*%d\r\n" % len(reply)


@dataclass(slots=True)
class Requests:
    """The requests in a stream of bytes, as they become complete."""

    _buffer: bytes = b""
    _wanted: int = 0  # no request is complete before the buffer is this long

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self._buffer = self._buffer + data if self._buffer else bytes(data)

    def next(self) -> list[bytes] | None:
        """The next complete request, or None. Raises ProtocolError."""
        while self._buffer and len(self._buffer) >= self._wanted:
            parsed = self._multibulk() if self._buffer[0] == ord("*") else self._inline()
            if parsed is None:
                return None
            if parsed:
                return parsed
        return None

    def _inline(self) -> list[bytes] | None:
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            if len(line) > MAX_INLINE_BYTES:
                raise ProtocolError("too big inline request")
            return None
        self._buffer = rest
        return split_inline(line.removesuffix(b"\r"))

    def _multibulk(self) -> list[bytes] | None:
        buffer = self._buffer
        end = buffer.find(b"\r\n")
        if end < 0:
            return None
        count = _length(buffer[1:end], MAX_ARGUMENTS, "invalid multibulk length")
        if (whole := _only_request(buffer, count)) is not None:
            self._buffer, self._wanted = b"", 0
            return whole
        position, request = end + 2, []
        for _ in range(count):
            end = buffer.find(b"\r\n", position)
            if end < 0 and len(buffer) - position < MAX_INLINE_BYTES:
                return None
            if buffer[position] != ord("$"):
                raise ProtocolError(f"expected '$', got '{chr(buffer[position])}'")
            size = _length(buffer[position + 1 : end], MAX_BULK_BYTES, "invalid bulk length", least=0)
            start, position = end + 2, end + size + 4
            if len(buffer) < position:
                self._wanted = position
                return None
            request.append(buffer[start : start + size])
        self._buffer, self._wanted = buffer[position:], 0
        return request


def _only_request(buffer: bytes, count: int) -> list[bytes] | None:
    """The words of a request of `count` words, if it is all there is, and no word has a line end in it. Most are such,
    and are not worth a look at each length."""
    lines = buffer.split(b"\r\n")
    words = lines[2::2]
    if len(lines) != 2 * count + 2 or lines[-1] or [b"$%d" % len(word) for word in words] != lines[1:-1:2]:
        return None
    return words


def _length(text: bytes, most: int, wrong: str, least: int = -(2**31)) -> int:
    value = int(text) if text.isdigit() else integer(text)
    if value is None or not least <= value <= most:
        raise ProtocolError(wrong)
    return value


_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def integer(text: bytes) -> int | None:
    """A signed 64-bit integer as Redis reads it (no spaces, no plus, no leading zeros), or None."""
    if _INTEGER.fullmatch(text) is None:
        return None
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


_WORD = re.compile(
    rb"""\s*(?:
        "(?P<double>(?:[^"\\]|\\.)*)"(?=\s|$)
      | '(?P<single>(?:[^'\\]|\\.)*)'(?=\s|$)
      | (?P<bare>[^\s"']+)(?=\s|$)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}


def split_inline(line: bytes) -> list[bytes]:
    """The words of an inline request, with quotes and escapes. Raises ProtocolError."""
    words, position = [], 0
    while line[position:].strip():
        match = _WORD.match(line, position)
        if match is None:
            raise ProtocolError("unbalanced quotes in request")
        words.append(_unquoted(match))
        position = match.end()
    return words


def _unquoted(match: re.Match[bytes]) -> bytes:
    if match["double"] is not None:
        return _ESCAPE.sub(_unescaped, match["double"])
    if match["single"] is not None:
        return match["single"].replace(b"\\'", b"'")
    return match["bare"]


def _unescaped(match: re.Match[bytes]) -> bytes:
    what = match[1]
    return bytes([int(what[1:], 16)]) if len(what) == 3 else _ESCAPED.get(what, what)
