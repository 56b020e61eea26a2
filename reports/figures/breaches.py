"""The lane of violations: when which invariant was broken."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from harness.checkers.finding import KEPT, Finding
from reports.figures import style
from reports.figures.panel import Panel
from reports.palette import INK, VERDICT_COLOURS

_LANE_IN = 0.19
_LEFT_SIDE_FROM = 0.72  # share of the width beyond which a name goes to the left of its marks


def breach_panels(findings: Sequence[Finding], end: float) -> tuple[Panel, ...]:
    """A panel with a row for each broken invariant; none, if none was."""
    broken = sorted((f for f in findings if f.violations), key=lambda f: f.violations[0].t)
    if not broken:
        return ()

    def draw(axes: Axes) -> None:
        axes.set_ylim(len(broken) - 0.45, -0.55)
        axes.set_yticks([])
        axes.spines[["left", "bottom"]].set_visible(False)
        for row, finding in enumerate(broken):
            _marks(axes, row, finding, end)

    cut = any(f.found > len(f.violations) for f in broken)
    return (Panel(f"Violations · the first {KEPT} of each" if cut else "Violations", _LANE_IN * len(broken), draw),)


def _marks(axes: Axes, row: int, finding: Finding, end: float) -> None:
    at = [min(max(v.t, 0.0), end) for v in finding.violations]
    colour = VERDICT_COLOURS["fail"]
    axes.scatter(at, [row] * len(at), marker="|", s=70, linewidths=1.4, color=colour, zorder=6)
    right = max(at) <= _LEFT_SIDE_FROM * end
    axes.text(
        max(at) + 0.006 * end if right else min(at) - 0.006 * end,
        row,
        finding.id,
        ha="left" if right else "right",
        va="center",
        fontsize=style.TEXT_PT,
        color=INK,
        zorder=7,
    )
