"""The timeline: what broke, what every breaker made of it, and what the callers noticed, on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from matplotlib.figure import Figure

from harness.history import History, RunEnded
from harness.scenario import Scenario
from reports.figures import style
from reports.figures.faults import fault_panel
from reports.figures.panel import Panel, stack
from reports.figures.strips import breaker_panel, state_legend
from reports.figures.traffic import latency_limits, latency_panel, peak, rate_panel
from reports.series.bands import Band, bands_of
from reports.series.fleet import Fleet, fleet_of
from reports.series.traffic import Answered, Rates, quantiles_of, rates_of, requests_of


@dataclass(frozen=True)
class Story:
    """A run as its timeline tells it. `name` is put before each heading when several runs share a figure."""

    scenario: Scenario
    history: History
    end: float
    name: str = ""

    @cached_property
    def providers(self) -> tuple[str, ...]:
        """In order of priority."""
        return tuple(p.name for p in self.scenario.ordered_providers)

    @cached_property
    def fleet(self) -> Fleet:
        """Workers and their breakers."""
        return fleet_of(self.history, self.providers, self.end)

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Faults as they were in effect."""
        return bands_of(self.scenario, self.history, self.end)

    @cached_property
    def requests(self) -> tuple[Answered, ...]:
        """What the callers saw."""
        return requests_of(self.history)

    @cached_property
    def rates(self) -> Rates:
        """Requests per second."""
        return rates_of(self.requests, self.providers, self.end)

    def told(self, panel: Panel) -> Panel:
        """A panel of this run: its faults shaded, its name in front of the heading if it has one."""
        heading = f"{self.name} · {panel.heading}" if self.name else panel.heading
        return replace(panel, heading=heading, shades=self.bands)


def story_of(scenario: Scenario, history: History, name: str = "") -> Story:
    """The story of one run, drawn to its end (its scenario's duration at least)."""
    ended = [entry.t for entry in history.all(RunEnded)] or [entry.t for entry in history.entries[-1:]]
    return Story(scenario, history, max(scenario.duration, *ended, 0.0), name)


def timeline(story: Story) -> Figure:
    """One run."""
    return timelines((story,))


def timelines(stories: Sequence[Story]) -> Figure:
    """Several runs: each kind of panel for all of them, one under the other, with equal axes."""
    end = max(story.end for story in stories)
    aligned = [replace(story, end=end) for story in stories]
    highest = max(peak(story.rates) for story in aligned)
    limits = _common([latency_limits(story.requests) for story in aligned])
    with style.applied():
        panels = [
            *(replace(story.told(fault_panel(story.bands, story.end)), shades=()) for story in aligned),
            *_breakers(aligned),
            *(story.told(rate_panel(story.rates, story.providers, highest)) for story in aligned),
            *(story.told(_latency(story, limits)) for story in aligned),
        ]
        return stack(panels, end, load_end=aligned[0].scenario.duration)


def _breakers(stories: Sequence[Story]) -> list[Panel]:
    """Provider by provider, so that the runs' strips of one provider are neighbours; the first has the key."""
    names = dict.fromkeys(name for story in stories for name in story.providers)
    panels = [story.told(breaker_panel(story.fleet, name, story.end)) for name in names for story in stories]
    return [replace(panel, key=state_legend()) if i == 0 else panel for i, panel in enumerate(panels)]


def _latency(story: Story, limits: tuple[float, float]) -> Panel:
    quantiles = quantiles_of(story.requests, story.end)
    return latency_panel(story.requests, quantiles, story.providers, limits)


def _common(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)
