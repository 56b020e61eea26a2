"""Commands on hashes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.sim.redis.resp import OK, Map, Reply
from harness.sim.redis.table import Args, Command, added, need_integer, wrong_arity

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session


def _fields(core: Core, session: Session, key: bytes) -> dict[bytes, bytes]:
    """The hash to read: empty where there is none."""
    return core.db(session).hash(key) or {}


def _grown(core: Core, session: Session, key: bytes) -> dict[bytes, bytes]:
    """The hash to write into: made where there is none."""
    db = core.db(session)
    fields = db.hash(key)
    if fields is None:
        fields = {}
        db.put(key, fields)
    return fields


def _set_pairs(core: Core, session: Session, args: Args, name: str) -> int:
    if len(args) % 2:
        raise wrong_arity(name)
    fields = _grown(core, session, args[1])
    before = len(fields)
    fields.update(zip(args[2::2], args[3::2], strict=True))
    return len(fields) - before


def _hset(core: Core, session: Session, args: Args) -> Reply:
    return _set_pairs(core, session, args, "hset")


def _hmset(core: Core, session: Session, args: Args) -> Reply:
    _set_pairs(core, session, args, "hmset")
    return OK


def _hsetnx(core: Core, session: Session, args: Args) -> Reply:
    if args[2] in _fields(core, session, args[1]):
        return 0
    _grown(core, session, args[1])[args[2]] = args[3]
    return 1


def _hget(core: Core, session: Session, args: Args) -> Reply:
    return _fields(core, session, args[1]).get(args[2])


def _hmget(core: Core, session: Session, args: Args) -> Reply:
    fields = _fields(core, session, args[1])
    return [fields.get(name) for name in args[2:]]


def _hgetall(core: Core, session: Session, args: Args) -> Reply:
    return Map(part for pair in _fields(core, session, args[1]).items() for part in pair)


def _hkeys(core: Core, session: Session, args: Args) -> Reply:
    return list(_fields(core, session, args[1]))


def _hvals(core: Core, session: Session, args: Args) -> Reply:
    return list(_fields(core, session, args[1]).values())


def _hlen(core: Core, session: Session, args: Args) -> Reply:
    return len(_fields(core, session, args[1]))


def _hexists(core: Core, session: Session, args: Args) -> Reply:
    return int(args[2] in _fields(core, session, args[1]))


def _hdel(core: Core, session: Session, args: Args) -> Reply:
    fields = _fields(core, session, args[1])
    removed = sum(fields.pop(name, None) is not None for name in args[2:])
    if not fields:
        core.db(session).delete(args[1])
    return removed


def _hincrby(core: Core, session: Session, args: Args) -> Reply:
    change = need_integer(args[3])
    current = _fields(core, session, args[1]).get(args[2], b"0")
    value = added(need_integer(current, "ERR hash value is not an integer"), change)
    _grown(core, session, args[1])[args[2]] = b"%d" % value
    return value


COMMANDS = (
    Command("hset", -4, _hset),
    Command("hmset", -4, _hmset),
    Command("hsetnx", 4, _hsetnx),
    Command("hget", 3, _hget),
    Command("hmget", -3, _hmget),
    Command("hgetall", 2, _hgetall),
    Command("hkeys", 2, _hkeys),
    Command("hvals", 2, _hvals),
    Command("hlen", 2, _hlen),
    Command("hexists", 3, _hexists),
    Command("hdel", -3, _hdel),
    Command("hincrby", 4, _hincrby),
)
