"""Numbers as people read them: a unit, three digits at most, thousands apart."""

from __future__ import annotations

import math

_THIN = "\u202f"  # a narrow space that does not break: between a number and its unit


def duration(seconds: float) -> str:
    """`0.42 ms`, `18 ms`, `1.3 s`, `95 s`."""
    size = abs(seconds)
    if size == 0:
        return f"0{_THIN}s"
    if size < 1e-3:
        return f"{digits(seconds * 1e6)}{_THIN}µs"
    if size < 1:
        return f"{digits(seconds * 1e3)}{_THIN}ms"
    return f"{digits(seconds)}{_THIN}s"


def share(value: float) -> str:
    """`25 %`, `99.94 %`: finer near the ends, and never rounded to all or to nothing."""
    percent = value * 100
    for places in range(1 if 1 <= percent <= 99 else 2, 4):
        rounded = float(f"{percent:.{places}f}")
        if rounded not in (0.0, 100.0) or rounded == percent:
            return f"{rounded:g}{_THIN}%"
    return f"{'> 99.999' if percent > 50 else '< 0.001'}{_THIN}%"


def count(value: float) -> str:
    """`3,612`, `1.04`."""
    if math.isfinite(value) and value == int(value):
        return f"{int(value):,}"
    return digits(value)


def digits(value: float) -> str:
    """Three significant digits, never in powers of ten within reason."""
    if not math.isfinite(value):
        return "∞" if value == math.inf else "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def sentence(text: str) -> str:
    """With a full stop."""
    return text + ("" if text.endswith((".", "!", "?")) else ".")


def plural(number: int, noun: str) -> str:
    """`1 worker`, `12 workers`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def measured(value: float | None, unit: str) -> str:
    """A metric's value in its unit: `s` (seconds), `share`, else a count."""
    if value is None:
        return "–"
    if unit == "s":
        return duration(value)
    return share(value) if unit == "share" else count(value)


def ratio(a: float | None, b: float | None) -> str:
    """`b` over `a`, as `× 1.3`; `=` where they are equal, nothing where there is no ratio."""
    if a is None or b is None:
        return ""
    if a == b:
        return "="
    return f"× {digits(b / a)}" if a else ""
