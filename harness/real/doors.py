"""Where a staged worker is told what no signal can tell it: a loopback port, in a file of its process."""

from __future__ import annotations

from pathlib import Path


def announce(folder: Path, pid: int, port: int) -> None:
    """Say where the door of a process is; the file appears whole."""
    fresh = folder / f"{pid}.new"
    fresh.write_text(str(port))
    fresh.rename(folder / f"{pid}.port")


def port_of(folder: Path, pid: int) -> int:
    """Where the door of a process is; OSError if it has none."""
    return int((folder / f"{pid}.port").read_text())
