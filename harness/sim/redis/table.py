"""What a command is: its name, how many arguments it takes, where it may be called, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from harness.sim.redis.resp import Reply, integer
from harness.sim.redis.store import CommandError

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session

Args: TypeAlias = list[bytes]
"""A request: the command's name, then its arguments."""

Handler: TypeAlias = Callable[["Core", "Session", Args], Reply]

SYNTAX = "ERR syntax error"
NOT_AN_INTEGER = "ERR value is not an integer or out of range"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    arity       as Redis counts: with the name; negative: at least
    run         does it; raises CommandError
    scripts     may be called from a script
    subscribed  may be called by a RESP2 connection that is subscribed
    immediate   is done at once inside MULTI, not queued
    subcommands by their upper-case names, where the second word says what to do
    """

    name: str
    arity: int
    run: Handler
    scripts: bool = True
    subscribed: bool = False
    immediate: bool = False
    subcommands: Mapping[bytes, Command] = field(default_factory=dict)

    def takes(self, count: int) -> bool:
        """Whether a request of `count` words is long enough, and not too long."""
        return count == self.arity if self.arity >= 0 else count >= -self.arity


def by_name(commands: tuple[Command, ...]) -> dict[bytes, Command]:
    """Commands by their upper-case names."""
    return {command.name.upper().encode(): command for command in commands}


def container(name: str, commands: tuple[Command, ...], *, scripts: bool = False) -> Command:
    """A command of subcommands (CLIENT ID, CLIENT LIST, …)."""
    full = {
        word: replace(command, name=f"{name}|{command.name}", scripts=scripts)
        for word, command in by_name(commands).items()
    }

    def run(core: Core, session: Session, args: Args) -> Reply:
        raise unknown_subcommand(args)

    return Command(name, -2, run, scripts=scripts, subcommands=full)


def unknown_subcommand(args: Args) -> CommandError:
    """The error for a second word that the first does not know."""
    return CommandError(f"ERR unknown subcommand '{shown(args[1])}'. Try {shown(args[0]).upper()} HELP.")


def wrong_arity(name: str) -> CommandError:
    """The error for too few or too many arguments."""
    return CommandError(f"ERR wrong number of arguments for '{name}' command")


def shown(word: bytes) -> str:
    """A caller's word inside an error text: a C string, and not all of it."""
    return word.partition(b"\0")[0][:128].decode("utf-8", "surrogateescape")


def need_integer(text: bytes, otherwise: str = NOT_AN_INTEGER) -> int:
    """A signed 64-bit integer, or CommandError."""
    value = integer(text)
    if value is None:
        raise CommandError(otherwise)
    return value


def added(value: int, change: int) -> int:
    """Their sum, or CommandError beyond 64 bits."""
    result = value + change
    if not -(2**63) <= result < 2**63:
        raise CommandError("ERR increment or decrement would overflow")
    return result
