"""One worker's numbers, in a file that its siblings read.

Rules
-----
* The file is mapped: adding to a number is a store to memory, and what a killed worker had counted is still there.
* It says itself what its numbers mean, so that workers of two configurations (during a restart) can be summed.
* Its space is written before it is mapped: a full disk is an error at the start, never a crash later.
* A worker holds a lock on its file while it lives, which the kernel lets go of however it ends: whether a file's worker
  is alive is asked of the lock, never of a process id that somebody else may have by now.
"""

from __future__ import annotations

import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from flexiai.app.telemetry.series import Layout, Series

if sys.platform != "win32":  # there workers count for themselves alone
    import fcntl

SUFFIX = ".slots"
_MAGIC = b"flexiai1"
_PREFACE = struct.Struct("<8sQ")
_NUMBER = 8


class Head(msgspec.Struct, frozen=True):
    """What a file's numbers mean: its series, one after the other, and how many numbers each of them takes."""

    pid: int
    series: tuple[Series, ...]
    widths: tuple[int, ...]


class Reading(msgspec.Struct, frozen=True):
    """A worker's numbers as they were read. `name`: its file's."""

    name: str
    head: Head
    numbers: tuple[float, ...]
    alive: bool

    def __iter__(self) -> Iterator[tuple[Series, tuple[float, ...]]]:
        """Each series with its numbers."""
        at = 0
        for series, wide in zip(self.head.series, self.head.widths, strict=True):
            yield series, self.numbers[at : at + wide]
            at += wide


class Slots:
    """The numbers of this process: `numbers[place] += 1`. Without a directory they are its own alone."""

    def __init__(self, layout: Layout, pid: int, directory: Path | None) -> None:
        """OSError if the file cannot be had."""
        self._head = Head(pid, tuple(layout.series), tuple(layout.widths))
        self._fd, self.path = -1, None
        if directory is None:
            self._map, start = mmap.mmap(-1, max(1, layout.size) * _NUMBER), 0
        else:
            self._fd, self.path, start = _created(directory, self._head, layout.size)
            self._map = mmap.mmap(self._fd, start + layout.size * _NUMBER)
        self.numbers = memoryview(self._map)[start : start + layout.size * _NUMBER].cast("d")

    def reading(self) -> Reading:
        """The numbers now."""
        return Reading(self.path.name if self.path else "", self._head, tuple(self.numbers), alive=True)

    def close(self) -> None:
        """Let go of the file; its numbers stay to be read."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)  # the map has a descriptor of its own, which would keep the lock
            os.close(self._fd)
            self._fd = -1


def read(path: Path) -> Reading | None:
    """A sibling's numbers; None if the file is gone, or none of ours."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        content = os.pread(fd, os.fstat(fd).st_size, 0)
        alive = not _lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)
    try:
        magic, length = _PREFACE.unpack_from(content)
        head = msgspec.json.decode(content[_PREFACE.size : _PREFACE.size + length].rstrip(b" "), type=Head)
        numbers = struct.unpack_from(f"={sum(head.widths)}d", content, _PREFACE.size + length)
    except (struct.error, msgspec.MsgspecError):
        return None
    return Reading(path.name, head, numbers, alive) if magic == _MAGIC else None


def _created(directory: Path, head: Head, size: int) -> tuple[int, Path, int]:
    """The file, locked and of its full size: its descriptor, its path, and where its numbers begin."""
    told = msgspec.json.encode(head)
    told += b" " * (-len(told) % _NUMBER)
    content = _PREFACE.pack(_MAGIC, len(told)) + told
    fd, name = tempfile.mkstemp(prefix=f"{head.pid}-", suffix=".new", dir=directory)
    try:
        _lock(fd, fcntl.LOCK_EX)
        whole = content + bytes(size * _NUMBER)
        if os.write(fd, whole) < len(whole):
            raise OSError("no space for a worker's metrics")
        path = Path(name).with_suffix(SUFFIX)
        os.rename(name, path)  # whoever sees it sees it whole
    except BaseException:
        os.close(fd)
        Path(name).unlink(missing_ok=True)
        raise
    return fd, path, len(content)


def _lock(fd: int, kind: int) -> bool:
    """Whether the lock was to be had."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
