"""Every figure can be drawn of whatever a run left behind, and the same run gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import pytest
from made_history import a_scenario, a_view, all_failed, an_outage, frozen, replaced

from harness.history import History, WorkerUp
from reports.figures import encode
from reports.figures.news import spread
from reports.figures.timeline import story_of, timeline, timelines
from reports.series.news import heard
from reports.view import RunView

PNG = b"\x89PNG\r\n\x1a\n"


def an_idle_run() -> RunView:
    quiet = a_scenario(1, 2, load=[{"arrival": "constant", "rate": "0/s"}], faults=[], expect=[])
    return a_view(quiet, an_outage(quiet))


def one_worker() -> RunView:
    small = a_scenario(1, 1, "5/s")
    return a_view(small, an_outage(small))


def only_failures() -> RunView:
    down = a_scenario(1, 2, "10/s", faults=[])
    return a_view(down, all_failed(down))


def nothing_at_all() -> RunView:
    return a_view(a_scenario(), History([]))


def a_huge_fleet() -> RunView:
    huge = a_scenario(50, 20, "60/s")
    return a_view(huge, an_outage(huge))


def deaths_and_pauses() -> RunView:
    scenario = a_scenario(1, 3, "20/s")
    history = an_outage(scenario)
    first, _, third = (up.worker for up in history.all(WorkerUp))
    return a_view(scenario, frozen(replaced(history, first, 25.0, 26.2), third, 27.0, 31.0))


RUNS = (an_idle_run, one_worker, only_failures, nothing_at_all, a_huge_fleet, deaths_and_pauses)


@pytest.mark.parametrize("run", RUNS)
def test_any_run_can_be_drawn(run: Callable[[], RunView]) -> None:
    view = run()
    for figure in (timeline(story_of(view)), spread(heard(view.news), limit_s=0.05)):
        assert encode.png(figure).startswith(PNG)
        assert ElementTree.fromstring(encode.svg(figure)).tag.endswith("svg")


def test_a_fleet_too_large_for_strips_is_shown_by_shares() -> None:
    drawn = encode.svg(timeline(story_of(a_huge_fleet())))
    assert "share of 1,000 workers" in drawn
    assert ">1.1<" not in drawn
    assert len(drawn) < 900_000


def test_strips_name_every_worker() -> None:
    scenario = a_scenario(2, 3, "20/s")
    drawn = encode.svg(timeline(story_of(a_view(scenario, an_outage(scenario)))))
    assert all(f">{place}<" in drawn for place in ("1.1", "1.2", "1.3", "2.1", "2.2", "2.3"))


def test_the_same_run_gives_the_same_bytes() -> None:
    twice = [timeline(story_of(one_worker())) for _ in range(2)]
    assert encode.svg(twice[0]) == encode.svg(twice[1])
    assert encode.png(twice[0]) == encode.png(twice[1])


def test_what_was_drawn_before_leaves_no_trace() -> None:
    figure = timeline(story_of(one_worker()))
    alone = encode.svg(figure)
    encode.png(figure)
    assert encode.svg(figure) == alone


def test_drawing_leaves_the_settings_of_matplotlib_alone() -> None:
    before = dict(matplotlib.rcParams)
    encode.png(timeline(story_of(one_worker())))
    assert dict(matplotlib.rcParams) == before


def test_runs_side_by_side_have_equal_axes() -> None:
    short, long = one_worker(), only_failures()
    figure = timelines((story_of(short, "short"), story_of(long, "long")))
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    requests = [axes for axes in figure.axes if axes.get_ylabel() == "requests/s"]
    assert len(requests) == 2
    assert len({axes.get_ylim() for axes in requests}) == 1


def test_ids_in_an_inline_drawing_are_its_own() -> None:
    document = '<?xml?><svg viewBox="0 0 1 1" id="svg1"><g id="a" clip-path="url(#b)"/><use xlink:href="#c"/></svg>'
    assert encode.inline(document, "x", 'says "so"') == (
        '<svg viewBox="0 0 1 1" role="img" aria-label="says &quot;so&quot;">'
        '<g id="x-a" clip-path="url(#x-b)"/><use xlink:href="#x-c"/></svg>'
    )


def test_what_is_no_drawing_is_refused() -> None:
    with pytest.raises(ValueError, match="not an SVG"):
        encode.inline("<html></html>", "x", "")
