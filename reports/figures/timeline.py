"""The timeline: what broke, what every breaker made of it, and what the callers noticed, on one axis of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from matplotlib.figure import Figure

from reports.figures import style
from reports.figures.breaches import breach_panels
from reports.figures.faults import fault_panel
from reports.figures.panel import Panel, stack
from reports.figures.strips import breaker_panel, state_legend
from reports.figures.traffic import latency_limits, latency_panel, peak, rate_panel
from reports.series.bands import Band, bands_of
from reports.series.fleet import Fleet, fleet_of
from reports.series.traffic import Rates, quantiles_of, rates_of
from reports.view import RunView


@dataclass(frozen=True)
class Story:
    """A run as its timeline tells it. `name` is put before each heading when several runs share a figure."""

    run: RunView
    end: float
    name: str = ""

    @cached_property
    def fleet(self) -> Fleet:
        """Workers and their breakers."""
        return fleet_of(self.run.history, self.run.providers, self.end)

    @cached_property
    def bands(self) -> tuple[Band, ...]:
        """Faults as they were in effect."""
        return bands_of(self.run.scenario, self.run.history, self.end)

    @cached_property
    def rates(self) -> Rates:
        """Requests per second."""
        return rates_of(self.run.requests, self.run.providers, self.end)

    def told(self, panel: Panel) -> Panel:
        """A panel of this run: its faults shaded, its name in front of the heading if it has one."""
        heading = f"{self.name} · {panel.heading}" if self.name else panel.heading
        return replace(panel, heading=heading, shades=self.bands)


def story_of(run: RunView, name: str = "") -> Story:
    """The story of one run, drawn until the last moment at which something is known of the fleet."""
    return Story(run, max(run.scenario.duration, run.case.observed_until), name)


def timeline(story: Story) -> Figure:
    """One run."""
    return timelines((story,))


def timelines(stories: Sequence[Story]) -> Figure:
    """Several runs: each kind of panel for all of them, one under the other, with equal axes."""
    end = max(story.end for story in stories)
    aligned = [replace(story, end=end) for story in stories]
    highest = max(peak(story.rates) for story in aligned)
    limits = _common([latency_limits(story.run.requests) for story in aligned])
    with style.applied():
        panels = [
            *(replace(story.told(fault_panel(story.bands, story.end)), shades=()) for story in aligned),
            *(story.told(p) for story in aligned for p in breach_panels(story.run.judgement.findings, story.end)),
            *_breakers(aligned),
            *(story.told(rate_panel(story.rates, story.run.providers, highest)) for story in aligned),
            *(story.told(_latency(story, limits)) for story in aligned),
        ]
        return stack(panels, end, load_end=aligned[0].run.scenario.duration)


def _breakers(stories: Sequence[Story]) -> list[Panel]:
    """Provider by provider, so that the runs' strips of one provider are neighbours; the first has the key."""
    names = dict.fromkeys(name for story in stories for name in story.run.providers)
    panels = [story.told(breaker_panel(story.fleet, name, story.end)) for name in names for story in stories]
    return [replace(panel, key=state_legend()) if i == 0 else panel for i, panel in enumerate(panels)]


def _latency(story: Story, limits: tuple[float, float]) -> Panel:
    quantiles = quantiles_of(story.run.requests, story.end)
    return latency_panel(story.run.requests, quantiles, story.run.providers, limits)


def _common(ranges: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in ranges), max(high for _, high in ranges)
