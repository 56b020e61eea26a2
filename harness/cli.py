"""The command line.

Exit codes: 0 pass, 1 an invariant or expectation failed, 2 unknown, 4 nondeterminism, 64 bad input, 70 harness error,
130 interrupted. Of several runs the gravest counts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from harness import console, library, rundir, scenario_file
from harness.campaign.command import campaign_command
from harness.checkers import CHECKERS
from harness.exit_codes import (
    BAD_INPUT,
    BROKEN,
    GRAVEST_FIRST,
    INTERRUPTED,
    NONDETERMINISM,
    OF_VERDICT,
    PASS,
)
from harness.failure_commands import compare_command, explain_command, shrink_command
from harness.fault_table import FORMS, described
from harness.metrics import METRICS
from harness.mutants.again import planted
from harness.mutants.command import mutants_command
from harness.rundir import Capsule, Record, RunDirError
from harness.scenario import Scenario
from harness.scenario_file import ScenarioError
from harness.session import Finished, Mode, carry_out
from harness.verdict import judge
from harness.world import Unsupported, WorldError

LIBRARY = Path(__file__).resolve().parent.parent / "scenarios"

_seed = click.option(
    "--seed", type=click.IntRange(0), default=1, show_default=True, help="Draws load, latencies and targets."
)
_out = click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
_no_report = click.option("--no-report", is_flag=True, help="Judge only: no report.html, no plots.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Chaos testing for FlexiAI fleets: one scenario file, simulated and real, one verdict."""


@cli.command("run")
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
@click.option("--mode", type=click.Choice(["sim", "real", "both"]), default="sim", show_default=True)
@click.option("--where-possible", is_flag=True, help="Leave out a world that cannot do a scenario's faults.")
@_seed
@_out
@_no_report
def run_command(
    scenarios: Sequence[str], *, mode: str, where_possible: bool, seed: int, out: Path, no_report: bool
) -> int:
    """Run scenarios (files, or names of those that came with the harness) and judge them."""
    loaded = [load_scenario(name) for name in scenarios]
    modes: tuple[Mode, ...] = ("sim", "real") if mode == "both" else (("real",) if mode == "real" else ("sim",))
    codes = []
    for scenario in loaded:
        finished = []
        for one in modes:
            try:
                finished.append(_carry_out(scenario, one, seed, out, report=not no_report))
            except Unsupported as refused:
                if not where_possible:
                    raise
                click.echo(f"- {scenario.name} · {one}: left out: {refused}")
                continue
            codes.append(_code(finished[-1]))
            if finished[-1].interrupted:
                return INTERRUPTED
        if len(finished) > 1:
            _side_by_side(finished, report=not no_report)
    return _gravest(codes) if codes else PASS


@cli.command()
@click.argument("capsule", type=click.Path(path_type=Path))
@_out
@_no_report
def replay(capsule: Path, out: Path, no_report: bool) -> int:
    """Run a capsule again. In simulation the same code must make the same history, byte for byte."""
    before = rundir.read_capsule(capsule)
    with planted(before.mutant):
        finished = _carry_out(
            before.scenario, before.mode, before.seed, out, report=not no_report, mutant=before.mutant
        )
    code = _code(finished)
    if before.mode == "real" or code in (INTERRUPTED, BROKEN):
        return code
    return code if _same_history(before, capsule, finished) else NONDETERMINISM


@cli.command()
@click.argument("history", type=click.Path(path_type=Path))
def check(history: Path) -> int:
    """Judge the history of a run directory again, with the checkers of today."""
    record = _recorded(rundir.folder_of(history))
    click.echo(console.result(record))
    return OF_VERDICT[record.judged.verdict]


@cli.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
def report(runs: Sequence[Path]) -> int:
    """Draw the report of run directories again."""
    import reports

    for folder in map(rundir.folder_of, runs):
        r = _recorded(folder)
        page = reports.build(r.scenario, r.seed, r.history, r.judged, rundir.environment() | {"mode": r.mode}, folder)
        click.echo(page)
    return PASS


@cli.command()
@click.argument("scenario", metavar="SCENARIO")
@_seed
def up(scenario: str, seed: int) -> int:
    """Start a scenario's real fleet, Redis and providers, without load and faults, and keep them until Ctrl-C."""
    from harness.real.up import stand

    stand(load_scenario(scenario), seed, click.echo)
    return PASS


@cli.command()
@click.argument("scenarios", nargs=-1, required=True, metavar="SCENARIO...")
def lint(scenarios: Sequence[str]) -> int:
    """Check scenario files without running them."""
    bad = False
    for name in scenarios:
        try:
            click.echo(f"{_find(name)}: fine ({load_scenario(name).description})")
        except ScenarioError as error:
            bad = True
            click.echo(error, err=True)
    return BAD_INPUT if bad else PASS


