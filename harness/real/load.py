"""What the harness and its Locust process tell each other: a plan, a go, a journal."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.history import Happening
from harness.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Locust process is to do.

    hosts    base URLs of the instances, in order
    journal  where it writes RequestSent and RequestDone, with absolute CLOCK_MONOTONIC seconds
    go       a file that appears when the load may begin; its content is the run's zero on that clock
    """

    scenario: Scenario
    seed: int
    hosts: tuple[str, ...]
    journal: Path
    go: Path

    def write(self, path: Path) -> None:
        """Write the plan for `read`."""
        raw = _Raw(
            scenario=self.scenario.model_dump_json(by_alias=True, exclude_none=True),
            seed=self.seed,
            hosts=self.hosts,
            journal=str(self.journal),
            go=str(self.go),
        )
        path.write_bytes(msgspec.json.encode(raw))

    @classmethod
    def read(cls, path: Path) -> Plan:
        """The plan in a file."""
        raw = msgspec.json.decode(path.read_bytes(), type=_Raw)
        return cls(Scenario.model_validate_json(raw.scenario), raw.seed, raw.hosts, Path(raw.journal), Path(raw.go))


class _Raw(msgspec.Struct):
    scenario: str
    seed: int
    hosts: tuple[str, ...]
    journal: str
    go: str


class Writer:
    """Appends happenings to a journal, each line in one write, so that a killed process loses none."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._encode = msgspec.json.Encoder().encode

    def write(self, entry: Happening) -> None:
        """Append one line."""
        os.write(self._fd, self._encode(entry) + b"\n")
