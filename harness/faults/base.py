"""What every fault has: a line of `faults:`, typed."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.units import Duration, PositiveDuration

World = Literal["sim", "real"]
BOTH: frozenset[World] = frozenset({"sim", "real"})


def _pin(schema: dict[str, Any], kind: type[Fault]) -> None:
    """In the published schema, each kind of fault is told by its target and name."""
    target = {"pattern": "^provider/."} if kind.of == "provider" else {"const": kind.of}
    schema["properties"] |= {"target": {"type": "string", **target}, "inject": {"const": kind.name}}


class Fault(BaseModel):
    """One line of `faults:`. `at` and `for` are seconds since the load began; without `for` it lasts to the end."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, json_schema_extra=_pin)

    of: ClassVar[str]  # what it may be put on: provider | redis | worker
    name: ClassVar[str]
    cause: ClassVar[str]
    example: ClassVar[str]
    worlds: ClassVar[frozenset[World]] = BOTH
    why_not: ClassVar[str] = ""  # why it cannot be done in the other world, where `worlds` has but one
    needs_for: ClassVar[bool] = False
    instant: ClassVar[bool] = False  # happens at a moment; `for` means nothing
    rules_out: ClassVar[frozenset[str]] = frozenset()  # faults on the same target that cannot overlap with it

    at: Duration
    for_: PositiveDuration | None = Field(None, alias="for")
    target: str
    inject: str

    @property
    def provider(self) -> str:
        """The provider it is put on (provider faults only)."""
        return self.target.partition("/")[2]

    def until(self, duration: float) -> float:
        """When it is healed, in a run of `duration` seconds."""
        return self.at if self.instant else min(duration, self.at + (self.for_ if self.for_ is not None else duration))
