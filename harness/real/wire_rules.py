"""What the fault proxy may be told, and how it is told: JSON lines over its control port."""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal["hold", "drop", "delay", "throttle", "reset", "mute", "deny"]
Toward = Literal["upstream", "worker"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens on the way to one upstream.

    action   hold: bytes wait, in order, until the rule is dropped, and so do new connections (a partition)
             drop: bytes are lost, and with them their connection, which is reset when the rule is dropped
             delay: each chunk arrives `delay_s` later, and up to `spread_s` more, drawn each time, in order
             throttle: so many bytes a second (`rate`), for each direction of each connection
             reset: connections end with a reset, new ones at once
             mute: a `share` of Redis' messages to subscribers is lost
             deny: every command to Redis is answered with `error`
    upstream which; None: every one
    pids     whose connections; None: everybody's
    toward   in which direction; None: both. New connections are held and dropped with those `upstream`
    median   of a log-normal delay besides `delay_s`, by `median_s` and `p99_s`
    """

    upstream: str | None
    action: Action
    pids: tuple[int, ...] | None = None
    toward: Toward | None = None
    delay_s: float = 0.0
    spread_s: float = 0.0
    median_s: float = 0.0
    p99_s: float = 0.0
    rate: float = 0.0
    share: float = 1.0
    error: str = ""


class Listen(msgspec.Struct, frozen=True, tag="listen", tag_field="op"):
    """Relay to a port of 127.0.0.1 under a name; answered with the port to use instead. `redis`: it speaks RESP."""

    upstream: str
    port: int
    redis: bool = False


class Redirect(msgspec.Struct, frozen=True, tag="redirect", tag_field="op"):
    """The upstream is to be found at another port: connections are reset, new ones go there."""

    upstream: str
    port: int


class Put(msgspec.Struct, frozen=True, tag="put", tag_field="op"):
    """Put a rule in effect, or replace it; in effect when it is answered."""

    index: int
    rule: Rule


class Drop(msgspec.Struct, frozen=True, tag="drop", tag_field="op"):
    """End a rule; what it held is on its way when this is answered."""

    index: int


class Count(msgspec.Struct, frozen=True, tag="count", tag_field="op"):
    """How many chunks and connections each rule has affected so far."""


Order = Listen | Redirect | Put | Drop | Count


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to an order: a port, counts, or what went wrong."""

    port: int = 0
    counts: dict[int, int] = {}
    error: str | None = None