@cli.command("list")
def list_command() -> int:
    """The scenarios that came with the harness."""
    for path in sorted(LIBRARY.glob("*.yaml")):
        scenario = load_scenario(str(path))
        click.echo(f"{scenario.name:20} {scenario.description}")
    return PASS


@cli.command()
def faults() -> int:
    """Every fault a scenario may inject: its parameters, what does this to real systems, an example."""
    for told in (FORMS, *described()):
        click.echo(told)
    return PASS


@cli.command()
def schema() -> int:
    """The JSON Schema of scenario files."""
    click.echo(json.dumps(Scenario.model_json_schema(by_alias=True), indent=2))
    return PASS


for command in (campaign_command, mutants_command, shrink_command, explain_command, compare_command):
    cli.add_command(command)


def load_scenario(name: str) -> Scenario:
    """A scenario by its path, or by the name of one that came with the harness."""
    return scenario_file.load(_find(name), METRICS, [c.id for c in CHECKERS])


def _find(name: str) -> Path:
    return library.find(name, LIBRARY, "scenario")


def _carry_out(
    scenario: Scenario, mode: Mode, seed: int, out: Path, *, report: bool, mutant: str | None = None
) -> Finished:
    finished = carry_out(scenario, mode, seed, out, report=report, mutant=mutant)
    click.echo(console.result(finished.record))
    if finished.error:
        click.echo(f"  the {mode} world broke: {finished.error}", err=True)
    if finished.interrupted:
        click.echo("  interrupted: what follows is of a partial run", err=True)
    click.echo(f"  {finished.report or finished.rundir.path}")
    return finished


def _code(finished: Finished) -> int:
    if finished.interrupted:
        return INTERRUPTED
    return BROKEN if finished.error else OF_VERDICT[finished.record.judged.verdict]


def _gravest(codes: Sequence[int]) -> int:
    return next(code for code in GRAVEST_FIRST if code in codes)


def _side_by_side(finished: Sequence[Finished], *, report: bool) -> None:
    records = [f.record for f in finished]
    click.echo("\n" + console.table(records, {n: m.unit for n, m in METRICS.items()}))
    if report:
        import reports

        env = rundir.environment()
        a, b = (reports.RunView(r.scenario, r.mode, r.seed, r.history, r.judged, env) for r in records)
        page = reports.side_by_side(a, b, finished[-1].rundir.path / "compare.html")
        click.echo(f"\n  side by side: {page}")


def _recorded(folder: Path) -> Record:
    """A run directory, judged by the checkers of today."""
    capsule, history = rundir.read_capsule(folder), rundir.read_history(folder)
    wall_s = float(rundir.read_summary(folder).get("wall_s", 0.0))
    judged = judge(capsule.scenario, capsule.seed, history)
    return Record(capsule.scenario, capsule.mode, capsule.seed, history, judged, wall_s, capsule.mutant)


def _same_history(before: Capsule, capsule: Path, finished: Finished) -> bool:
    """Whether a replay made the same history; says what it compared, and where it first differs."""
    sha256 = finished.record.history.sha256()
    if sha256 == before.history_sha256:
        click.echo(f"  the same history, byte for byte ({sha256[:12]})")
        return True
    if before.code != rundir.code_fingerprint():
        click.echo("  another history than the capsule's, but the code has changed since it was written")
        return True
    click.echo(f"  NOT the same history: {sha256[:12]} instead of {before.history_sha256[:12]}", err=True)
    _show_divergence(capsule, finished)
    return False


def _show_divergence(capsule: Path, finished: Finished) -> None:
    try:
        old = rundir.read_history(capsule if capsule.is_dir() else capsule.parent)
    except RunDirError as error:
        click.echo(f"  the first line that differs cannot be shown: {error}", err=True)
        return
    for n, (was, now) in enumerate(zip(old.lines(), finished.record.history.lines(), strict=False), 1):
        if was != now:
            click.echo(
                f"  first at line {n}:\n    was {was.decode().strip()}\n    now {now.decode().strip()}", err=True
            )
            return


def main() -> None:
    """The `harness` command: every error ends with one clear message and its exit code. SIGTERM is a Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli.main(standalone_mode=False) or PASS
    except click.exceptions.Abort:
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = BAD_INPUT
    except (ScenarioError, RunDirError, Unsupported) as error:
        click.echo(error, err=True)
        code = BAD_INPUT
    except WorldError as error:
        click.echo(error, err=True)
        code = BROKEN
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = PASS
    sys.exit(code)


if __name__ == "__main__":
    main()
