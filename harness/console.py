"""What the harness says to a person: progress on standard error, results on standard output."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Protocol, TextIO

from harness.checkers.finding import Verdict
from harness.rundir import Record

KEY_FIGURES = (
    "requests",
    "failed_requests",
    "lost_requests",
    "availability",
    "sync_latency.p50",
    "sync_latency.p99",
    "sync_latency.max",
    "detection_s",
    "recovery_s",
    "failing_attempts",
    "duplicate_attempts",
    "probes",
    "probing_workers_max",
    "failover_added_latency.p99",
    "latency.p50",
    "latency.p99",
)
_MARK = {"pass": "✓", "fail": "✗", "unknown": "?"}


class Found(Protocol):
    """Anything that a judgement holds: an invariant, an expectation, a fault."""

    @property
    def verdict(self) -> Verdict: ...
    @property
    def matters(self) -> bool: ...
    @property
    def summary(self) -> str: ...


class Bar:
    """Progress of one run: a line that renews itself on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, title: str, stream: TextIO = sys.stderr) -> None:
        self._title = title
        self._stream = stream
        self._live = stream.isatty()
        self._every = 0.2 if self._live else 10.0
        self._began = self._told = time.monotonic()

    def __call__(self, done: float, total: float, what: str) -> None:
        """Say how far the run is, at most every so often."""
        now = time.monotonic()
        if now - self._told < self._every:
            return
        self._told = now
        took = now - self._began
        text = f"{self._title}: {what}, {done:.0f} of {total:.0f} s"
        if 0 < done < total:
            text += f", {done / took:.1f}x real time, about {(total - done) * took / done:.0f} s to go"
        self._stream.write(f"\r\x1b[2K{text}" if self._live else f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self._live:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def figure(name: str, value: float | None, unit: str) -> str:
    """A metric's value as a person reads it."""
    if value is None:
        return "–"
    if unit == "s":
        return f"{value * 1e3:.2f} ms" if abs(value) < 1 else f"{value:.2f} s"
    if unit == "share":
        return f"{value * 100:.4g} %"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3g}"


def result(record: Record) -> str:
    """One run's verdict in a few lines: the verdict, the reason, what failed, what was found."""
    judged = record.judged
    head = (
        f"{_MARK[judged.verdict]} {record.scenario.name} · {record.mode} · seed {record.seed}: "
        f"{judged.verdict.upper()} in {record.wall_s:.2f} s"
    )
    found: list[Found] = [*judged.findings, *judged.expectations, *judged.faults]
    planted = [f"  planted in the code: {record.mutant}"] if record.mutant else []
    return "\n".join(
        [head, *planted, f"  {judged.reason}", *(f"  {_MARK[f.verdict]} {f.summary}" for f in found if f.matters)]
    )


def table(records: Sequence[Record], units: dict[str, str]) -> str:
    """Key figures of several runs beside each other."""
    head = ["", *(r.mode for r in records)]
    rows = [["verdict", *(r.judged.verdict.upper() for r in records)]]
    for name in KEY_FIGURES:
        values = [r.judged.metrics.get(name) for r in records]
        if any(v is not None for v in values):
            rows.append([name, *(figure(name, v, units[name]) for v in values)])
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return "\n".join(_aligned(row, widths) for row in [head, *rows])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *cells = row
    return (
        "  " + name.ljust(widths[0]) + "".join(f"  {cell.rjust(w)}" for cell, w in zip(cells, widths[1:], strict=True))
    )
