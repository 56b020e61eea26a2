"""The catalogue of planted defects: each can be planted, changes something, and is taken out again."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from lupa import lua51

from flexiai.core.breaker import Breaker
from flexiai.failover import Failover
from flexiai.sync import scripts
from flexiai.sync.listener import Listener
from flexiai.sync.scripts import Script
from harness.campaign.command import find
from harness.campaign.plan import load
from harness.checkers import CHECKERS
from harness.cli import cli
from harness.coverage import PATH_IDS
from harness.exit_codes import FAIL, PASS, UNKNOWN
from harness.mutants import MUTANTS, Mutant
from harness.mutants import hunt as hunting
from harness.mutants.hunt import UNHARMED, Hunt, Size, page
from harness.mutants.ledger import Ledger, terms_of
from harness.mutants.plant import Make, replaced
from harness.rundir import RunDirError, read_capsule

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


def test_a_seed_that_fails_without_the_mutant_too_is_no_find(monkeypatch):
    objections = {("never-opens", 1): {"recovers"}, ("never-opens", 2): {"recovers"}, (UNHARMED, 2): {"settles"}}
    monkeypatch.setattr(hunting, "_objections", lambda plan, mutant, seed: objections.get((mutant, seed), set()))
    plan = load(find("mutants"), PATH_IDS, [c.id for c in CHECKERS])
    hunt = hunting.hunt(plan, "never-opens", range(1, 4))
    assert (hunt.found, hunt.anyway, hunt.first, hunt.by) == (1, 1, 1, {"recovers": 1})
    assert "**The code as it is was objected to**, in 1 seed: these are no finds." in page([hunt])
    assert not any("objected to" in line for line in page([Hunt("never-opens", seeds=3, found=1, first=1)]))


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """What is kept of one mutant."""
    folder = tmp_path_factory.mktemp("kept")
    command = [
        "mutants",
        "worst-first",
        "--seeds",
        "12",
        "--enough",
        "1",
        "--jobs",
        "1",
        "--shrink",
        "--keep",
        str(folder),
    ]
    assert CliRunner().invoke(cli, command, standalone_mode=False).return_value == PASS
    return folder


@pytest.mark.parametrize("folder", ["worst-first", "worst-first-shrunk"])
@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("replay --no-report", FAIL, "the same history, byte for byte"),
        ("explain", FAIL, "priority-order"),
        ("compare", None, None),
        ("shrink", PASS, "still fails priority-order"),
    ],
)
def test_a_kept_capsules_mutant_is_planted_again(kept, tmp_path, monkeypatch, folder, command, code, told):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(kept / folder, "it")
    assert read_capsule(Path("it")).mutant == "worst-first"
    if not command.startswith("replay"):
        Path("it/history.jsonl").unlink()  # so that it has to be run again
    ran = CliRunner().invoke(cli, [*command.split(), "it"], standalone_mode=False)
    assert ran.exception is None
    assert "worst-first" in ran.output
    assert "planted" in ran.output
    if command == "compare":
        assert ran.return_value in (PASS, UNKNOWN)
        assert "failed nothing" not in ran.output
        assert all(read_capsule(p).mutant == "worst-first" for p in tmp_path.glob("runs/*/2*/capsule.yaml"))
        return
    assert (ran.return_value, told in ran.output) == (code, True), ran.output
    if command == "shrink":
        again = CliRunner().invoke(cli, ["replay", "--no-report", "it/shrunk"], standalone_mode=False)
        assert again.return_value == FAIL, again.output


def test_a_capsules_mutant_must_be_in_the_catalogue(kept, tmp_path):
    text = (kept / "worst-first" / "capsule.yaml").read_text()
    (tmp_path / "capsule.yaml").write_text(text.replace("mutant: worst-first", "mutant: worst-frist"))
    ran = CliRunner().invoke(cli, ["replay", str(tmp_path / "capsule.yaml")], standalone_mode=False)
    assert isinstance(ran.exception, RunDirError)
    assert "did you mean 'worst-first'" in str(ran.exception)
    (tmp_path / "capsule.yaml").write_text(text.replace("mode: sim", "mode: real"))
    with pytest.raises(RunDirError, match="only be planted in a simulation"):
        read_capsule(tmp_path / "capsule.yaml")


def test_a_size_says_that_the_runs_were_used_up():
    assert str(Size(runs=200, faults=2, workers=1, duration_s=2)) == "200 runs (the bound): 2 faults, 1 worker, 2 s"


def test_a_change_of_a_script_that_does_not_say_where_is_an_error():
    script = Script("a b b", "")
    assert replaced(script, ("a", "c"), ("c b b", "d")).text == "d"
    for nowhere_or_twice in ("x", "b"):
        with pytest.raises(AttributeError, match="out of date"):
            replaced(script, ("a", "c"), (nowhere_or_twice, "d"))


def test_no_two_mutants_change_the_code_in_the_same_way():
    changes = {mutant.id: changed_by(mutant) for mutant in MUTANTS.values()}
    assert len(set(changes.values())) == len(changes)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda m: m.id)
def test_a_mutated_script_is_still_lua(mutant: Mutant):
    for text in (what for _, what in changed_by(mutant) if isinstance(what, str)):
        lua51.LuaRuntime().compile(text)  # as the simulated store does


def changed_by(mutant: Mutant) -> frozenset[tuple[str, object]]:
    """What a mutant replaces, and by what: a script's text, or a function's code and what that encloses."""
    found = []

    def note(owner: object, name: str, make: Make) -> None:
        found.append((f"{owner.__name__}.{name}", substance(make(vars(owner)[name]))))

    mutant.plant(note)
    return frozenset(found)


def substance(what: object) -> object:
    if isinstance(what, Script):
        return what.text
    function = what.fget if isinstance(what, property) else what
    closure = getattr(function, "__closure__", None) or ()
    enclosed = tuple(repr(cell.cell_contents) for cell in closure)
    return (function.__code__.co_code, function.__code__.co_consts, function.__code__.co_names, enclosed)


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
