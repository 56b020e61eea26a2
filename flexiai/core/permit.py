"""What a breaker answers: frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flexiai.core.circuit import Cause, State

Why = Literal["open", "half_open", "ramp", "drain"]
"""Why a breaker refuses: it is OPEN; every slot of its probe round is taken; or it holds back although it could serve,
because its traffic returns by degrees, or because an operator drains it."""

SPARED: frozenset[Why] = frozenset({"ramp", "drain"})
"""The reasons of a breaker that could serve, and does where nobody else can."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one attempt, to be handed back with its outcome. `generation`: the breaker's life it belongs to."""

    provider: str
    generation: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """No leave. `retry_at`: when to ask again; `probe_due`: a probe may be granted now, if the fleet agrees.

    A `spared` provider may be asked as the last resort.
    """

    provider: str
    state: State
    probe_due: bool
    retry_at: float
    spared: Literal["ramp", "drain"] | None = None

    @property
    def why(self) -> Why:
        """The reason, in a word."""
        return self.spared or ("open" if self.state is State.OPEN else "half_open")


@dataclass(frozen=True, slots=True)
class Change:
    """A transition of the breaker; the fields are those of `flexiai.events.Transition`."""

    frm: State
    to: State
    cause: Cause
    epoch: int
    open_for_s: float
    failure_count: int
    private: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of an outcome. Not `counted`: its permit was of an earlier life, and it was dropped."""

    counted: bool
    transition: Change | None


@dataclass(frozen=True, slots=True)
class Adoption:
    """What became of a fleet record. `news`: it was newer than what the breaker stood on."""

    news: bool
    transition: Change | None
