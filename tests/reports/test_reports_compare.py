"""Two runs beside each other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_history import a_scenario, a_view, an_outage

import reports
from reports.compare import figure_rows
from reports.view import RunView


def a_pair(fidelity: dict[str, str]) -> tuple[RunView, RunView]:
    scenario = a_scenario(1, 3, "30/s", fidelity=fidelity)
    simulated = a_view(scenario, an_outage(scenario))
    return simulated, replace(a_view(scenario, an_outage(scenario, seed=8)), mode="real")


@pytest.fixture(scope="module")
def pair() -> tuple[RunView, RunView]:
    return a_pair({"sync_latency.p50": "25%", "opens": "exact"})


def test_the_page_has_both_verdicts_figures_and_timelines(pair: tuple[RunView, RunView], tmp_path: Path) -> None:
    page = reports.side_by_side(*pair, tmp_path / "deep" / "compare.html")
    assert page == tmp_path / "deep" / "compare.html"
    text = page.read_text(encoding="utf-8")
    verdicts = [f"{name}: {run.judgement.verdict}" for name, run in zip(("simulated", "real"), pair, strict=True)]
    assert all(words in text for words in (*verdicts, "real ÷ simulated", "simulated · Breaker of"))
    assert len(text) < 2_000_000


def test_figures_are_compared_by_their_ratio_and_held_to_what_is_allowed(pair: tuple[RunView, RunView]) -> None:
    rows = {row.metric: row for row in figure_rows(*pair)}
    assert rows["opens"].ratio == "="
    assert rows["opens"].verdict is not None
    assert rows["opens"].verdict.name == "pass"
    assert rows["sync_latency.p50"].ratio.startswith("× ")
    assert rows["sync_latency.p50"].allowed.endswith("25\u202f%")
    assert rows["probes"].verdict is None


def with_metric(view: RunView, value: float | None) -> RunView:
    metrics = {**view.judgement.metrics, "sync_latency.p50": value}
    return replace(view, judgement=replace(view.judgement, metrics=metrics))


@pytest.mark.parametrize(
    ("simulated", "real", "verdict"),
    [(0.75, 1.0, "pass"), (1.25, 1.0, "pass"), (0.74, 1.0, "fail"), (1.26, 1.0, "fail"), (None, 1.0, "unknown")],
)
def test_the_allowance_is_relative_to_the_second_run(
    pair: tuple[RunView, RunView], simulated: float | None, real: float, verdict: str
) -> None:
    rows = figure_rows(with_metric(pair[0], simulated), with_metric(pair[1], real))
    sign = next(row.verdict for row in rows if row.metric == "sync_latency.p50")
    assert sign is not None
    assert sign.name == verdict
