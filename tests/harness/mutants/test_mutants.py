"""The catalogue of planted defects: each can be planted, changes something, and is taken out again."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from flexiai.core.breaker import Breaker
from flexiai.failover import Failover
from flexiai.sync import scripts
from flexiai.sync.listener import Listener
from harness.campaign.command import find
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.cli import cli
from harness.coverage import PATH_IDS
from harness.mutants import MUTANTS, Mutant
from harness.mutants.hunt import UNHARMED, Hunt, Size, page
from harness.mutants.ledger import Ledger, terms_of

TARGETS = (Breaker, Failover, Listener, scripts)


def code() -> list[object]:
    """What stands in the places where most defects are planted."""
    return [value for target in TARGETS for _, value in sorted(vars(target).items())]


def test_there_are_at_least_25_each_from_a_real_failure():
    assert len(MUTANTS) >= 25
    assert all(mutant.seen and mutant.defect for mutant in MUTANTS.values())


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda m: m.id)
def test_a_mutant_is_taken_out_again_whatever_happens(mutant: Mutant):
    before = code()
    with pytest.raises(KeyError), mutant.planted():
        raise KeyError
    assert all(a is b for a, b in zip(before, code(), strict=True))


def test_a_mutant_of_what_is_not_there_is_an_error():
    mutant = Mutant(
        "x", "breaker", "", "", lambda swap: swap(Breaker, "no_such_method", lambda original: original), "mutants"
    )
    with pytest.raises(AttributeError, match="out of date"), mutant.planted():
        pass


def test_the_production_code_knows_nothing_of_mutants():
    for target in TARGETS:
        assert "mutant" not in inspect.getsource(inspect.getmodule(target) or target)


def test_hunts_add_up_and_make_a_page_with_the_least_found_first():
    hunt = Hunt("never-opens", seeds=10, found=0)
    hunt.add(Hunt("never-opens", seeds=10, found=2, by={"opens-when-due": 2}, first=14))
    hunt.add(Hunt("never-opens", seeds=10, found=1, by={"opens-when-due": 1, "recovers": 1}, first=23))
    hunt.shrunk = Size(runs=87, faults=1, workers=2, duration_s=3.5)
    assert (hunt.seeds, hunt.found, hunt.first) == (30, 3, 14)
    lines = page([hunt, Hunt("worst-first", seeds=5), Hunt(UNHARMED, seeds=5)])
    assert lines[4].startswith("1 of 2 planted defects were found")
    unharmed, least, most = (line for line in lines if line.startswith("| `"))
    assert unharmed.startswith("| `none` ")
    assert least.endswith("| **nobody** | – |")
    assert most.endswith("| 3 of 30 | 14 | `opens-when-due` 3, `recovers` 1 | 87 runs: 1 fault, 2 workers, 3.5 s |")
    assert lines[-1].endswith("at most 87 runs, and left at most 1 fault and 2 workers.")


def test_every_mutants_campaign_comes_with_the_harness():
    assert all(find(mutant.plan).exists() for mutant in MUTANTS.values())


def test_a_ledger_gives_back_what_was_done_on_the_same_terms(tmp_path: Path):
    plan, file = load(find("mutants"), PATH_IDS, [c.id for c in CHECKERS]), tmp_path / "done"
    terms = terms_of(plan, seeds=10, enough=0, shrunk=False)
    hunt = Hunt("never-opens", seeds=10, found=2, by={"recovers": 2}, first=3)
    Ledger(file).note(hunt, terms)
    again = Ledger(file)
    assert again.done("never-opens", plan, terms) == hunt
    assert again.done("worst-first", plan, terms) is None
    assert again.done("never-opens", plan, terms_of(plan, seeds=11, enough=0, shrunk=False)) is None


def test_what_is_no_ledger_is_an_error(tmp_path: Path):
    (tmp_path / "notes").write_text("not a hunt\n")
    with pytest.raises(ValueError, match="no finished hunts"):
        Ledger(tmp_path / "notes")


def test_the_command_resumes_and_writes_a_page(tmp_path: Path):
    command = ["mutants", UNHARMED, "worst-first", "--seeds", "12", "--enough", "1", "--jobs", "1", "--shrink"]
    files = ["--resume", str(tmp_path / "done"), "--table", str(tmp_path / "page.md")]
    first, second = (CliRunner().invoke(cli, [*command, *files], standalone_mode=False) for _ in range(2))
    assert (first.return_value, first.output) == (0, second.output)
    assert len((tmp_path / "done").read_bytes().splitlines()) == 2  # the second time nothing was left to do
    assert "`priority-order`" in (tmp_path / "page.md").read_text()
