"""The vocabulary as people read it: each fault with all that one must know, and the documentation says the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.fault_table import described, markdown
from harness.faults import BOTH, KINDS, Fault
from harness.real.injectors import MAKERS as REAL
from harness.sim.injectors import MAKERS as SIM

DOCS = Path(__file__).parents[2] / "docs" / "harness.md"


def test_the_documentation_has_the_table_of_today() -> None:
    assert markdown() in DOCS.read_text(), "docs/harness.md: the table is fault_table.markdown()"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.of}-{kind.name}")
def test_a_fault_can_be_done_in_the_worlds_that_it_names_and_says_why_in_no_other(kind: type[Fault]) -> None:
    assert kind.worlds == {world for world, makers in (("sim", SIM), ("real", REAL)) if kind in makers}
    assert (kind.worlds == BOTH) is (kind.why_not == "")


def test_each_parameter_tells_what_it_may_be_and_what_it_is_unsaid() -> None:
    told = {line for one in described() for line in one.splitlines()}
    assert "  parameters: status (400 to 599; 503); share (a part, 30% or 0.3; 1)" in told
    assert "  parameters: data (empty or persisted; empty)" in told
    assert any("retry_after (a time, such as 300ms; optional); date (true or false; false)" in line for line in told)
    assert any(line.endswith("rate (above 0.1, below 10; required)") for line in told)


def test_every_fault_is_described_with_a_cause_and_an_example() -> None:
    told = list(described())
    assert len(told) == len(KINDS)
    assert all("cause: " in one and "example: {" in one and "worlds: " in one for one in told)
