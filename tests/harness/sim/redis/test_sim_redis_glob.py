"""Redis' patterns."""

from __future__ import annotations

import pytest

from harness.sim.redis.glob import matcher


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        (b"*", b"", True),
        (b"a*c", b"abbc", True),
        (b"a*c", b"abb", False),
        (b"a?c", b"a\nc", True),
        (b"[a-c]x", b"bx", True),
        (b"[c-a]x", b"bx", True),
        (b"[^a-c]x", b"bx", False),
        (b"[^a-c]x", b"dx", True),
        (b"\\*", b"*", True),
        (b"\\*", b"a", False),
        (b"a.b", b"axb", False),
        (b"[]x", b"x", False),
        (b"[\\]]", b"]", True),
    ],
)
def test_patterns(pattern: bytes, name: bytes, matches: bool) -> None:
    assert matcher(pattern)(name) is matches
