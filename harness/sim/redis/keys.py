"""Commands on keys of any type: existence, deletion, expiry, listing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.sim.redis.glob import matcher
from harness.sim.redis.resp import OK, Reply, Status
from harness.sim.redis.store import CommandError
from harness.sim.redis.table import NOT_AN_INTEGER, SYNTAX, Args, Command, Handler, need_integer, shown

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session


def _del(core: Core, session: Session, args: Args) -> Reply:
    db = core.db(session)
    return sum(db.get(key) is not None and db.delete(key) for key in args[1:])


def _exists(core: Core, session: Session, args: Args) -> Reply:
    db = core.db(session)
    return sum(db.get(key) is not None for key in args[1:])


def _type(core: Core, session: Session, args: Args) -> Reply:
    value = core.db(session).get(args[1])
    return Status(b"none" if value is None else b"hash" if isinstance(value, dict) else b"string")


def _keys(core: Core, session: Session, args: Args) -> Reply:
    matches = matcher(args[1])
    return [key for key in core.db(session) if matches(key)]


def _scan(core: Core, session: Session, args: Args) -> Reply:
    """All keys in one step: whoever scans a simulated store holds few."""
    if re.fullmatch(rb"\d+", args[1]) is None:
        raise CommandError("ERR invalid cursor")
    pattern = b"*"
    options = args[2:]
    while options:
        if len(options) < 2:
            raise CommandError(SYNTAX)
        name, value, *options = options
        if name.upper() == b"MATCH":
            pattern = value
        elif name.upper() != b"COUNT" or need_integer(value) < 1:
            raise CommandError(SYNTAX)
    matches = matcher(pattern)
    return [b"0", [key for key in core.db(session) if matches(key)]]


_EXCLUSIVE = "ERR NX and XX, GT or LT options at the same time are not compatible"


def _expires(name: str, unit_ms: int, *, absolute: bool) -> Command:
    """EXPIRE and its kin: seconds or milliseconds, from now or as a time."""

    def run(core: Core, session: Session, args: Args) -> Reply:
        options = _expire_options(args[3:])
        at_ms = deadline(core, args[2], unit_ms, name, absolute=absolute)
        db = core.db(session)
        if db.get(args[1]) is None or not _agrees(options, db.deadline(args[1]), at_ms):
            return 0
        db.expire_at(args[1], at_ms)
        return 1

    return Command(name, -3, run)


def deadline(core: Core, text: bytes, unit_ms: int, name: str, *, absolute: bool) -> int:
    """The store's time in milliseconds that an expiry means. Raises CommandError."""
    at_ms = need_integer(text) * unit_ms + (0 if absolute else core.now_ms())
    if not -(2**63) <= at_ms < 2**63:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return at_ms


def _expire_options(words: Args) -> frozenset[bytes]:
    options = {word.upper(): word for word in words}
    for option, word in options.items():
        if option not in (b"NX", b"XX", b"GT", b"LT"):
            raise CommandError(f"ERR Unsupported option {shown(word)}")
    if b"NX" in options and len(options) > 1:
        raise CommandError(_EXCLUSIVE)
    if b"GT" in options and b"LT" in options:
        raise CommandError("ERR GT and LT options at the same time are not compatible")
    return frozenset(options)


def _agrees(options: frozenset[bytes], current: int | None, at_ms: int) -> bool:
    if b"NX" in options and current is not None:
        return False
    if b"XX" in options and current is None:
        return False
    if b"GT" in options and (current is None or at_ms <= current):
        return False
    return not (b"LT" in options and current is not None and at_ms >= current)


def _left(unit_ms: int) -> Handler:
    def run(core: Core, session: Session, args: Args) -> Reply:
        db = core.db(session)
        if db.get(args[1]) is None:
            return -2
        at_ms = db.deadline(args[1])
        return -1 if at_ms is None else (max(0, at_ms - core.now_ms()) + unit_ms // 2) // unit_ms

    return run


def _persist(core: Core, session: Session, args: Args) -> Reply:
    db = core.db(session)
    if db.get(args[1]) is None or db.deadline(args[1]) is None:
        return 0
    db.expire_at(args[1], None)
    return 1


def _dbsize(core: Core, session: Session, args: Args) -> Reply:
    return len(core.db(session))


def _flush(name: str, *, everything: bool) -> Command:
    def run(core: Core, session: Session, args: Args) -> Reply:
        if len(args) > 2 or (len(args) == 2 and args[1].upper() not in (b"SYNC", b"ASYNC")):
            raise CommandError(SYNTAX)
        for db in core.databases if everything else (core.db(session),):
            db.clear()
        return OK

    return Command(name, -1, run)


def _select(core: Core, session: Session, args: Args) -> Reply:
    index = need_integer(args[1], NOT_AN_INTEGER)
    if not 0 <= index < len(core.databases):
        raise CommandError("ERR DB index is out of range")
    session.database = index
    return OK


COMMANDS = (
    Command("del", -2, _del),
    Command("unlink", -2, _del),
    Command("exists", -2, _exists),
    Command("type", 2, _type),
    Command("keys", 2, _keys),
    Command("scan", -2, _scan),
    _expires("expire", 1000, absolute=False),
    _expires("pexpire", 1, absolute=False),
    _expires("expireat", 1000, absolute=True),
    _expires("pexpireat", 1, absolute=True),
    Command("ttl", 2, _left(1000)),
    Command("pttl", 2, _left(1)),
    Command("persist", 2, _persist),
    Command("dbsize", 1, _dbsize),
    _flush("flushdb", everything=False),
    _flush("flushall", everything=True),
    Command("select", 2, _select),
)
