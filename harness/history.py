"""What happened in a run: `flexiai`'s events and the harness's own, one sequence in time order.

A history is all that checkers, metrics and reports ever see. `history.jsonl` is one event a line; `t` is in seconds
since the run began. Both worlds write it, and nothing in it says which one did but the `run.started` line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from flexiai.events import AnyEvent


class Happening(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """Something the harness did or saw. `t`: seconds since the run began."""

    t: float


class RunStarted(Happening, frozen=True, tag="run.started"):
    """The first line. Load and faults count their times from here; workers were up before (their events have t < 0)."""

    scenario: str
    mode: Literal["sim", "real"]
    seed: int


class RunEnded(Happening, frozen=True, tag="run.ended"):
    """The last line. `complete` is False when the run was interrupted or broke off."""

    complete: bool = True
    why: str | None = None


class WorkerUp(Happening, frozen=True, tag="worker.up"):
    """A worker process lives. `worker` is the identity its events carry; slot 1… of instance 1…; generation 0, 1, …
    counts the processes that have held this slot."""

    worker: str
    instance: int
    slot: int
    generation: int = 0


class WorkerDown(Happening, frozen=True, tag="worker.down"):
    """A worker process is gone."""

    worker: str
    how: Literal["killed", "terminated", "died"]


class WorkerPaused(Happening, frozen=True, tag="worker.paused"):
    """A worker does not run (SIGSTOP)."""

    worker: str


class WorkerResumed(Happening, frozen=True, tag="worker.resumed"):
    """A paused worker runs again."""

    worker: str


class WorkerTrouble(Happening, frozen=True, tag="worker.trouble"):
    """Something on a worker that nobody observed: an exception of a task or callback, a task left behind at its end."""

    worker: str
    error: str


class RequestSent(Happening, frozen=True, tag="load.sent"):
    """The load sends a request: its invocation. `intended`: when it should have been sent (no coordinated omission);
    `stream`: its answer is to come piece by piece."""

    request: str
    instance: int
    intended: float
    stream: bool = False


class RequestDone(Happening, frozen=True, tag="load.done"):
    """A request's end as its sender saw it.

    result         ok (an answer) | fail (a clear error) | left (the sender itself went away before the end) |
                   info (nobody can know: the connection broke, or the run ended)
    chunks         pieces of content it got of a stream that was ok or failed (None: it was not told piece by piece)
    first_token_s  seconds from its sending to the first of them
    """

    request: str
    result: Literal["ok", "fail", "left", "info"]
    provider: str | None = None
    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    chunks: int | None = None
    first_token_s: float | None = None


class ProviderServed(Happening, frozen=True, tag="provider.served"):
    """The provider's own ledger: a request that reached it, when it began, and what became of it.

    fault  index of the fault that shaped the answer, if one did
    """

    provider: str
    request: str | None
    began: float
    result: Literal["ok", "error", "hung", "gone"]
    status: int | None = None
    fault: int | None = None


class FaultInjected(Happening, frozen=True, tag="fault.injected"):
    """A fault is in effect. `fault` is its index in the scenario; `on`: what it was put on (worker ids, names)."""

    fault: int
    target: str
    inject: str
    on: tuple[str, ...] = ()


class FaultHealed(Happening, frozen=True, tag="fault.healed"):
    """A fault is over."""

    fault: int


class FaultEffect(Happening, frozen=True, tag="fault.effect"):
    """Evidence that a fault changed something: what, and how often so far. `time`: the how-manieth time that it was
    injected (from 0); each time counts anew."""

    fault: int
    what: str
    count: int
    time: int = 0


class RedisDown(Happening, frozen=True, tag="redis.down"):
    """The Redis process is gone or stopped."""

    how: Literal["killed", "paused"]


class RedisUp(Happening, frozen=True, tag="redis.up"):
    """The Redis process answers. `empty`: it holds no records."""

    empty: bool


class RedisSample(Happening, frozen=True, tag="redis.sample"):
    """Redis' own counters since it started: commands processed, messages published. Sampled at start and end of the
    load and around each of its own restarts."""

    commands: int
    published: int


AnyHappening = (
    RunStarted
    | RunEnded
    | WorkerUp
    | WorkerDown
    | WorkerPaused
    | WorkerResumed
    | WorkerTrouble
    | RequestSent
    | RequestDone
    | ProviderServed
    | FaultInjected
    | FaultHealed
    | FaultEffect
    | RedisDown
    | RedisUp
    | RedisSample
)

Entry = AnyEvent | AnyHappening
E_ = TypeVar("E_", bound=msgspec.Struct)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


class HistoryError(ValueError):
    """A history file that cannot be read; the message names file and line."""


@dataclass(frozen=True)
class History:
    """All that happened, in time order (ties in the order in which they were recorded)."""

    entries: Sequence[Entry]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> History:
        """A history from entries in any order."""
        return cls(sorted(entries, key=attrgetter("t")))

    def all(self, kind: type[E_]) -> Iterator[E_]:
        """The entries of one kind, in time order."""
        return (e for e in self.entries if type(e) is kind)

    def lines(self) -> Iterator[bytes]:
        """The history as JSON lines, each with its newline."""
        return (_encoder.encode(e) + b"\n" for e in self.entries)

    def sha256(self) -> str:
        """The hash of exactly the bytes of `history.jsonl`."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line)
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write `history.jsonl`."""
        with path.open("wb") as file:
            file.writelines(self.lines())

    @classmethod
    def read(cls, path: Path) -> History:
        """Read `history.jsonl`; HistoryError names the line that is not one."""
        with path.open("rb") as file:
            return cls([decode_line(line, f"{path}:{n}") for n, line in enumerate(file, 1)])


def decode_line(line: bytes, where: str) -> Entry:
    """One line of JSON as an entry."""
    try:
        return _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise HistoryError(f"{where}: not an event of a history: {error}") from error


Recorder = Callable[[Any], None]
"""Takes entries as they happen."""
