"""How the news of transitions spread: the samples of sync latency, sorted out for being drawn and told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.metrics import SyncSample
from harness.metrics.sync import Via

VIA_WORDS: Mapping[Via, str] = {
    "notice": "by notice",
    "read": "by reading",
    "reply": "by the store's answer",
    "skipped": "with newer news",
    "never": "never",
}
CUT_WORD = "cut off meanwhile"


@dataclass(frozen=True, slots=True)
class Heard:
    """One worker's hearing of a transition, `late_s` after it was made. `cut`: a fault stood in the way."""

    sample: SyncSample
    late_s: float

    @property
    def cut(self) -> bool:
        """Whether it counts for partition_convergence rather than for sync_latency."""
        return self.sample.cut


def heard(samples: Iterable[SyncSample]) -> tuple[Heard, ...]:
    """The samples that arrived, in time order."""
    return tuple(Heard(s, s.latency_s) for s in samples if s.latency_s is not None)


def by_transition(news: Iterable[Heard]) -> list[list[Heard]]:
    """The hearings of each transition, the earliest transition first."""
    groups: dict[tuple[float, str, int], list[Heard]] = defaultdict(list)
    for item in news:
        groups[item.sample.t, item.sample.provider, item.sample.epoch].append(item)
    return [groups[key] for key in sorted(groups)]


def worst(samples: Iterable[SyncSample], most: int) -> Sequence[SyncSample]:
    """The latest to hear among those that could have heard; whoever never did comes first."""
    whole = (s for s in samples if not s.cut)
    return sorted(whole, key=lambda s: (-_lateness(s), s.t, s.to))[:most]


def _lateness(sample: SyncSample) -> float:
    return float("inf") if sample.latency_s is None else sample.latency_s
