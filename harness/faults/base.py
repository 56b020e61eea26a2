"""What every fault has: a line of `faults:`, typed."""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from harness.faults.moment import Moment
from harness.units import Duration, PositiveDuration

World = Literal["sim", "real"]
BOTH: frozenset[World] = frozenset({"sim", "real"})

ROUNDED_S = 1e-9
"""Sums of times are compared to within this."""


def _pin(schema: dict[str, Any], kind: type[Fault]) -> None:
    """In the published schema, each kind of fault is told by its target and name."""
    target = {"pattern": "^provider/."} if kind.of == "provider" else {"const": kind.of}
    schema["properties"] |= {"target": {"type": "string", **target}, "inject": {"const": kind.name}}


class Fault(BaseModel):
    """One line of `faults:`. Times are seconds since the load began.

    id      what other faults call it
    at      when it begins; with `after`: how long after that has happened
    for     how long it lasts; `until`: when it is over, or what must happen for that. Neither: to the end of the run
    every   it comes again and again, each time for `for`
    until   a time, for what comes again or waits: it does not begin unless it will be over by then
    jitter  it begins up to that much later, drawn by the seed each time
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, json_schema_extra=_pin)

    of: ClassVar[str]  # what it may be put on: provider | redis | worker | network | clock
    name: ClassVar[str]
    cause: ClassVar[str]
    example: ClassVar[str]
    worlds: ClassVar[frozenset[World]] = BOTH
    why_not: ClassVar[str] = ""  # why it cannot be done in the other world, where `worlds` has but one
    needs_for: ClassVar[bool] = False
    planned: ClassVar[bool] = False  # how long it lasts must be known when it begins
    instant: ClassVar[bool] = False  # happens at a moment; `for` means nothing
    forgets: ClassVar[bool] = False  # Redis may lose what it held
    rules_out: ClassVar[frozenset[str]] = frozenset()  # faults on the same target that cannot overlap with it

    id: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")
    at: Duration = 0.0
    after: Moment | None = None
    for_: PositiveDuration | None = Field(None, alias="for")
    until_: Duration | Moment | None = Field(None, alias="until")
    every: PositiveDuration | None = None
    jitter: Duration = 0.0
    target: str
    inject: str

    @model_validator(mode="before")
    @classmethod
    def _timed(cls, value: Any) -> Any:
        if isinstance(value, dict) and "at" not in value and value.get("after") is None:
            raise PydanticCustomError("times", "'at' is missing: expected a time, or something to come after")
        return value

    @property
    def provider(self) -> str:
        """The provider it is put on (provider faults only)."""
        return self.target.partition("/")[2]

    @property
    def workers_choice(self) -> Any:
        """Which workers it is put on, if it is put on workers."""
        return getattr(self, "workers", None)

    @property
    def on_redis(self) -> bool:
        """Whether it stands between workers and Redis, or is Redis' own."""
        return self.of in ("redis", "network")

    def on_provider(self, name: str) -> bool:
        """Whether it stands between workers and a provider, or is the provider's own."""
        return self.of == "network" or (self.of == "provider" and self.provider == name)

    def begins(self, base: float, duration: float, rng: Random) -> list[float]:
        """When it begins, each time, counted from `base` (the run's begin, or what it waits for)."""
        first, times = base + self.at, []
        while first < duration:
            begun = first + rng.uniform(0.0, self.jitter)
            if self._is_over_by_then(begun):
                times.append(begun)
            if self.every is None:
                break
            first += self.every
        return times

    def _is_over_by_then(self, begun: float) -> bool:
        """Whether it is over by `until`, if that is a time and it began at `begun`."""
        if not isinstance(self.until_, float):
            return True
        return begun + (self.for_ or 0.0) <= self.until_ + ROUNDED_S and begun < self.until_

    def ends(self, begun: float, duration: float) -> float:
        """When it is healed, at the latest, if it began at `begun` in a run of `duration` seconds."""
        if self.instant:
            return begun
        if self.for_ is not None:
            return min(duration, begun + self.for_)
        return min(duration, self.until_) if isinstance(self.until_, float) else duration

    def until(self, duration: float) -> float:
        """When it is over for good, at the latest, in a run of `duration` seconds."""
        if isinstance(self.until_, float):
            return min(duration, self.until_)
        if self.every is not None or self.after is not None:
            return duration
        return self.ends(self.at + self.jitter, duration)


COMMON = frozenset(Fault.model_fields)
"""The fields that every fault has."""
