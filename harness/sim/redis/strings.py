"""Commands on strings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.sim.redis.keys import deadline
from harness.sim.redis.resp import OK, Reply
from harness.sim.redis.store import CommandError
from harness.sim.redis.table import SYNTAX, Args, Command, added, need_integer, wrong_arity

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session


def _get(core: Core, session: Session, args: Args) -> Reply:
    return core.db(session).string(args[1])


def _mget(core: Core, session: Session, args: Args) -> Reply:
    db = core.db(session)
    values = [db.get(key) for key in args[1:]]
    return [value if isinstance(value, bytes) else None for value in values]


def _mset(core: Core, session: Session, args: Args) -> Reply:
    if len(args) % 2 == 0:
        raise wrong_arity("mset")
    for key, value in zip(args[1::2], args[2::2], strict=True):
        core.db(session).put(key, value)
    return OK


@dataclass(slots=True)
class _SetOptions:
    only_new: bool = False
    only_old: bool = False
    get: bool = False
    keep_ttl: bool = False
    expiry: tuple[bytes, bytes] | None = None

    def take(self, words: Args) -> Args:
        """Take one option; the words after it. Raises CommandError."""
        word = words[0].upper()
        if word == b"NX" and not self.only_old:
            self.only_new = True
        elif word == b"XX" and not self.only_new:
            self.only_old = True
        elif word == b"GET":
            self.get = True
        elif word == b"KEEPTTL" and self.expiry is None:
            self.keep_ttl = True
        elif word in _EXPIRIES and self._may_expire(word) and len(words) > 1:
            self.expiry = word, words[1]
            return words[2:]
        else:
            raise CommandError(SYNTAX)
        return words[1:]

    def _may_expire(self, unit: bytes) -> bool:
        """One unit only; said again, the last word counts."""
        return not self.keep_ttl and (self.expiry is None or self.expiry[0] == unit)


_EXPIRIES = {b"EX": (1000, False), b"PX": (1, False), b"EXAT": (1000, True), b"PXAT": (1, True)}


def _set(core: Core, session: Session, args: Args) -> Reply:
    db = core.db(session)
    if len(args) == 3:
        db.put(args[1], args[2])
        return OK
    options, words = _SetOptions(), args[3:]
    while words:
        words = options.take(words)
    at_ms = _until(core, *options.expiry, "set") if options.expiry else None
    before = db.string(args[1]) if options.get else None
    exists = db.get(args[1]) is not None
    if (options.only_new and exists) or (options.only_old and not exists):
        return before if options.get else None
    db.put(args[1], args[2], keep_deadline=options.keep_ttl)
    if at_ms is not None:
        db.expire_at(args[1], at_ms)
    return before if options.get else OK


def _until(core: Core, unit: bytes, text: bytes, name: str) -> int:
    unit_ms, absolute = _EXPIRIES[unit]
    if need_integer(text) <= 0:
        raise CommandError(f"ERR invalid expire time in '{name}' command")
    return deadline(core, text, unit_ms, name, absolute=absolute)


def _setex(name: str, unit: bytes) -> Command:
    def run(core: Core, session: Session, args: Args) -> Reply:
        at_ms = _until(core, unit, args[2], name)
        core.db(session).put(args[1], args[3])
        core.db(session).expire_at(args[1], at_ms)
        return OK

    return Command(name, 4, run)


def _setnx(core: Core, session: Session, args: Args) -> Reply:
    if core.db(session).get(args[1]) is not None:
        return 0
    core.db(session).put(args[1], args[2])
    return 1


def _getdel(core: Core, session: Session, args: Args) -> Reply:
    value = core.db(session).string(args[1])
    core.db(session).delete(args[1])
    return value


def _strlen(core: Core, session: Session, args: Args) -> Reply:
    return len(core.db(session).string(args[1]) or b"")


def _append(core: Core, session: Session, args: Args) -> Reply:
    value = (core.db(session).string(args[1]) or b"") + args[2]
    core.db(session).put(args[1], value, keep_deadline=True)
    return len(value)


def _counts(name: str, arity: int, sign: int) -> Command:
    def run(core: Core, session: Session, args: Args) -> Reply:
        change = sign * (need_integer(args[2]) if arity == 3 else 1)
        if change == 2**63:
            raise CommandError("ERR decrement would overflow")
        db = core.db(session)
        before = db.string(args[1])
        value = added(need_integer(b"0" if before is None else before), change)
        db.put(args[1], b"%d" % value, keep_deadline=True)
        return value

    return Command(name, arity, run)


COMMANDS = (
    Command("get", 2, _get),
    Command("mget", -2, _mget),
    Command("mset", -3, _mset),
    Command("set", -3, _set),
    _setex("setex", b"EX"),
    _setex("psetex", b"PX"),
    Command("setnx", 3, _setnx),
    Command("getdel", 2, _getdel),
    Command("strlen", 2, _strlen),
    Command("append", 3, _append),
    _counts("incr", 2, 1),
    _counts("decr", 2, -1),
    _counts("incrby", 3, 1),
    _counts("decrby", 3, -1),
)
