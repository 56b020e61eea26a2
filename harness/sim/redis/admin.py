"""Commands about the server: its time, its counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.sim.redis.resp import Reply
from harness.sim.redis.table import Args, Command

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session


def _time(core: Core, session: Session, args: Args) -> Reply:
    seconds, micros = divmod(core.now_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % micros]


def _info(core: Core, session: Session, args: Args) -> Reply:
    wanted = [word.lower() for word in args[1:]] or [b"default"]
    every = any(word in (b"default", b"all", b"everything") for word in wanted)
    sections = [_section(core, name) for name in _SECTIONS if every or name.encode() in wanted]
    return "\r\n".join(sections).encode()


def _section(core: Core, name: str) -> str:
    lines = "".join(f"{key}:{value}\r\n" for key, value in _SECTIONS[name](core).items())
    return f"# {name.capitalize()}\r\n{lines}"


def _server(core: Core) -> dict[str, object]:
    version, mode = core.version.decode(), "standalone"
    uptime_s = int(core.now() - core.started_at)
    return {"redis_version": version, "redis_mode": mode, "run_id": core.run_id, "uptime_in_seconds": uptime_s}


def _clients(core: Core) -> dict[str, object]:
    return {"connected_clients": len(core.sessions)}


def _stats(core: Core) -> dict[str, object]:
    return {
        "total_connections_received": core.stats.connections,
        "total_commands_processed": core.stats.commands,
        "pubsub_channels": len(core.hub.channels),
        "pubsub_patterns": len(core.hub.patterns),
    }


def _replication(core: Core) -> dict[str, object]:
    return {"role": "master", "connected_slaves": 0}


def _commandstats(core: Core) -> dict[str, object]:
    return {f"cmdstat_{name}": f"calls={calls}" for name, calls in core.stats.calls.items()}


def _keyspace(core: Core) -> dict[str, object]:
    return {
        f"db{number}": f"keys={len(db)},expires={db.expiring()},avg_ttl=0"
        for number, db in enumerate(core.databases)
        if len(db)
    }


_SECTIONS = {
    "server": _server,
    "clients": _clients,
    "stats": _stats,
    "replication": _replication,
    "commandstats": _commandstats,
    "keyspace": _keyspace,
}

COMMANDS = (Command("time", 1, _time), Command("info", -1, _info))
