"""Commands about the connection itself: who it is, how it speaks, whether it lives."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from harness.sim.redis.resp import OK, Map, Reply, Status, integer
from harness.sim.redis.store import CommandError
from harness.sim.redis.table import SYNTAX, Args, Command, container, need_integer, shown, wrong_arity

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session

_NO_AUTH = (
    "ERR AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
_WRONG_PASSWORD = "WRONGPASS invalid username-password pair or user is disabled."  # noqa: S105  (the real server's text)
_BAD_NAME = "ERR Client names cannot contain spaces, newlines or special characters."
_KINDS = (b"normal", b"master", b"replica", b"slave", b"pubsub")


def _ping(core: Core, session: Session, args: Args) -> Reply:
    if len(args) > 2:
        raise wrong_arity("ping")
    if session.subscriptions and not session.resp3:
        return [b"pong", args[1] if len(args) == 2 else b""]
    return args[1] if len(args) == 2 else Status(b"PONG")


def _echo(core: Core, session: Session, args: Args) -> Reply:
    return args[1]


def _quit(core: Core, session: Session, args: Args) -> Reply:
    session.leaving = True
    return OK


def _auth(core: Core, session: Session, args: Args) -> Reply:
    if len(args) > 3:
        raise CommandError(SYNTAX)
    if len(args) == 2 and core.password is None:
        raise CommandError(_NO_AUTH)
    _authenticate(core, session, args[1] if len(args) == 3 else b"default", args[-1])
    return OK


def _authenticate(core: Core, session: Session, user: bytes, password: bytes) -> None:
    if user != b"default" or core.password not in (None, password):
        raise CommandError(_WRONG_PASSWORD)
    session.authenticated = True


def _hello(core: Core, session: Session, args: Args) -> Reply:
    version = integer(args[1]) if len(args) > 1 else 2 + session.resp3
    if version is None:
        raise CommandError("ERR Protocol version is not an integer or out of range")
    if version not in (2, 3):
        raise CommandError("NOPROTO unsupported protocol version")
    _hello_options(core, session, args[2:])
    if core.password is not None and not session.authenticated:
        raise CommandError(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
            "<user> <pass> option can be used to authenticate the client and select the RESP protocol version "
            "at the same time"
        )
    session.resp3 = version == 3
    about: list[Reply] = [b"server", b"redis", b"version", core.version, b"proto", version, b"id", session.id]
    return Map([*about, b"mode", b"standalone", b"role", b"master", b"modules", []])


def _hello_options(core: Core, session: Session, words: Args) -> None:
    while words:
        option = words[0].upper()
        if option == b"AUTH" and len(words) >= 3:
            _authenticate(core, session, words[1], words[2])
            words = words[3:]
        elif option == b"SETNAME" and len(words) >= 2:
            _name(session, words[1])
            words = words[2:]
        else:
            raise CommandError(f"ERR Syntax error in HELLO option '{shown(words[0])}'")


def _name(session: Session, name: bytes) -> None:
    if re.fullmatch(rb"[!-~]*", name) is None:
        raise CommandError(_BAD_NAME)
    session.name = name


def _setname(core: Core, session: Session, args: Args) -> Reply:
    _name(session, args[2])
    return OK


def _getname(core: Core, session: Session, args: Args) -> Reply:
    return session.name or None


def _setinfo(core: Core, session: Session, args: Args) -> Reply:
    if args[2].upper() not in (b"LIB-NAME", b"LIB-VER"):
        raise CommandError(f"ERR Unrecognized option '{shown(args[2])}'")
    return OK


def _id(core: Core, session: Session, args: Args) -> Reply:
    return session.id


def _list(core: Core, session: Session, args: Args) -> Reply:
    chosen = list(core.sessions)
    if len(args) > 2:
        if len(args) != 4 or args[2].upper() != b"TYPE":
            raise CommandError(SYNTAX)
        chosen = _of_kind(core, args[3])
    return b"".join(_line(core, each) for each in chosen)


def _line(core: Core, session: Session) -> bytes:
    flags = b"P" if session.subscriptions and not session.resp3 else b"N"
    return b"id=%d addr=%b name=%b flags=%b db=%d sub=%d psub=%d multi=%d omem=%d resp=%d\n" % (
        session.id,
        session.wire.peer.encode(),
        session.name,
        flags,
        session.database,
        len(session.channels),
        len(session.patterns),
        len(session.transaction.queue) if session.transaction else -1,
        session.wire.unsent,
        2 + session.resp3,
    )


def _of_kind(core: Core, kind: bytes) -> list[Session]:
    kind = kind.lower()
    if kind not in _KINDS:
        raise CommandError(f"ERR Unknown client type '{shown(kind)}'")
    if kind not in (b"normal", b"pubsub"):
        return []
    return [each for each in core.sessions if bool(each.subscriptions) == (kind == b"pubsub")]


def _kill(core: Core, session: Session, args: Args) -> Reply:
    if len(args) == 3:
        raise CommandError("ERR No such client")
    chosen, words = list(core.sessions), args[2:]
    while words:
        if len(words) < 2 or words[0].upper() not in (b"TYPE", b"ID"):
            raise CommandError(SYNTAX)
        if words[0].upper() == b"TYPE":
            kind = _of_kind(core, words[1])
            chosen = [each for each in chosen if each in kind]
        else:
            number = need_integer(words[1], "ERR client-id should be greater than 0")
            chosen = [each for each in chosen if each.id == number]
        words = words[2:]
    chosen = [each for each in chosen if each is not session]  # SKIPME is yes by default
    for each in chosen:
        core.disconnect(each)
    return len(chosen)


COMMANDS = (
    Command("ping", -1, _ping, subscribed=True),
    Command("echo", 2, _echo),
    Command("quit", -1, _quit, scripts=False, subscribed=True, immediate=True),
    Command("auth", -2, _auth, scripts=False),
    Command("hello", -1, _hello, scripts=False),
    container(
        "client",
        (
            Command("id", 2, _id),
            Command("list", -2, _list),
            Command("kill", -3, _kill),
            Command("setname", 3, _setname),
            Command("getname", 2, _getname),
            Command("setinfo", 4, _setinfo),
        ),
    ),
)
