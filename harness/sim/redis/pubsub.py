"""Publish and subscribe: at most once, to whoever is subscribed at that moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from harness.sim.redis.glob import matcher
from harness.sim.redis.resp import Push, Reply, Several, encode
from harness.sim.redis.table import Args, Command, container

if TYPE_CHECKING:
    from harness.sim.redis.core import Core
    from harness.sim.redis.session import Session

Audience: TypeAlias = dict[bytes, dict["Session", None]]
"""Who is subscribed, by channel or by pattern, in the order of subscription."""


class Hub:
    """Who hears what."""

    def __init__(self) -> None:
        self.channels: Audience = {}
        self.patterns: Audience = {}

    def forget(self, session: Session) -> None:
        """A client is gone."""
        for name in session.channels:
            _leave(self.channels, name, session)
        for name in session.patterns:
            _leave(self.patterns, name, session)
        session.channels.clear()
        session.patterns.clear()


def publish(core: Core, channel: bytes, message: bytes) -> int:
    """Send a message to whoever is subscribed; to how many."""
    core.stats.published += 1
    heard = _tell(core, list(core.hub.channels.get(channel, ())), Push([b"message", channel, message]))
    for pattern, sessions in list(core.hub.patterns.items()):
        if matcher(pattern)(channel):
            heard += _tell(core, list(sessions), Push([b"pmessage", pattern, channel, message]))
    return heard


def _tell(core: Core, sessions: list[Session], message: Push) -> int:
    encoded: dict[bool, bytes] = {}
    for session in sessions:
        data = encoded.get(session.resp3)
        if data is None:
            data = encoded[session.resp3] = encode(message, session.resp3)
        core.deliver(session, data)
    return len(sessions)


def _leave(audience: Audience, name: bytes, session: Session) -> None:
    audience[name].pop(session)
    if not audience[name]:
        del audience[name]


def _publish(core: Core, session: Session, args: Args) -> Reply:
    return publish(core, args[1], args[2])


def _subscribe(core: Core, session: Session, args: Args) -> Reply:
    told = Several()
    for name in args[1:]:
        session.channels[name] = None
        core.hub.channels.setdefault(name, {})[session] = None
        told.append(Push([b"subscribe", name, session.subscriptions]))
    return told


def _psubscribe(core: Core, session: Session, args: Args) -> Reply:
    told = Several()
    for pattern in args[1:]:
        session.patterns[pattern] = None
        core.hub.patterns.setdefault(pattern, {})[session] = None
        told.append(Push([b"psubscribe", pattern, session.subscriptions]))
    return told


def _unsubscribe(core: Core, session: Session, args: Args) -> Reply:
    return _left(b"unsubscribe", session, session.channels, core.hub.channels, args[1:])


def _punsubscribe(core: Core, session: Session, args: Args) -> Reply:
    return _left(b"punsubscribe", session, session.patterns, core.hub.patterns, args[1:])


def _left(verb: bytes, session: Session, mine: dict[bytes, None], audience: Audience, names: Args) -> Reply:
    """Without names: from all, or a word that there were none."""
    told = Several()
    for name in names or list(mine):
        if name in mine:
            del mine[name]
            _leave(audience, name, session)
        told.append(Push([verb, name, session.subscriptions]))
    return told or Push([verb, None, session.subscriptions])


def _channels(core: Core, session: Session, args: Args) -> Reply:
    matches = matcher(args[2] if len(args) > 2 else b"*")
    return [name for name in core.hub.channels if matches(name)]


def _numsub(core: Core, session: Session, args: Args) -> Reply:
    counts: list[Reply] = []
    for name in args[2:]:
        counts += [name, len(core.hub.channels.get(name, ()))]
    return counts


def _numpat(core: Core, session: Session, args: Args) -> Reply:
    return len(core.hub.patterns)


COMMANDS = (
    Command("publish", 3, _publish),
    Command("subscribe", -2, _subscribe, scripts=False, subscribed=True),
    Command("unsubscribe", -1, _unsubscribe, scripts=False, subscribed=True),
    Command("psubscribe", -2, _psubscribe, scripts=False, subscribed=True),
    Command("punsubscribe", -1, _punsubscribe, scripts=False, subscribed=True),
    container(
        "pubsub",
        (Command("channels", -2, _channels), Command("numsub", -2, _numsub), Command("numpat", 2, _numpat)),
        scripts=True,
    ),
)
