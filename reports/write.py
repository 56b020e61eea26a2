"""Draws a run and writes what was drawn: the page, its figures as files, and JUnit XML."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from reports.figures import encode
from reports.figures.news import spread
from reports.figures.timeline import story_of, timeline
from reports.junit import junit
from reports.page import Drawing, render
from reports.series.news import heard
from reports.view import RunView

_TIMELINE = "Faults, breaker states of every worker, requests per second and latency over the run's time."
_NEWS = "Distribution of the time from a transition on one worker to its being applied on the others."


def write(run: RunView, out: Path) -> Path:
    """Write everything into `out`, which is made if need be; the path of the page."""
    story = story_of(run)
    time = _drawing("timeline", _TIMELINE, timeline(story))
    news = _drawing("sync-latency", _NEWS, spread(heard(run.news), _limit(run)))
    plots = out / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    for drawing in (time, news):
        save(drawing, plots)
    (out / "junit.xml").write_bytes(junit(run))
    page = out / "report.html"
    page.write_text(render(run, story.fleet, time, news), encoding="utf-8")
    return page


def save(drawing: Drawing, folder: Path) -> None:
    """A figure as two files."""
    (folder / f"{drawing.name}.png").write_bytes(drawing.png)
    (folder / f"{drawing.name}.svg").write_text(drawing.svg, encoding="utf-8")


def _drawing(name: str, alternative: str, figure: Figure) -> Drawing:
    return Drawing(name, alternative, encode.svg(figure), encode.png(figure))


def _limit(run: RunView) -> float | None:
    """The scenario's own bound on the 99th percentile of sync latency, if it has one."""
    expected = () if run.scenario.expect == "fail" else run.scenario.expect
    return next((e.value for e in expected if e.metric == "sync_latency.p99" and e.op in ("<", "<=")), None)
