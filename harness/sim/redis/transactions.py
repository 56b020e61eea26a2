"""MULTI, EXEC and DISCARD: commands that are done together. (WATCH is not simulated.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.sim.redis.resp import OK, Failure, Reply
from harness.sim.redis.session import Transaction
from harness.sim.redis.store import CommandError, failure
from harness.sim.redis.table import Args, Command

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session


def _multi(core: Core, session: Session, args: Args) -> Reply:
    if session.transaction is not None:
        raise CommandError("ERR MULTI calls can not be nested")
    session.transaction = Transaction()
    return OK


def _exec(core: Core, session: Session, args: Args) -> Reply:
    transaction, session.transaction = session.transaction, None
    if transaction is None:
        raise CommandError("ERR EXEC without MULTI")
    if transaction.broken:
        return Failure(b"EXECABORT Transaction discarded because of previous errors.")
    return [core.run(command, session, request) for command, request in transaction.queue]


def _discard(core: Core, session: Session, args: Args) -> Reply:
    if session.transaction is None:
        raise CommandError("ERR DISCARD without MULTI")
    session.transaction = None
    return OK


def refused(session: Session, request: Args, error: CommandError) -> Failure:
    """The answer to a request that cannot be done as it stands; a transaction that it belongs to is broken."""
    if request[0].upper() == b"EXEC":
        session.transaction = None
        return Failure(b"EXECABORT Transaction discarded because of:" + failure(error).removeprefix(b"ERR"))
    if session.transaction is not None:
        session.transaction.broken = True
    return failure(error)


COMMANDS = (
    Command("multi", 1, _multi, scripts=False, immediate=True),
    Command("exec", 1, _exec, scripts=False, immediate=True),
    Command("discard", 1, _discard, scripts=False, immediate=True),
)
