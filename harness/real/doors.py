"""Where a staged worker can be told what no signal can tell it."""

from __future__ import annotations

from pathlib import Path


def door(folder: Path, pid: int) -> Path:
    """The socket of a process."""
    return folder / f"{pid}.sock"
