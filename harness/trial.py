"""A run of a scenario within a test: judged, and with all that its reader needs when it did not pass.

A simulated run that passed leaves nothing behind; any other has a run directory, with its capsule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import yaml

from harness import console, scenario_file
from harness.checkers import CHECKERS, Violation
from harness.checkers.finding import Verdict
from harness.cli import load_scenario
from harness.garbage import collected_young
from harness.history import History
from harness.metrics import METRICS
from harness.run import run
from harness.rundir import Record, RunDir
from harness.scenario import Scenario
from harness.session import Mode, make_world
from harness.verdict import judge

PROOF = 6
"""The most entries of the history that are shown of a violation."""


@dataclass(frozen=True, slots=True, repr=False)
class Trial:
    """A finished run.

    record  all that is known of it
    file    of its scenario, if it came from one
    folder  its run directory, if it has one
    """

    record: Record
    file: str | None
    folder: Path | None

    @property
    def passed(self) -> bool:
        """Whether the verdict is `pass`."""
        return self.verdict == "pass"

    @property
    def verdict(self) -> Verdict:
        """`pass`, `fail` or `unknown`."""
        return self.record.judged.verdict

    @property
    def reason(self) -> str:
        """The verdict in a sentence."""
        return self.record.judged.reason

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Every breach of an invariant, in time order."""
        found = (v for f in self.record.judged.findings for v in f.violations)
        return tuple(sorted(found, key=lambda v: v.t))

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """Every figure by its name; None: there was nothing to measure."""
        return self.record.judged.metrics

    @property
    def history(self) -> History:
        """All that happened."""
        return self.record.history

    @property
    def capsule(self) -> Path | None:
        """All that is needed to run it again."""
        return self.folder / "capsule.yaml" if self.folder is not None else None

    @property
    def again(self) -> str:
        """A line to paste into a shell that runs it again."""
        if self.file is not None:
            return f"harness run {self.file} --mode {self.record.mode} --seed {self.record.seed}"
        return f"harness replay {self.capsule}"

    def kept(self, base: Callable[[], Path]) -> Trial:
        """The same with a run directory: under `base()`, if there is none yet."""
        if self.folder is not None:
            return self
        folder = RunDir.create(base(), self.record.scenario.name, self.record.mode, self.record.seed)
        folder.write(self.record, latest=False)
        return replace(self, folder=folder.path)

    def __repr__(self) -> str:
        r = self.record
        return f"<{r.scenario.name} · {r.mode} · seed {r.seed}: {self.verdict}: {self.reason}>"

    def __str__(self) -> str:
        return "\n".join([console.result(self.record), *self._proof(), *self._leads()])

    def _proof(self) -> Iterator[str]:
        first = self.violations[0] if self.violations else None
        if first is not None and first.proof:
            yield f"  what proves {first.rule}:"
            yield from (f"    {msgspec.json.encode(entry).decode()}" for entry in first.proof[:PROOF])

    def _leads(self) -> Iterator[str]:
        if self.file is not None:
            yield f"  again:   {self.again}"
        if self.capsule is not None:
            yield f"  capsule: harness replay {self.capsule}"


def try_out(scenario: Scenario, seed: int, mode: Mode, base: Callable[[], Path], file: str | None = None) -> Trial:
    """Run and judge; what it leaves behind goes under `base()`.

    Raises Unsupported when the world cannot do one of its faults, KeyboardInterrupt when the user wants no more.
    """
    folder = RunDir.create(base(), scenario.name, mode, seed) if mode == "real" else None
    with collected_young():
        logs = folder.path / "logs" if folder else Path()
        done = run(make_world(mode, scenario, seed, logs), scenario, seed, lambda *_: None)
    if done.interrupted:
        raise KeyboardInterrupt
    record = Record(scenario, mode, seed, done.history, judge(scenario, seed, done.history), done.wall_s)
    if folder is not None:
        folder.write(record, latest=False)
    trial = Trial(record, file, folder.path if folder else None)
    return trial if trial.passed else trial.kept(base)


def scenario_of(what: Scenario | Mapping[str, Any] | str | Path, root: Path) -> tuple[Scenario, str | None]:
    """A scenario as it is, as a mapping, or by its file or name, and that file. A file is looked for from the working
    directory and from `root`. Raises ScenarioError."""
    if isinstance(what, Scenario):
        return what, None
    if isinstance(what, Mapping):
        text = yaml.safe_dump(dict(what), sort_keys=False, allow_unicode=True)
        return scenario_file.parse(text, "the scenario", METRICS, [c.id for c in CHECKERS]), None
    path = root / what
    file = str(path) if path.exists() and not Path(what).exists() else str(what)
    return load_scenario(file), file
