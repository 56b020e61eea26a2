"""The dashboard asks for metrics that there are, by labels that they have."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from flexiai.app.telemetry.catalogue import FAMILIES, Family

FOLDER = Path(__file__).parents[3] / "examples" / "grafana"
PROMETHEUS_OWN = {"instance", "job", "le"}
SELECTOR = re.compile(r"(flexiai_\w+)(?:\{([^}]*)\})?")


def names_of(family: Family) -> set[str]:
    """The names of the samples that a family has."""
    if family.kind == "histogram":
        return {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
    return {family.name}


KNOWN = {name: family for family in FAMILIES for name in names_of(family)}


def labels_of(family: Family) -> set[str]:
    own = {"pid"} if family.across in ("worker", "age") else set()
    return {*family.labels, *own, *PROMETHEUS_OWN}


def expressions() -> list[tuple[str, str]]:
    """Every query of the dashboard, with the title of its panel."""
    dashboard: dict[str, Any] = json.loads((FOLDER / "flexiai.json").read_text())
    panels = [(p["title"], target["expr"]) for p in dashboard["panels"] for target in p.get("targets", ())]
    return panels + [(a["name"], a["expr"]) for a in dashboard["annotations"]["list"]]


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_a_panel_asks_for_what_there_is(title: str, expression: str) -> None:
    asked = SELECTOR.findall(expression)
    assert asked, f"{title} asks for nothing of ours"
    for name, selector in asked:
        assert name in KNOWN, f"{title}: there is no {name}"
        labels = set(re.findall(r"(\w+)\s*(?:=~|!=|!~|=)", selector))
        assert labels <= labels_of(KNOWN[name]), f"{title}: {name} has no {labels - labels_of(KNOWN[name])}"


@pytest.mark.parametrize(("title", "expression"), expressions())
def test_a_panel_groups_by_labels_that_there_are(title: str, expression: str) -> None:
    families = [KNOWN[name] for name, _ in SELECTOR.findall(expression)]
    for group in re.findall(r"by \(([^)]*)\)", expression):
        for label in group.split(","):
            assert any(label.strip() in labels_of(family) for family in families), f"{title}: no label {label}"


def test_every_metric_has_a_place_on_the_dashboard() -> None:
    shown = {name for _, expression in expressions() for name, _ in SELECTOR.findall(expression)}
    assert [family.name for family in FAMILIES if not names_of(family) & shown] == []


def test_the_alerts_that_are_recommended_ask_for_what_there_is() -> None:
    asked = SELECTOR.findall((FOLDER / "README.md").read_text())
    assert len(asked) >= 5
    assert [name for name, _ in asked if name not in KNOWN] == []


def test_every_metric_is_documented() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "running.md").read_text()
    assert [family.name for family in FAMILIES if f"`{family.name}" not in documented] == []
