"""Durations, rates, shares and counts with units, as people write them in scenario files."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_SECONDS = {"us": Decimal("1e-6"), "ms": Decimal("1e-3"), "s": Decimal(1)}
_SECONDS |= {"m": Decimal(60), "min": Decimal(60), "h": Decimal(3600)}
_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"{_NUMBER}\s*(?P<unit>us|ms|s|min|m|h)")
_RATE = re.compile(rf"{_NUMBER}\s*/\s*(?P<unit>s|min|m|h)")
_SHARE = re.compile(rf"{_NUMBER}\s*%")


def parse_duration(value: Any) -> float:
    """Seconds of `15s`, `120ms`, `2min` …; ValueError says what was expected. A bare 0 is 0 seconds."""
    if value == 0 and not isinstance(value, bool):
        return 0.0
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a duration with a unit, such as 15s, 120ms or 2min, not {value!r}")
    return float(Decimal(match["number"]) * _SECONDS[match["unit"]])  # decimal: 0.2ms and 200us are one number


def parse_rate(value: Any) -> float:
    """Events per second of `60/s`, `90/min` …"""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"expected a rate with a unit, such as 60/s or 90/min, not {value!r}")
    return float(Decimal(match["number"]) / _SECONDS[match["unit"]])


def parse_share(value: Any) -> float:
    """A share from 0 to 1, of `25%` or `0.25`."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)
    match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or float(match["number"]) > 100:
        raise ValueError(f"expected a share, such as 25% or 0.25, not {value!r}")
    return float(match["number"]) / 100


def format_duration(seconds: float) -> str:
    """A duration as a scenario file has it: `15s`, `120ms`."""
    if seconds == 0 or seconds >= 1:
        return f"{seconds:.12g}s"
    return f"{seconds * 1e3:.12g}ms" if seconds >= 1e-3 else f"{seconds * 1e6:.12g}us"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": _DURATION.pattern.replace("?P<number>", "").replace("?P<unit>", ""),
            "description": "a time, such as 300ms",
        }
    ),
]
PositiveDuration = Annotated[Duration, Field(gt=0)]
Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    PlainSerializer(lambda per_s: f"{per_s:.12g}/s"),
    WithJsonSchema({"type": "string", "pattern": _RATE.pattern.replace("?P<number>", "").replace("?P<unit>", "")}),
]
Fraction = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(lambda share: f"{share * 100:.12g}%"),
    WithJsonSchema(
        {
            "oneOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "string", "pattern": r"\d+%"}],
            "description": "a part, 30% or 0.3",
        }
    ),
]
