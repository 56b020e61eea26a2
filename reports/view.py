"""A run as the reports see it: what it left behind, loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from harness.history import History, RunStarted
from harness.scenario import Scenario
from reports.series.news import News, news_of

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

    @cached_property
    def news(self) -> tuple[News, ...]:
        """How late each worker heard of each transition."""
        return news_of(self.history)


def world(mode: Mode) -> str:
    """The world's name for people."""
    return {"sim": "simulated", "real": "real"}[mode]


def mode_of(history: History) -> Mode:
    """Which world wrote a history; `sim` for one that broke off before its first line."""
    return next((started.mode for started in history.all(RunStarted)), "sim")
