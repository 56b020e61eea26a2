"""The report of one run: a single HTML page that needs nothing but itself.

Everything that came from a file or a run is escaped by the template engine; only the drawings, which are made here,
are put in as they are.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.figures.encode import inline
from reports.palette import VERDICT_SYMBOLS, Verdict
from reports.series.fleet import Fleet
from reports.tables import (
    InvariantRow,
    breaches,
    fault_rows,
    invariant_rows,
    news_rows,
)
from reports.tiles import meaning, tiles_of, unit
from reports.view import RunView, world
from reports.wording import count, duration, measured, plural, sentence

_LARGEST_SVG = 900_000  # characters; a larger drawing is put in as pixels, so that the page stays below 2 MB


@dataclass(frozen=True, slots=True)
class Drawing:
    """One figure in both its forms, and what it shows in words."""

    name: str
    alternative: str
    svg: str
    png: bytes

    @property
    def markup(self) -> Markup:
        """The figure as an element of a page."""
        if len(self.svg) <= _LARGEST_SVG:
            return Markup(inline(self.svg, self.name, self.alternative))  # drawn by us, its words escaped
        data = b64encode(self.png).decode()
        return Markup('<img alt="{}" src="data:image/png;base64,{}">').format(self.alternative, data)


@dataclass(frozen=True, slots=True)
class Drawings:
    """The page's figures, as markup."""

    timeline: Markup
    news: Markup


@dataclass(frozen=True, slots=True)
class Sign:
    """A verdict: its name and its symbol; the page's style gives it the colour."""

    name: Verdict
    symbol: str


@dataclass(frozen=True, slots=True)
class Chip:
    """One fact of the page's head."""

    label: str
    value: str


def render(view: RunView, fleet: Fleet, timeline: Drawing, news: Drawing) -> str:
    """The page of one run."""
    invariants = invariant_rows(view)
    return (
        environment()
        .get_template("report.html.jinja")
        .render(
            view=view,
            verdict=sign(view.judgement.verdict),
            reason=sentence(fleet.named(view.judgement.reason)),
            chips=tuple(chips_of(view)),
            tiles=tiles_of(view),
            drawings=Drawings(timeline.markup, news.markup),
            breaches=breaches(view, fleet),
            news=news_rows(view.news, fleet),
            invariants=invariants,
            invariant_summary=_summary(invariants),
            faults=fault_rows(view, fleet),
            metrics=tuple(
                (name, measured(value, unit(name)), meaning(name)) for name, value in view.judgement.metrics.items()
            ),
            environment=tuple(view.environment.items()),
        )
    )


def environment() -> Environment:
    """The template engine: everything is escaped, and a name that is not there is an error."""
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
    )


def sign(verdict: Verdict) -> Sign:
    """A verdict as it is shown."""
    return Sign(verdict, VERDICT_SYMBOLS[verdict])


def chips_of(view: RunView) -> Iterator[Chip]:
    """What was run, in a line."""
    scenario = view.scenario
    yield Chip("world", world(view.mode))
    yield Chip("seed", str(view.seed))
    yield Chip("duration", duration(scenario.duration))
    places = len(scenario.topology.places)
    yield Chip("fleet", f"{plural(scenario.topology.instances, 'instance')}, {plural(places, 'worker')}")
    yield Chip("providers", " → ".join(p.name for p in scenario.ordered_providers))
    yield Chip("events", count(len(view.history.entries)))


def _summary(rows: tuple[InvariantRow, ...]) -> str:
    """`9 held, 1 broken, 2 not exercised`."""
    return ", ".join(f"{number} {word}" for word, number in Counter(row.word for row in rows).items())
