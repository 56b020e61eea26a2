"""`harness shrink`, `explain` and `compare`: what is done with a failing run."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import click

from harness import console, rundir
from harness.campaign.one import SeedRun, simulate
from harness.checkers import Case
from harness.exit_codes import FAIL, OF_VERDICT, PASS, UNKNOWN
from harness.explain import stories
from harness.history import History
from harness.metrics import METRICS
from harness.mutants.again import planted, told
from harness.nearest import divergence, nearest
from harness.rundir import Capsule, Record, RunDir, RunDirError
from harness.scenario import Scenario
from harness.shrink import MOST_RUNS, Shrunk, failed_check, shrink, written
from harness.verdict import Judgement, judge_case

_capsule = click.argument("capsule", type=click.Path(path_type=Path))


@click.command("shrink")
@_capsule
@click.option("--runs", type=click.IntRange(1), default=MOST_RUNS, show_default=True, help="Most runs to spend.")
@click.option("--out", type=click.Path(path_type=Path), help="The scenario file. [default: shrunk.yaml beside CAPSULE]")
def shrink_command(capsule: Path, runs: int, out: Path | None) -> int:
    """Make a failing capsule's scenario as small as it can be while it still fails the same check."""
    before = _simulated(capsule)
    _tell_planted(before.mutant)
    with planted(before.mutant):
        shrunk = shrink(before.scenario, before.seed, runs=runs, tell=_progress)
    click.echo("", err=True)
    if shrunk is None:
        click.echo("  it fails nothing: there is nothing to shrink")
        return UNKNOWN
    path = out or (capsule if capsule.is_dir() else capsule.parent) / "shrunk.yaml"
    small = shrunk.scenario
    with_it = f" with {before.mutant} planted" if before.mutant else ""
    description = f"Shrunk from {before.scenario.name}, seed {before.seed}: fails {shrunk.check}{with_it}."
    _write(path, written(shrunk, name=f"{before.scenario.name[:70]}-small", description=description))
    click.echo(
        f"✓ still fails {shrunk.check} after {shrunk.runs} runs: {len(before.scenario.faults)} faults became "
        f"{len(small.faults)}, {len(before.scenario.topology.places)} workers {len(small.topology.places)}, "
        f"{before.scenario.duration:g} s {small.duration:g} s\n"
        f"  {_again(shrunk, path, before.mutant)}"
    )
    return PASS


def _again(shrunk: Shrunk, file: Path, mutant: str | None) -> str:
    """A line that runs the smallest again. A file names no mutant: there is a capsule then, beside the file."""
    if mutant is None:
        return f"harness run {file} --seed {shrunk.seed}            # in simulation; for real: --mode real"
    folder = RunDir(rundir.fresh(file.parent, file.stem))
    ran = shrunk.ran
    record = Record(ran.scenario, "sim", ran.seed, ran.history, ran.judged, ran.wall_s, mutant)
    folder.write(record, latest=False)
    return f"harness replay {folder.path}            # with {mutant} planted, as the capsule says"


@click.command("explain")
@_capsule
def explain_command(capsule: Path) -> int:
    """Tell what led to each violation of a run (or of a capsule, which is run again)."""
    run = _run_of(capsule)
    _tell_planted(run.mutant)
    violations = [v for f in run.judged.findings for v in f.violations]
    for story in stories(run.case, violations):
        click.echo(f"{story.told()}\n")
    if not violations:
        click.echo(f"nothing was violated: {run.judged.reason}")
        return OF_VERDICT[run.judged.verdict]
    click.echo("  * of the violation itself   ! faults   ~ what did not reach somebody")
    return FAIL


@click.command("compare")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
def compare_command(run: Path, other: Path | None) -> int:
    """Two runs side by side; with one, a failing one, beside the nearest that passes (it is searched for)."""
    one = _run_of(run)
    _tell_planted(one.mutant)
    if other is not None:
        another = _run_of(other)
        if another.mutant != one.mutant:
            _tell_planted(another.mutant, "in the other")
        return _beside(one, another, f"{run} and {other}")
    check = failed_check(SeedRun(one.scenario, one.seed, one.history, one.judged, one.case, 0.0, None))
    if check is None:
        click.echo(f"it failed nothing ({one.judged.reason}): name another run to compare it with")
        return UNKNOWN
    with planted(one.mutant):
        found = nearest(one.scenario, one.seed, check)
    if found is None:
        click.echo(f"no run near it passes {check}: neither without any one of its faults nor of the next seeds")
        return UNKNOWN
    passing = found.ran
    folder = RunDir.create(Path("runs"), passing.scenario.name, "sim", passing.seed)
    p = passing
    folder.write(Record(p.scenario, "sim", p.seed, p.history, p.judged, p.wall_s, one.mutant))
    _beside(one, _Run(passing.scenario, passing.seed, passing.case, passing.judged), f"it, and {found.difference}")
    click.echo(f"  the run that does not fail of it: {folder.path}")
    return PASS


@dataclass(frozen=True, slots=True)
class _Run:
    """A run that was read, or run again."""

    scenario: Scenario
    seed: int
    case: Case
    judged: Judgement
    mode: rundir.RunMode = "sim"
    mutant: str | None = None

    @property
    def history(self) -> History:
        return self.case.history


def _run_of(path: Path) -> _Run:
    """The run in a directory, judged by the checkers of today; a capsule on its own is run again."""
    capsule = rundir.read_capsule(path)
    folder = path if path.is_dir() else path.parent
    if capsule.mode == "sim" and not (folder / "history.jsonl").exists():
        with planted(capsule.mutant):
            ran = simulate(capsule.scenario, capsule.seed, figures=True)
        return _Run(ran.scenario, ran.seed, ran.case, ran.judged, mutant=capsule.mutant)
    # What happened once for real is in its history or nowhere, and a damaged one is not passed over.
    case = Case(capsule.scenario, capsule.seed, rundir.read_history(folder))
    return _Run(capsule.scenario, capsule.seed, case, judge_case(case), capsule.mode, capsule.mutant)


def _simulated(path: Path) -> Capsule:
    capsule = rundir.read_capsule(path)
    if capsule.mode != "sim":
        raise RunDirError(f"{path}: a run for real cannot be repeated; simulate its scenario first: harness run")
    return capsule


def _beside(one: _Run, other: _Run, what: str) -> int:
    click.echo(f"{what}:\n")
    records = [Record(r.scenario, r.mode, r.seed, r.history, r.judged, 0.0) for r in (one, other)]
    click.echo(console.table(records, {n: m.unit for n, m in METRICS.items()}))
    parted = divergence(one.history.entries, other.history.entries)
    if parted is not None:
        click.echo(f"\n  they part at\n    {parted[0]}\n    {parted[1]}")
    return PASS


def _tell_planted(mutant: str | None, where: str = "in the code") -> None:
    if mutant is not None:
        click.echo(f"  planted {where}: {told(mutant)}\n")


def _progress(runs: int, smallest: Scenario) -> None:
    if sys.stderr.isatty():
        size = f"{len(smallest.faults)} faults, {len(smallest.topology.places)} workers, {smallest.duration:g} s"
        click.echo(f"\r\x1b[2Krun {runs}: {size}", nl=False, err=True)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunDirError(f"{path}: cannot be written: {error.strerror}") from error
