"""What the fault proxy may be told, and how it is told: JSON lines over its control port."""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal["hold", "delay", "reset"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens on the way to one upstream.

    action   hold: bytes wait, both ways, in order, until the rule is dropped, and so do new connections (a partition)
             delay: each chunk arrives `delay_s` later, each way, in order
             reset: connections end with a reset, new ones at once
    pids     whose connections; None: everybody's
    """

    upstream: str
    action: Action
    pids: tuple[int, ...] | None = None
    delay_s: float = 0.0


class Listen(msgspec.Struct, frozen=True, tag="listen", tag_field="op"):
    """Relay to a port of 127.0.0.1 under a name; answered with the port to use instead."""

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


Order = Listen | Put | Drop | Count


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to an order: a port, counts, or what went wrong."""

    port: int = 0
    counts: dict[int, int] = {}
    error: str | None = None
