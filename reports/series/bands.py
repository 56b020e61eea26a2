"""Faults as bands in time, packed into as few lanes as do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.faults import COMMON, Fault
from harness.history import FaultHealed, FaultInjected, History
from harness.scenario import Scenario

UNSAID = {"share": "100%", "direction": "both", "bytes_": "held", "spread": "0s"}
"""What a label leaves out: what everybody takes for granted."""


@dataclass(frozen=True, slots=True)
class Band:
    """A fault from `start` to `end` (seconds since the run began); equal for one that happens at a moment."""

    fault: int
    label: str
    start: float
    end: float
    lane: int = 0


def bands_of(scenario: Scenario, history: History, end: float) -> tuple[Band, ...]:
    """The scenario's faults as they were really put in effect and healed; those that never were are left out."""
    healed = list(history.all(FaultHealed))
    bands = [
        Band(
            fault=event.fault,
            label=describe(scenario.faults[event.fault]),
            start=event.t,
            end=event.t
            if scenario.faults[event.fault].instant
            else next((h.t for h in healed if h.fault == event.fault and h.t >= event.t), end),
        )
        for event in history.all(FaultInjected)
        if event.fault < len(scenario.faults)
    ]
    return _packed(sorted(bands, key=lambda b: (b.start, b.end, b.fault)), gap=end * 0.25)


def describe(fault: Fault) -> str:
    """A fault in a few words: `openai: error 503`, `redis: partition, 2 of 12 workers`."""
    target = fault.target.removeprefix("provider/")
    return f"{target}: {fault.inject.replace('_', ' ')}{_details(fault)}"


def _details(fault: Fault) -> str:
    said = fault.model_dump(exclude=set(COMMON))
    words: list[str] = []
    for key, value in said.items():
        if value is None or value is False or UNSAID.get(key) == value:
            continue
        words.append(_detail(key.rstrip("_"), str(value)))
    return "".join(words)


def _detail(key: str, value: str) -> str:
    if value == "True":
        return f", {key}"
    if key == "status":
        return f" {value}"
    if key == "add":
        return f" +{value}"
    if key == "workers":
        return f", worker {value}" if "." in value else f", {value} workers"
    return f", {key.replace('_', ' ')} {value}"


def _packed(bands: Sequence[Band], gap: float) -> tuple[Band, ...]:
    """Each band in the first lane that is free; `gap` leaves room for the label of a short one."""
    free_at: list[float] = []
    packed: list[Band] = []
    for band in bands:
        lane = next((i for i, t in enumerate(free_at) if t <= band.start), len(free_at))
        if lane == len(free_at):
            free_at.append(0.0)
        free_at[lane] = max(band.end, band.start + gap)
        packed.append(Band(band.fault, band.label, band.start, band.end, lane))
    return tuple(packed)
