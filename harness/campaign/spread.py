"""A value that a campaign file leaves open: `1..4`, `200ms..2s`, `2/s..5/s`, `20%..90%`, one of a list, or one value.

Durations and rates are spread over their magnitudes (logarithmically), so that short ones are drawn as often as long
ones; counts, shares and plain numbers evenly.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_serializer, model_validator

from harness.units import format_duration, parse_duration, parse_rate, parse_share

Kind = Literal["count", "number", "duration", "rate", "share", "word"]
Value = bool | int | float | str | None
"""A value as a scenario file has it."""

_BOTH_ENDS = re.compile(r"(?P<low>[^.\s]+(?:\.\d+\S*?)?)\s*\.\.\s*(?P<high>\S+)")


@dataclass(frozen=True, slots=True)
class _Unit:
    """How the values of a kind are read, drawn and written. `even`: every number as likely as any other."""

    kind: Kind
    read: Callable[[Any], float]
    write: Callable[[float], Value]
    even: bool = True


def _count(value: Any) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
        raise ValueError(f"expected a whole number, not {value!r}")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not re.fullmatch(r"-?\d+\.\d+", str(value)):
        raise ValueError(f"expected a number, not {value!r}")
    return float(value)


def _percent(value: Any) -> float:
    if not str(value).endswith("%"):
        raise ValueError(f"expected a share such as 25%, not {value!r}")
    return parse_share(value)


def _milliseconds(seconds: float) -> str:
    """Readable, and short: to the millisecond, or to the microsecond where that is much."""
    return format_duration(round(seconds, 3 if seconds >= 0.02 else 6))


_UNITS = (
    _Unit("count", _count, round),
    _Unit("number", _number, lambda x: round(x, 3)),
    _Unit("duration", parse_duration, _milliseconds, even=False),
    _Unit("rate", parse_rate, lambda x: f"{x:.3g}/s", even=False),
    _Unit("share", _percent, lambda x: f"{100 * x:.0f}%"),
)
_BY_KIND = {unit.kind: unit for unit in _UNITS}


class Spread(BaseModel):
    """Values to draw one from: from `low` to `high`, or any of `choices`. `kind` says what they are."""

    model_config = ConfigDict(frozen=True)
    kind: Kind
    low: float = 0.0
    high: float = 0.0
    choices: tuple[Value, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        if isinstance(value, Spread):
            return value.__dict__
        if isinstance(value, list):
            if not value or any(isinstance(v, list | dict) for v in value):
                raise ValueError(f"expected a list of values to choose from, not {value!r}")
            kinds = {_unit_of(v).kind if _unit_of(v) else "word" for v in value}  # type: ignore[union-attr]  # as asked
            return {"kind": kinds.pop() if len(kinds) == 1 else "word", "choices": tuple(value)}
        return _ends(value) or {"kind": _kind_of(value), "choices": (value,)}

    @model_serializer
    def _as_text(self) -> Any:
        if self.choices:
            return list(self.choices)
        return f"{self.at(self.low)}..{self.at(self.high)}"

    def __str__(self) -> str:
        if len(self.choices) == 1:
            return repr(self.choices[0])
        return f"{list(self.choices)!r:.80}" if self.choices else f"{self.at(self.low)}..{self.at(self.high)}"

    def draw(self, rng: Random) -> Value:
        """One of the values, as a scenario file has it."""
        if self.choices:
            return self.choices[rng.randrange(len(self.choices))]
        unit = _unit(self.kind)
        if self.kind == "count":
            return rng.randint(int(self.low), int(self.high))
        if unit.even or self.low <= 0:
            return unit.write(rng.uniform(self.low, self.high))
        return unit.write(min(self.high, exp(rng.uniform(log(self.low), log(self.high)))))

    def at(self, number: float) -> Value:
        """A number as a scenario file has it."""
        return _unit(self.kind).write(number)

    @property
    def extremes(self) -> tuple[Value, ...]:
        """The values that must be allowed so that all are."""
        return self.choices or (self.at(self.low), self.at(self.high))

    @property
    def numbers(self) -> tuple[float, float]:
        """The least and the greatest value, as numbers (durations in seconds)."""
        if not self.choices:
            return self.low, self.high
        read = _unit(self.kind).read
        values = [read(v) for v in self.choices]
        return min(values), max(values)


def _unit(kind: Kind) -> _Unit:
    return _BY_KIND[kind]


def _unit_of(value: Any) -> _Unit | None:
    """The first unit in which the value can be read."""
    for unit in _UNITS:
        try:
            unit.read(value)
        except ValueError:
            continue
        return unit
    return None


def _kind_of(value: Any) -> Kind:
    if isinstance(value, dict):
        raise ValueError(f"expected a value, a..b, or a list to choose from, not {value!r}")
    unit = _unit_of(value)
    return unit.kind if unit else "word"


def _ends(value: Any) -> dict[str, Any] | None:
    """`a..b` as its two ends."""
    match = _BOTH_ENDS.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    for unit in _UNITS:
        try:
            low, high = unit.read(match["low"]), unit.read(match["high"])
        except ValueError:
            continue
        if low > high:
            raise ValueError(f"expected the lower value first, not {value!r}")
        return {"kind": unit.kind, "low": low, "high": high}
    raise ValueError(
        f"expected both ends of {value!r} in one unit and not below 0, such as 200ms..2s, 1..4, 2/s..5/s or 20%..90%"
    )


def _only(*kinds: Kind, example: str, least: float | None = None, above: float | None = None) -> AfterValidator:
    def check(spread: Spread) -> Spread:
        if spread.kind not in kinds:
            raise ValueError(f"expected values such as {example}, not {spread}")
        if least is not None and spread.numbers[0] < least:
            raise ValueError(f"expected values of at least {least:g}, such as {example}, not {spread}")
        if above is not None and spread.numbers[0] <= above:
            raise ValueError(f"expected values above {above:g}, such as {example}, not {spread}")
        return spread

    return AfterValidator(check)


Counts = Annotated[Spread, _only("count", example="1..4", least=1), Field(description="whole numbers: 1..4")]
Amounts = Annotated[Spread, _only("count", example="0..4", least=0)]
Durations = Annotated[Spread, _only("duration", example="200ms..2s", above=0)]
Shares = Annotated[Spread, _only("share", example="20%..90%")]
Rates = Annotated[Spread, _only("rate", example="2/s..5/s", above=0)]
Numbers = Annotated[Spread, _only("number", "count", example="1.5..4.0", least=1)]
