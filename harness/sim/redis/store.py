"""What a Redis holds: databases of keys, some of which expire.

A key whose time is over is gone for whoever looks (it is removed then; nothing runs in the background).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from harness.sim.redis.resp import Failure

Value: TypeAlias = bytes | dict[bytes, bytes]

WRONG_TYPE = "WRONGTYPE Operation against a key holding the wrong kind of value"


class CommandError(Exception):
    """A command cannot be done; the text is the error reply, its code first."""


def failure(error: CommandError) -> Failure:
    """A command's error as a reply."""
    return Failure(str(error).encode("utf-8", "surrogateescape").replace(b"\r", b" ").replace(b"\n", b" "))


class Database:
    """One numbered database. `now_ms`: the store's time in milliseconds."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._values: dict[bytes, Value] = {}
        self._deadlines: dict[bytes, int] = {}

    def get(self, key: bytes) -> Value | None:
        """What the key holds, of whatever type."""
        if key in self._deadlines and self._now_ms() > self._deadlines[key]:
            self.delete(key)
            return None
        return self._values.get(key)

    def string(self, key: bytes) -> bytes | None:
        """The string that the key holds. Raises CommandError for another type."""
        value = self.get(key)
        if isinstance(value, dict):
            raise CommandError(WRONG_TYPE)
        return value

    def hash(self, key: bytes) -> dict[bytes, bytes] | None:
        """The hash that the key holds. Raises CommandError for another type."""
        value = self.get(key)
        if isinstance(value, bytes):
            raise CommandError(WRONG_TYPE)
        return value

    def put(self, key: bytes, value: Value, *, keep_deadline: bool = False) -> None:
        """Let the key hold a value; its deadline goes unless kept."""
        self._values[key] = value
        if not keep_deadline:
            self._deadlines.pop(key, None)

    def delete(self, key: bytes) -> bool:
        """Remove the key; whether something was there."""
        self._deadlines.pop(key, None)
        return self._values.pop(key, None) is not None

    def deadline(self, key: bytes) -> int | None:
        """The store's time, in milliseconds, after which the key is gone; None: never."""
        return self._deadlines.get(key)

    def expire_at(self, key: bytes, at_ms: int | None) -> None:
        """Set or remove (None) the deadline of a key that exists; one in the past removes the key."""
        if at_ms is None:
            self._deadlines.pop(key, None)
        elif at_ms <= self._now_ms():
            self.delete(key)
        else:
            self._deadlines[key] = at_ms

    def copy(self) -> Database:
        """All it holds now, in a database of its own."""
        twin = Database(self._now_ms)
        twin._values = {key: dict(value) if isinstance(value, dict) else value for key, value in self._values.items()}
        twin._deadlines = dict(self._deadlines)
        return twin

    def differences(self, other: Database) -> int:
        """How many strings, and fields of hashes, this one holds that the other lacks or holds otherwise."""
        return sum(_differences(value, other.get(key)) for key in self if (value := self.get(key)) is not None)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._deadlines.clear()

    def expiring(self) -> int:
        """How many keys have a deadline."""
        return len(self._deadlines)

    def __iter__(self) -> Iterator[bytes]:
        return iter([key for key in list(self._values) if self.get(key) is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _differences(value: Value, other: Value | None) -> int:
    if not isinstance(value, dict):
        return int(value != other)
    held = other if isinstance(other, dict) else {}
    return sum(held.get(field) != content for field, content in value.items())
