"""The journal: every event of a worker as one JSON line, for the post-mortem of a fleet.

Rules
-----
* One file a process, `<directory>/<pid>.jsonl`, only ever appended to; one event is one `write`, so a SIGKILL loses
  nothing that has happened, and several readers may follow the file while it grows.
* A journal that cannot write (disk full, file system gone) loses lines, never a request: it says so once, counts what
  it lost, and goes on when it can. A line that was cut short is ended before the next, so that a reader loses it alone.
* Nothing is ever deleted: `t` is the host's monotonic clock, so files of several workers of one host merge by it.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from flexiai.errors import ConfigurationError
from flexiai.events import Event

_log = logging.getLogger("flexiai.journal")


class Journal:
    """A listener that writes events to a file. `lost`: events that could not be written, in whole or in part."""

    def __init__(self, directory: Path, pid: int) -> None:
        """Open the process's file; ConfigurationError if the directory does not exist or may not be written to."""
        self.path = directory / f"{pid}.jsonl"
        self.lost = 0
        self._torn = False
        self._encoder = msgspec.json.Encoder()
        self._line = bytearray(512)
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise ConfigurationError(f"no journal can be written to {self.path}: {error.strerror}") from error

    def __call__(self, event: Event) -> None:
        """Write `event`; never raises because of the file."""
        line = self._line
        self._encoder.encode_into(event, line)
        line += b"\n"
        if self._torn:
            line[:0] = b"\n"
        try:
            written = os.write(self._fd, line)
        except OSError as error:
            self._lose(error.strerror or type(error).__name__)
            return
        self._torn = written < len(line)
        if self._torn:
            self._lose("no space for the whole line")

    def close(self) -> None:
        """Close the file; events after that are counted as lost."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self.lost == 1:
            _log.error("Journal %s cannot be written (%s): events are missing from it from here on", self.path, why)
