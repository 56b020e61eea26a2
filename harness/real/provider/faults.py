"""What a provider has been told to do wrong, and to how many requests it did.

Rules
-----
* A request is shaped on arrival, by the faults standing then, each with its `share` of the requests drawn at random.
* `latency` and `stall` (streams alone) only delay; of the others, the one with the lowest index decides the answer.
* A fault's counts stay after it has healed: they are the evidence that it did something.
"""

from __future__ import annotations

import asyncio
from random import Random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Status = Annotated[int, Meta(ge=400, le=599)]
Share = Annotated[float, Meta(ge=0, le=1)]
Tokens = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What to do wrong.

    inject       error | rate_limit | hang | latency | stall | refuse (no connections), and three lies in a 200:
                 malformed (not JSON), truncated (the connection ends in mid-body), error_body (an error instead of an
                 answer)
    status       of an error, and of the error in an error_body
    share        of the requests that it shapes (refuse has none: it is for all)
    retry_after  seconds, sent as Retry-After with an error or rate_limit
    add          seconds that latency or a stall adds
    after_tokens a stream's tokens that come before a lie or a stall (None: half of its events; an error_body instead)
    code         the vendor's error code, where the wire format's usual one will not do
    message      the error's message, likewise
    """

    inject: Literal["error", "rate_limit", "hang", "latency", "stall", "refuse", "malformed", "truncated", "error_body"]
    status: Status = 503
    share: Share = 1.0
    retry_after: Seconds | None = None
    add: Seconds = 0.0
    after_tokens: Tokens | None = None
    code: str | None = None
    message: str | None = None


class Standing:
    """A fault that was put on the provider. `shaped`: requests it changed; `cut`: connections it reset (refuse)."""

    def __init__(self, index: int, order: Order) -> None:
        self.index = index
        self.order = order
        self.shaped = 0
        self.cut = 0
        self.healed = asyncio.Event()

    @property
    def stands(self) -> bool:
        """Whether it is in effect."""
        return not self.healed.is_set()


class Shape:
    """What the standing faults do to one request."""

    def __init__(self, delays: list[Standing], answer: Standing | None) -> None:
        self.answer = answer
        self.add_s = sum(d.order.add for d in delays if d.order.inject == "latency")
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

    def shape(self, *, stream: bool) -> Shape:
        """What becomes of the request that has just arrived."""
        unfit = ("refuse",) if stream else ("refuse", "stall")
        hit = [f for f in self.all() if f.stands and f.order.inject not in unfit and self._drawn(f)]
        delays = [f for f in hit if f.order.inject in ("latency", "stall")]
        answers = [f for f in hit if f not in delays][:1]
        for fault in delays + answers:
            fault.shaped += 1
        return Shape(delays, answers[0] if answers else None)

    def _drawn(self, fault: Standing) -> bool:
        return fault.order.share >= 1 or self._rng.random() < fault.order.share
