"""What people look at after a run: one page, its figures, and JUnit XML.

Drawing is imported when it is asked for: it takes most of a second, which the command line does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.history import History
from harness.scenario import Scenario
from reports.view import RunView, mode_of

if TYPE_CHECKING:
    from harness.verdict import Judgement


def build(  # noqa: PLR0917 - all that a run leaves behind, once
    scenario: Scenario, seed: int, history: History, judgement: Judgement, environment: Mapping[str, str], out: Path
) -> Path:
    """Write the report of a run into the directory `out`; the path of `report.html`."""
    return write_report(RunView(scenario, mode_of(history), seed, history, judgement, environment), out)


def write_report(run: RunView, out: Path) -> Path:
    """Write `report.html`, `plots/*.png`, `plots/*.svg` and `junit.xml` into `out`; the path of the page."""
    from reports.write import write  # noqa: PLC0415 - see above

    return write(run, out)


def side_by_side(a: RunView, b: RunView, out: Path) -> Path:
    """Write a page that shows two runs beside each other to the file `out`; its path."""
    from reports.compare import side_by_side as compared  # noqa: PLC0415 - see above

    return compared(a, b, out)


__all__ = ["RunView", "build", "side_by_side", "write_report"]
