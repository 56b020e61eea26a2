"""The workers of one instance, found by one another: a directory for all that one supervisor has started.

Rules
-----
* An instance is what one `uvicorn --workers N` runs: its supervisor's process id and start time name its directory,
  below the system's directory for temporary files, readable by this user alone.
* What an ended worker had counted is kept for as long as its instance lives: it is folded into one file (`kept`), and
  its own removed. A fold that is interrupted counts nothing twice: `kept` names what is in it, and is replaced whole.
* Readers take no lock. They read the workers' files first and `kept` last: what vanished in between is in it by then.
* Each worker holds a shared lock on its instance; an instance on which nobody holds one is gone, and its directory is
  removed by whoever starts next. The last worker that ends in good order removes its own.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from flexiai.app.telemetry.catalogue import FAMILIES
from flexiai.app.telemetry.series import Layout, Series
from flexiai.app.telemetry.slots import SUFFIX, Reading, Slots, read

if sys.platform != "win32":  # there workers count for themselves alone
    import fcntl

_KEPT = "kept.json"
_UNKNOWN = "0"
_NAMES_KEPT = 256  # of folded files, newest last: a reader is never that far behind
_GAUGES = frozenset(family.name for family in FAMILIES if family.kind == "gauge")

Numbers = tuple[float, ...]


class Kept(msgspec.Struct):
    """What ended workers had counted. `names`: the files that are in it."""

    names: list[str] = []
    series: list[tuple[Series, Numbers]] = []


class Instance:
    """This worker's numbers, and those of its siblings. Without a directory it is alone."""

    def __init__(self, layout: Layout, pid: int, directory: Path | None) -> None:
        """OSError if the directory cannot be used."""
        self._directory = directory
        self._held = -1
        if directory is not None:
            self._held = _entered(directory)
            self._fold()
        self._slots = Slots(layout, pid, directory)
        self.numbers = self._slots.numbers

    def readings(self) -> tuple[list[Reading], Kept]:
        """What every worker alive has, this one first, and what the ended ones had."""
        own = self._slots.reading()
        if self._directory is None:
            return [own], Kept()
        others = [reading for reading in _read_all(self._directory) if reading.name != own.name]
        kept = self._kept()
        ended = [r for r in others if not r.alive and r.name not in kept.names]
        return [own, *(r for r in others if r.alive)], _folded(kept, ended)

    def close(self, *, remove: bool) -> None:
        """Leave. `remove`: and take the directory along, if nobody else is in it."""
        self._slots.close()
        if self._directory is None or self._held < 0:
            return
        if remove and _alone(self._held):
            shutil.rmtree(self._directory, ignore_errors=True)
        os.close(self._held)
        self._held = -1

    def _fold(self) -> None:
        """Bring what ended workers left into one file, unless a sibling is at it."""
        directory = self._directory
        if directory is None:
            return
        fd = os.open(directory / "fold.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            kept = self._kept()
            ended = [reading for reading in _read_all(directory) if not reading.alive]
            new = [reading for reading in ended if reading.name not in kept.names]
            if new:
                _replace(directory / _KEPT, msgspec.json.encode(_folded(kept, new)))
            for reading in ended:
                (directory / reading.name).unlink(missing_ok=True)
        except BlockingIOError:
            pass
        finally:
            os.close(fd)

    def _kept(self) -> Kept:
        try:
            return msgspec.json.decode((self._directory / _KEPT).read_bytes(), type=Kept) if self._directory else Kept()
        except (FileNotFoundError, msgspec.MsgspecError):
            return Kept()


def shared_directory(pid: int) -> Path:
    """Where the instance that this process belongs to has its directory; OSError if there can be no safe one.

    Directories of instances that are gone are removed.
    """
    root = Path(tempfile.gettempdir()) / f"flexiai-metrics-{os.getuid()}"
    _own(root)
    parent = multiprocessing.parent_process()
    supervisor = pid if parent is None or parent.pid is None else parent.pid
    directory = root / f"{supervisor}-{_started(supervisor)}"
    _sweep(root)
    return directory


def has_supervisor() -> bool:
    """Whether somebody may start another worker in this one's place."""
    return multiprocessing.parent_process() is not None


def _own(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    status = directory.lstat()
    if directory.is_symlink() or not directory.is_dir() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{directory} is not this user's alone")


def _entered(directory: Path) -> int:
    """A descriptor that holds the directory, which is made if need be; another may be removing it just now."""
    for _ in range(10):
        _own(directory)
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_SH)
        if directory.exists() and directory.stat().st_ino == os.fstat(fd).st_ino:
            return fd
        os.close(fd)
    raise FileNotFoundError(f"{directory} is removed again and again")


def _sweep(root: Path) -> None:
    for directory in root.iterdir():
        supervisor, _, started = directory.name.partition("-")
        if supervisor.isdigit() and started == _started(int(supervisor)) != _UNKNOWN:
            continue  # it lives, and may start a worker again
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if _alone(fd):
                shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(fd)


def _alone(fd: int) -> bool:
    """Whether nobody else holds the directory; if so, nobody will, for this holds it alone until it is closed."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; _UNKNOWN where that is not told."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return _UNKNOWN


def _read_all(directory: Path) -> list[Reading]:
    return [reading for path in directory.glob(f"*{SUFFIX}") if (reading := read(path)) is not None]


def _folded(kept: Kept, ended: Iterable[Reading]) -> Kept:
    """What was kept, and what the newly ended had counted; of a gauge nothing is left."""
    sums: dict[Series, Numbers] = defaultdict(tuple)
    sums.update(kept.series)
    names = list(kept.names)
    for reading in ended:
        names.append(reading.name)
        for series, numbers in reading:
            if series.family not in _GAUGES and any(numbers):
                sums[series] = summed(sums[series], numbers)
    return Kept(names[-_NAMES_KEPT:], list(sums.items()))


def summed(one: Numbers, other: Numbers) -> Numbers:
    """Two rows added up; of different lengths (other buckets: another version's), the longer one."""
    if len(one) != len(other):
        return max(one, other, key=len)
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _replace(path: Path, content: bytes) -> None:
    fd, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.rename(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
