"""Cutting a stream of RESP into its frames: just enough to lose a message, or to answer a command in Redis' stead."""

from __future__ import annotations

_AGGREGATES = {b"*": 1, b">": 1, b"~": 1, b"%": 2}
_BLOBS = (b"$", b"=", b"!")
_MESSAGES = (b"$7\r\nmessage\r\n", b"$8\r\npmessage\r\n")


class Frames:
    """One direction of a connection."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The whole frames that these bytes complete; the rest is kept."""
        buffer = self._kept + data
        frames, at = [], 0
        while (end := _end(buffer, at)) is not None:
            frames.append(buffer[at:end])
            at = end
        self._kept = buffer[at:]
        return frames

    def rest(self) -> bytes:
        """What is kept, and is not whole."""
        kept, self._kept = self._kept, b""
        return kept


def _end(buffer: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends; None if that has not come yet."""
    left = 1
    while left:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return None
        kind, number = buffer[at : at + 1], buffer[at + 1 : line_end]
        at = line_end + 2
        left -= 1
        if kind in _AGGREGATES and number != b"-1":
            left += int(number) * _AGGREGATES[kind]
        elif kind in _BLOBS and number != b"-1":
            at += int(number) + 2
    return at if at <= len(buffer) else None


def words(frame: bytes) -> list[bytes]:
    """The strings of a flat array: a command with its arguments, or a message; of anything else none."""
    if frame[:1] not in (b"*", b">"):
        return []
    parts, at = [], frame.find(b"\r\n") + 2
    while at < len(frame) and frame[at : at + 1] == b"$":
        line_end = frame.find(b"\r\n", at)
        size = max(0, int(frame[at + 1 : line_end]))
        parts.append(frame[line_end + 2 : line_end + 2 + size])
        at = line_end + 4 + size
    return parts


def is_message(frame: bytes) -> bool:
    """Whether it is a published message on its way to a subscriber."""
    return frame[:1] in (b"*", b">") and frame.partition(b"\r\n")[2].startswith(_MESSAGES)
