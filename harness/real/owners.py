"""Whose a loopback connection is: its local port, to the socket's inode, to the process that holds it (Linux).

The fault proxy asks for each new connection, in the way of everybody's bytes: the kernel is asked for that one socket
where it can tell, and all sockets of the machine are read from /proc only where it cannot.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from harness.real.sock_diag import SockDiag, can_tell

_ESTABLISHED = "01"
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def owners(pairs: Iterable[tuple[int, int]], among: Iterable[int]) -> dict[tuple[int, int], int]:
    """Which of the processes `among` holds each (local port, remote port) pair; the pairs of others are absent."""
    inodes = _asked(pairs) if can_tell() else _read(set(pairs))
    if not inodes:
        return {}
    found: dict[tuple[int, int], int] = {}
    for pid, inode in _sockets(among):
        if inode in inodes:
            found[inodes[inode]] = pid
    return found


def _asked(pairs: Iterable[tuple[int, int]]) -> dict[str, tuple[int, int]]:
    with SockDiag() as kernel:
        told = {pair: kernel.inode(*pair) for pair in pairs}
    return {inode: pair for pair, inode in told.items() if inode is not None}


def _read(pairs: set[tuple[int, int]]) -> dict[str, tuple[int, int]]:
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
