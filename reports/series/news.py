"""How the news of a transition spread: who heard of it, how late, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flexiai.core.circuit import State
from flexiai.events import RecordApplied, Transition
from harness.history import History

Via = Literal["notice", "read", "reply"]
VIAS: tuple[Via, ...] = ("notice", "read", "reply")
VIA_WORDS: dict[Via, str] = {"notice": "by notice", "read": "by reading", "reply": "by the store's answer"}


@dataclass(frozen=True, slots=True)
class News:
    """One worker's hearing of one transition: made by `origin` at `began`, applied by `worker` `late_s` later."""

    provider: str
    epoch: int
    state: State
    origin: str
    began: float
    worker: str
    late_s: float
    via: Via


def news_of(history: History) -> tuple[News, ...]:
    """Every hearing, latest news last."""
    made: dict[tuple[str, str, State], float] = {}
    began: dict[tuple[str, int], float] = {}
    heard: list[News] = []
    for entry in history.entries:
        if isinstance(entry, Transition):
            made[entry.worker, entry.provider, entry.to] = entry.t
        elif isinstance(entry, RecordApplied):
            fact = entry.provider, entry.epoch
            if entry.accepted:
                began.setdefault(fact, made.get((entry.worker, entry.provider, entry.state), entry.t))
            elif fact in began:
                heard.append(_news(entry, began[fact]))
    return tuple(heard)


def _news(heard: RecordApplied, began: float) -> News:
    return News(heard.provider, heard.epoch, heard.state, heard.origin, began, heard.worker, heard.t - began, heard.via)
