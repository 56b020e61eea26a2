"""Server-sent events, as a stream of bytes and as the events in it. Pure: no I/O, no clock.

Rules (those of the HTML standard, section 9.2.6, as far as the vendors' streams need them)
-----
* A line ends with CR, LF or CRLF, wherever the bytes were cut; a byte order mark before the first is skipped.
* An empty line ends an event. An event without data (a comment, a ping without data) is none.
* Several `data` lines are one text, joined by LF. Names other than `event` and `data` are skipped.
* What the last empty line did not end is not an event: a stream that breaks off says nothing by its last bytes.
* Data stays bytes: whoever decodes it judges its encoding, and no character is ever cut in two.
* However the same bytes are cut, the same events come out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_EVENT = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_line_end = re.compile(rb"\r\n|\n|\r")


class EventTooLarge(Exception):
    """An event, or a line, beyond the bound."""


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """An event: its name (empty if it has none) and its data."""

    name: bytes
    data: bytes


class EventParser:
    """Finds the events in bytes as they come, none of which may have more than `limit` bytes."""

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self._limit = limit
        self._begun = bytearray()  # a line whose end has not come yet
        self._after_cr = False
        self._first = True
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> Iterator[ServerEvent]:
        """The events that `data` completes; EventTooLarge, after those before it, at one beyond the limit.

        To be exhausted before it is fed again.
        """
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if not data:
            return
        self._after_cr = data.endswith(b"\r")
        *lines, rest = _line_end.split(data)
        for line in lines:
            event = self._ended(self._whole(line))
            if event is not None:
                yield event
        self._begun += rest
        self._bound(len(self._begun))

    def _whole(self, line: bytes) -> bytes:
        """A line that has ended, with what came before of it."""
        if self._begun:
            line = bytes(self._begun + line)
            self._begun.clear()
        if self._first:
            line = line.removeprefix(_BOM)
            self._first = False
        return line

    def _ended(self, line: bytes) -> ServerEvent | None:
        """What a line completes."""
        if not line:
            return self._dispatched()
        self._bound(len(line))
        field, _, value = line.partition(b":")
        if field == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
        elif field == b"event":
            self._name = value.removeprefix(b" ")
        return None

    def _dispatched(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = b"", [], 0
        return ServerEvent(name, data[0] if len(data) == 1 else b"\n".join(data)) if any(data) else None

    def _bound(self, more: int) -> None:
        if self._size + more > self._limit:
            raise EventTooLarge(f"an event of more than {self._limit} bytes")
