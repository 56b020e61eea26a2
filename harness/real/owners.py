"""Whose a loopback connection is: its local port, to the socket's inode, to the process that holds it (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_ESTABLISHED = "01"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def owners(pairs: Iterable[tuple[int, int]], among: Iterable[int]) -> dict[tuple[int, int], int]:
    """Which of the processes `among` holds each (local port, remote port) pair; the pairs of others are absent."""
    inodes = _inodes(set(pairs))
    if not inodes:
        return {}
    found: dict[tuple[int, int], int] = {}
    for pid, inode in _sockets(among):
        if inode in inodes:
            found[inodes[inode]] = pid
    return found


def _inodes(pairs: set[tuple[int, int]]) -> dict[str, tuple[int, int]]:
    found = {}
    for table in _TABLES:
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            pair = (_port(fields[1]), _port(fields[2]))
            if fields[3] == _ESTABLISHED and pair in pairs:
                found[fields[9]] = pair
    return found


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _sockets(among: Iterable[int]) -> Iterable[tuple[int, str]]:
    """(pid, socket inode) of every socket of those processes that live and may be looked into."""
    for pid in among:
        folder = f"/proc/{pid}/fd"
        try:
            descriptors = os.listdir(folder)
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                target = os.readlink(f"{folder}/{descriptor}")
            except OSError:
                continue
            if target.startswith("socket:["):
                yield pid, target[8:-1]
