"""EVAL: the production's own Lua, run by Lua 5.1 with the surroundings that Redis gives it.

Rules
-----
* One Lua per thread serves all simulated servers in turn, since a new one costs more than a hundred scripts: what a
  script may write to lives as long as its run. A script is compiled once and known by its SHA-1, each server knowing
  its own.
* Scripts see redis.call and its kin, cjson, and Lua's own functions that touch nothing outside; not chance.
* Inside a script the time stands still and nothing else is served: a script is one step.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lupa import lua51

from harness.sim.redis.resp import OK, Encoded, Failure, Reply, Status
from harness.sim.redis.store import CommandError
from harness.sim.redis.table import Args, Command, container, need_integer

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session


MOST_COMPILED = 500
"""Scripts kept compiled; those of a test that makes them up are thrown away."""

_OF_THREAD = threading.local()


class Scripts:
    """The scripts that a server knows."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._known: dict[bytes, Any] = {}
        self.session: Session | None = None  # whose script runs

    def __contains__(self, sha: bytes) -> bool:
        return sha.lower() in self._known

    def load(self, text: bytes) -> bytes:
        """Compile a script; its SHA-1. Raises CommandError."""
        sha = _sha1hex(text)
        if sha not in self._known:
            self._known[sha] = _lua().compile(text, sha)
        return sha

    def run(self, sha: bytes, session: Session, keys: int, words: Args) -> Reply:
        """Run a known script; its reply. Raises CommandError for an unknown one."""
        script = self._known.get(sha)
        if script is None:
            raise CommandError("NOSCRIPT No matching script. Please use EVAL.")
        self._core.stats.scripts += 1
        self.session = session
        null = b"_\r\n" if session.resp3 else b"$-1\r\n"
        lua = _lua()
        lua.call = self.call
        try:
            return lua.run(script, sha, keys, words, null)
        finally:
            lua.call = None  # or it would keep the whole simulation alive

    def clear(self) -> None:
        """Forget them."""
        self._known.clear()

    def call(self, request: Args) -> Reply:
        """A command that the running script calls."""
        core, session = self._core, self.session
        assert session is not None, "a script runs for somebody"  # noqa: S101  (only Lua calls this)
        command = core.find(request)
        if command is None:
            return Failure(b"ERR Unknown Redis command called from script")
        if not command.takes(len(request)):
            return Failure(b"ERR Wrong number of args calling Redis command from script")
        if not command.scripts:
            return Failure(b"ERR This Redis command is not allowed from script")
        return core.run(command, session, request)


class Lua:
    """The Lua machine, and the values on their way into and out of it."""

    def __init__(self) -> None:
        self.call: Callable[[Args], Reply] | None = None  # does the commands that the running script calls
        self._compiled: dict[bytes, Any] = {}
        runtime = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
        self._table = runtime.eval(b"function(...) return {...} end")
        self._status = runtime.eval(b"function(text) return {ok = text} end")
        self._failure = runtime.eval(b"function(text) return {err = text} end")
        cjson = runtime.execute(_text("cjson.lua"))
        house = runtime.execute(_text("scripting.lua"), self._invoke, _sha1hex, cjson)
        self._compile, self._run = house[b"compile"], house[b"run"]

    def compile(self, text: bytes, sha: bytes) -> Any:
        """A script as a Lua function. Raises CommandError."""
        if sha in self._compiled:
            return self._compiled[sha]
        compiled = self._compile(text, sha)
        if isinstance(compiled, tuple):
            raise CommandError(f"ERR Error compiling script (new function): {compiled[1].decode(errors='replace')}")
        if len(self._compiled) >= MOST_COMPILED:
            self._compiled.clear()
        self._compiled[sha] = compiled
        return compiled

    def run(self, script: Any, sha: bytes, keys: int, words: Args, null: bytes) -> Encoded:
        """The script's reply."""
        return Encoded(self._run(script, sha, null, keys, *words))

    def _invoke(self, *words: object) -> object:
        """What redis.call does."""
        if not words:
            return self._failure(b"ERR Please specify at least one argument for this redis lib call")
        request = [word if type(word) is bytes else _word(word) for word in words]
        if None in request:
            return self._failure(b"ERR Lua redis lib command arguments must be strings or integers")
        assert self.call is not None, "a script runs for somebody"  # noqa: S101  (only Lua calls this)
        return self._inward(self.call(request))  # type: ignore[arg-type]  # none of them is None

    def _inward(self, reply: Reply) -> object:
        """A reply as Lua sees it: no value is false, a status and an error are tables."""
        if reply is None:
            return False
        if isinstance(reply, Status):
            return self._status(bytes(reply))
        if isinstance(reply, Failure):
            return self._failure(bytes(reply))
        if isinstance(reply, list):
            return self._table(*[self._inward(item) for item in reply])
        return reply


def _lua() -> Lua:
    """This thread's Lua."""
    found: Lua | None = getattr(_OF_THREAD, "lua", None)
    if found is None:
        found = _OF_THREAD.lua = Lua()
    return found


def _word(word: object) -> bytes | None:
    """A number as redis.call writes it into a command; None for what it does not take."""
    if isinstance(word, (int, float)) and not isinstance(word, bool):
        return b"%.17g" % word
    return None


def _sha1hex(text: bytes = b"") -> bytes:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest().encode()


def _text(name: str) -> bytes:
    return files("harness.sim.redis").joinpath(name).read_bytes()


def _eval(core: Core, session: Session, args: Args) -> Reply:
    keys = _key_count(args)
    return core.scripts.run(core.scripts.load(args[1]), session, keys, args[3:])


def _evalsha(core: Core, session: Session, args: Args) -> Reply:
    keys = _key_count(args)
    return core.scripts.run(args[1].lower(), session, keys, args[3:])


def _key_count(args: Args) -> int:
    count = need_integer(args[2])
    if count > len(args) - 3:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    if count < 0:
        raise CommandError("ERR Number of keys can't be negative")
    return count


def _load(core: Core, session: Session, args: Args) -> Reply:
    return core.scripts.load(args[2])


def _exists(core: Core, session: Session, args: Args) -> Reply:
    return [int(sha in core.scripts) for sha in args[2:]]


def _flush(core: Core, session: Session, args: Args) -> Reply:
    if len(args) > 3 or (len(args) == 3 and args[2].upper() not in (b"SYNC", b"ASYNC")):
        raise CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option")
    core.scripts.clear()
    return OK


COMMANDS = (
    Command("eval", -3, _eval, scripts=False),
    Command("evalsha", -3, _evalsha, scripts=False),
    container(
        "script",
        (Command("load", 3, _load), Command("exists", -3, _exists), Command("flush", -2, _flush)),
    ),
)
