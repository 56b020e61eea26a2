"""A run as the reports see it: what it left behind, loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from harness.checkers.case import Case
from harness.history import History, RunStarted
from harness.metrics import RequestSample, SyncSample, request_samples, sync_samples
from harness.scenario import Scenario

if TYPE_CHECKING:
    from harness.verdict import Judgement

Mode = Literal["sim", "real"]


@dataclass(frozen=True)
class RunView:
    """One run: its input, what happened, how it was judged, and where. `environment`: versions, as words."""

    scenario: Scenario
    mode: Mode
    seed: int
    history: History
    judgement: Judgement
    environment: Mapping[str, str]

    @property
    def title(self) -> str:
        """The run in a few words."""
        return f"{self.scenario.name} · {world(self.mode)} · seed {self.seed}"

    @property
    def providers(self) -> tuple[str, ...]:
        """In order of priority."""
        return tuple(p.name for p in self.scenario.ordered_providers)

    @cached_property
    def case(self) -> Case:
        """The run as the checkers and metrics look at it."""
        return Case(self.scenario, self.seed, self.history)

    @cached_property
    def requests(self) -> Sequence[RequestSample]:
        """What the callers saw, in the order in which requests were meant to be sent."""
        return request_samples(self.case)

    @cached_property
    def news(self) -> Sequence[SyncSample]:
        """How late each worker heard of each transition."""
        return sync_samples(self.case)


def world(mode: Mode) -> str:
    """The world's name for people."""
    return {"sim": "simulated", "real": "real"}[mode]


def mode_of(history: History) -> Mode:
    """Which world wrote a history; `sim` for one that broke off before its first line."""
    return next((started.mode for started in history.all(RunStarted)), "sim")
