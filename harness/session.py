"""One run, from a scenario to what it leaves behind: world, run, judgement, run directory, report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.console import Bar
from harness.run import run
from harness.rundir import Record, RunDir, environment
from harness.scenario import Scenario
from harness.verdict import judge
from harness.world import World

Mode = Literal["sim", "real"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that is over. `interrupted` and `error` (the world broke) mean that it is partial; it was judged anyway."""

    record: Record
    rundir: RunDir
    report: Path | None
    interrupted: bool
    error: str | None


def carry_out(
    scenario: Scenario, mode: Mode, seed: int, out: Path, *, report: bool = True, mutant: str | None = None
) -> Finished:
    """Run `scenario` and write its run directory under `out`. `mutant`: the defect that the caller has planted.

    Raises Unsupported when the world cannot do one of its faults, RunDirError when nothing can be written.
    """
    folder = RunDir.create(out, scenario.name, mode, seed)
    bar = Bar(f"{scenario.name} · {mode}")
    try:
        done = run(make_world(mode, scenario, seed, folder.path / "logs"), scenario, seed, bar)
    except BaseException:
        folder.discard_if_empty()
        raise
    finally:
        bar.close()
    record = Record(scenario, mode, seed, done.history, judge(scenario, seed, done.history), done.wall_s, mutant)
    folder.write(record)
    page = _report(record, folder) if report else None
    return Finished(record, folder, page, done.interrupted, done.error)


def make_world(mode: Mode, scenario: Scenario, seed: int, logs: Path) -> World:
    """The one place where it is asked which world; each is imported only when it is wanted."""
    if mode == "sim":
        from harness.sim.world import SimWorld

        return SimWorld(scenario, seed)
    from harness.real.world import RealWorld

    return RealWorld(scenario, seed, logs)


def _report(record: Record, folder: RunDir) -> Path:
    import reports

    return reports.build(
        record.scenario, record.seed, record.history, record.judged, environment() | {"mode": record.mode}, folder.path
    )
