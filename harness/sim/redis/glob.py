"""Redis' patterns of keys and channels: * ? [abc] [^a-c] and \\ for the thing itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=256)
def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    """A test of whether a whole name matches."""
    compiled = re.compile(_translated(pattern), re.DOTALL)
    return lambda name: compiled.fullmatch(name) is not None


def _translated(pattern: bytes) -> bytes:
    out, i = b"", 0
    while i < len(pattern):
        char = pattern[i : i + 1]
        i += 1
        if char == b"*":
            out += b".*"
        elif char == b"?":
            out += b"."
        elif char == b"[":
            body, i = _class(pattern, i)
            out += body
        else:
            if char == b"\\" and i < len(pattern):
                char = pattern[i : i + 1]
                i += 1
            out += re.escape(char)
    return out


def _class(pattern: bytes, i: int) -> tuple[bytes, int]:
    """A character class that begins after its bracket; one that is never closed goes to the end, as Redis has it."""
    negated = pattern[i : i + 1] == b"^"
    i += negated
    ranges = b""
    while i < len(pattern) and pattern[i : i + 1] != b"]":
        if pattern[i : i + 1] == b"\\" and i + 1 < len(pattern):
            ranges += re.escape(pattern[i + 1 : i + 2])
            i += 2
        elif pattern[i + 1 : i + 2] == b"-" and i + 2 < len(pattern):
            low, high = sorted((pattern[i : i + 1], pattern[i + 2 : i + 3]))
            ranges += re.escape(low) + b"-" + re.escape(high)
            i += 3
        else:
            ranges += re.escape(pattern[i : i + 1])
            i += 1
    if not ranges:
        return (b"." if negated else b"(?!)"), i + 1
    return (b"[^" if negated else b"[") + ranges + b"]", i + 1
