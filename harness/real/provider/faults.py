"""What a provider has been told to do wrong, and to how many requests it did.

Rules
-----
* A request is shaped on arrival, by the faults standing then, each with its `share` of the requests drawn at random.
* `latency` and `stall` (streams alone) only delay; of the others, the one with the lowest index decides the answer.
* A fault's counts stay after it has healed: they are the evidence that it did something.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Status = Annotated[int, Meta(ge=400, le=599)]
Share = Annotated[float, Meta(ge=0, le=1)]
Most = Annotated[int, Meta(ge=1)]
Tokens = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to do wrong.

    inject       error | rate_limit | capacity | hang | latency | stall | reset (instead of an answer) | refuse (no
                 connections), and three lies in a 200:
                 malformed (not JSON), truncated (the connection ends in mid-body), error_body (an error instead of an
                 answer)
    status       of an error, and of the error in an error_body
    share        of the requests that it shapes (refuse has none: it is for all)
    most         requests that are served at once (capacity alone)
    retry_after  seconds, sent as Retry-After with an error, a rate_limit or for want of capacity
    date         sent as the date when they are over
    add          seconds that latency or a stall adds
    spread       latency adds up to so many more, drawn each time
    grow_s       and all that evenly more and more for so long (0: at once)
    after_tokens a stream's tokens that come before a lie or a stall (None: half of its events; an error_body instead)
    code         the vendor's error code, where the wire format's usual one will not do
    message      the error's message, likewise
    """

    inject: Literal[
        "error",
        "rate_limit",
        "capacity",
        "hang",
        "latency",
        "stall",
        "reset",
        "refuse",
        "malformed",
        "truncated",
        "error_body",
    ]
    status: Status = 503
    share: Share = 1.0
    most: Most | None = None
    retry_after: Seconds | None = None
    date: bool = False
    add: Seconds = 0.0
    spread: Seconds = 0.0
    grow_s: Seconds = 0.0
    after_tokens: Tokens | None = None
    code: str | None = None
    message: str | None = None


class Standing:
    """A fault that was put on the provider. `shaped`: requests it changed; `cut`: connections it reset (refuse)."""

    def __init__(self, index: int, order: Order) -> None:
        self.index = index
        self.order = order
        self._since = time.monotonic()
        self.shaped = 0
        self.cut = 0
        self.healed = asyncio.Event()

    def added_s(self, luck: float) -> float:
        """What a latency adds now; `luck`, from 0 to 1: of its spread."""
        order = self.order
        grown = min(1.0, (time.monotonic() - self._since) / order.grow_s) if order.grow_s else 1.0
        return grown * (order.add + order.spread * luck)

    @property
    def stands(self) -> bool:
        """Whether it is in effect."""
        return not self.healed.is_set()


class Shape:
    """What the standing faults do to one request."""

    def __init__(self, delays: list[Standing], answer: Standing | None, draw: Callable[[], float]) -> None:
        self.answer = answer
        self.add_s = sum(d.added_s(draw() if d.order.spread else 0.0) for d in delays if d.order.inject == "latency")
        self.stall = next((d.order for d in delays if d.order.inject == "stall"), None)
        deciding = answer or (delays[0] if delays else None)
        self.fault = deciding.index if deciding is not None else None


class Board:
    """All faults that were ever put on this provider, by their index."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._faults: dict[int, Standing] = {}

    def put(self, index: int, order: Order) -> Standing:
        """Let a fault stand (in the place of an earlier one of this index, which is healed)."""
        self.heal(index)
        self._faults[index] = Standing(index, order)
        return self._faults[index]

    def heal(self, index: int) -> Standing | None:
        """End a fault; None if none of this index stands."""
        standing = self._faults.get(index)
        if standing is None or not standing.stands:
            return None
        standing.healed.set()
        return standing

    def heal_all(self) -> None:
        """End every fault."""
        for index in self._faults:
            self.heal(index)

    def standing(self, inject: str) -> list[Standing]:
        """The faults of a kind that stand, by index."""
        return [f for _, f in sorted(self._faults.items()) if f.order.inject == inject and f.stands]

    def all(self) -> list[Standing]:
        """Every fault ever put, by index."""
        return [f for _, f in sorted(self._faults.items())]

    def shape(self, *, stream: bool, under_way: int = 1) -> Shape:
        """What becomes of the request that has just arrived, as one of `under_way`."""
        unfit = ("refuse",) if stream else ("refuse", "stall")
        standing = (f for f in self.all() if f.stands and f.order.inject not in unfit and _has_occasion(f, under_way))
        hit = [f for f in standing if self._drawn(f)]
        delays = [f for f in hit if f.order.inject in ("latency", "stall")]
        answers = [f for f in hit if f not in delays][:1]
        for fault in delays + answers:
            fault.shaped += 1
        return Shape(delays, answers[0] if answers else None, self._rng.random)

    def _drawn(self, fault: Standing) -> bool:
        return fault.order.share >= 1 or self._rng.random() < fault.order.share


def _has_occasion(fault: Standing, under_way: int) -> bool:
    """Whether a limit on what is served at once, if the fault is one, is exceeded."""
    return fault.order.most is None or under_way > fault.order.most
