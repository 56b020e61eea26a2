"""What a worker's own clock does. Simulated only: processes of one machine share its clock."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.faults.base import Fault, World
from harness.faults.choice import ALL, Workers
from harness.units import PositiveDuration

Way = Literal["ahead", "behind"]


class _Clock(Fault):
    """A worker's clock."""

    of = "clock"
    worlds: ClassVar[frozenset[World]] = frozenset({"sim"})
    why_not = (
        "the processes of one machine share its monotonic clock, by which the harness compares them too; "
        "another one for a single process takes a kernel's time namespace"
    )
    workers: Workers = ALL


class ClockOffset(_Clock):
    """Some workers' clocks are `by` ahead or behind, until it heals: they are set twice."""

    name = "offset"
    cause = "a host without time synchronisation, and its correction"
    example = '{at: 20s, for: 10s, target: clock, inject: offset, by: 3s, way: behind, workers: "2 of 12"}'
    by: PositiveDuration
    way: Way = "ahead"


class ClockJump(_Clock):
    """Some workers' clocks are set ahead or back, once."""

    name = "jump"
    cause = "a virtual machine that was suspended or migrated"
    example = '{at: 20s, target: clock, inject: jump, by: 30s, workers: "1 of 12"}'
    instant = True
    by: PositiveDuration
    way: Way = "ahead"


class ClockDrift(_Clock):
    """Some workers' clocks run faster (`rate` above 1) or slower, until it heals."""

    name = "drift"
    cause = "a virtual machine's clock, slewing after a correction"
    example = '{at: 20s, for: 20s, target: clock, inject: drift, rate: 1.05, workers: "6 of 12"}'
    rules_out = frozenset({"drift"})
    rate: float = Field(gt=0.1, lt=10.0)


def set_back_s(fault: Fault) -> float:
    """How far it sets a clock back, at its end or at once.

    No host sets a monotonic clock back; the simulation does, to see whether code takes a time for an interval. Every
    timer of that worker is then late by as much, and checks of liveness allow for it.
    """
    if not isinstance(fault, ClockOffset | ClockJump):
        return 0.0
    goes_back = (fault.way == "behind") if fault.instant else (fault.way == "ahead")
    return fault.by if goes_back else 0.0


KINDS: tuple[type[Fault], ...] = (ClockOffset, ClockJump, ClockDrift)
