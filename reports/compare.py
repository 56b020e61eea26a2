"""Two runs beside each other, above all the simulated and the real one of one scenario: do they tell the same story?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reports.figures import encode
from reports.figures.timeline import Story, story_of, timelines
from reports.page import Drawing, Sign, environment, sign
from reports.palette import Verdict
from reports.tables import InvariantRow, invariant_rows
from reports.tiles import KEY_FIGURES, title, unit
from reports.view import RunView, world
from reports.wording import measured, ratio, sentence, share

_TIMELINES = "Faults, breaker states, requests per second and latency of both runs on one axis of time."


@dataclass(frozen=True, slots=True)
class Column:
    """One of the two runs."""

    name: str
    verdict: Sign
    reason: str
    seed: int


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of both runs. `allowed`: how far the scenario lets them differ, with `verdict`, if it says."""

    label: str
    metric: str
    a: str
    b: str
    ratio: str
    key: bool
    allowed: str = ""
    verdict: Sign | None = None


@dataclass(frozen=True, slots=True)
class InvariantPair:
    """One invariant's verdict in both runs."""

    id: str
    sentence: str
    a: InvariantRow
    b: InvariantRow


def side_by_side(a: RunView, b: RunView, out: Path) -> Path:
    """Write the page that compares two runs to the file `out`; its path."""
    names = _names(a, b)
    stories = [story_of(view, name) for view, name in zip((a, b), names, strict=True)]
    figure = timelines(stories)
    drawing = Drawing("timelines", _TIMELINES, encode.svg(figure), encode.png(figure))
    page = (
        environment()
        .get_template("compare.html.jinja")
        .render(
            scenario=a.scenario,
            other=b.scenario if b.scenario.name != a.scenario.name else None,
            columns=tuple(_column(story) for story in stories),
            figures=tuple(figure_rows(a, b)),
            timelines=drawing.markup,
            invariants=tuple(_invariants(a, b)),
        )
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page, encoding="utf-8")
    return out


def figure_rows(a: RunView, b: RunView) -> Iterator[FigureRow]:
    """Every metric that one of them has: the key figures first, then the rest by name."""
    known = a.judgement.metrics.keys() | b.judgement.metrics.keys()
    rest = sorted(known - set(KEY_FIGURES))
    for name in [*(n for n in KEY_FIGURES if n in known), *rest]:
        x, y = a.judgement.metrics.get(name), b.judgement.metrics.get(name)
        if x is None and y is None:
            continue
        allowed, verdict = _fidelity(a, name, x, y)
        kind = unit(name)
        key = name in KEY_FIGURES or bool(allowed)
        yield FigureRow(title(name), name, measured(x, kind), measured(y, kind), ratio(x, y), key, allowed, verdict)


def _fidelity(view: RunView, name: str, a: float | None, b: float | None) -> tuple[str, Sign | None]:
    """What the scenario allows the two runs to differ by, and whether they keep to it."""
    tolerance = view.scenario.fidelity.get(name)
    if tolerance is None:
        return "", None
    words = "equal" if tolerance == "exact" else f"± {share(tolerance)}"
    return words, sign(_within(a, b, 0.0 if tolerance == "exact" else tolerance))


def _within(a: float | None, b: float | None, tolerance: float) -> Verdict:
    if a is None or b is None:
        return "unknown"
    return "pass" if abs(a - b) <= tolerance * abs(b) else "fail"


def _invariants(a: RunView, b: RunView) -> Iterator[InvariantPair]:
    """The invariants that both have been asked."""
    others = {row.id: row for row in invariant_rows(b)}
    for row in invariant_rows(a):
        if row.id in others:
            yield InvariantPair(row.id, row.sentence, row, others[row.id])


def _column(story: Story) -> Column:
    judged = story.run.judgement
    reason = sentence(story.fleet.named(judged.reason))
    return Column(story.name, sign(judged.verdict), reason, story.run.seed)


def _names(a: RunView, b: RunView) -> tuple[str, str]:
    """What tells the two apart: the world, else the seed, else the scenario, else only their order."""
    for x, y in (
        (world(a.mode), world(b.mode)),
        (f"seed {a.seed}", f"seed {b.seed}"),
        (a.scenario.name, b.scenario.name),
    ):
        if x != y:
            return x, y
    return "first", "second"
