"""Whose a connection is: the same answer from the kernel and from its tables."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from harness.real import owners as room
from harness.real.owners import owners
from harness.real.sock_diag import SockDiag, can_tell

HERE = "127.0.0.1"


@pytest.fixture(params=["the kernel", "its tables"])
def _asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "the kernel" and not can_tell():
        pytest.skip("this kernel has no tcp_diag")
    monkeypatch.setattr(room, "can_tell", lambda: request.param == "the kernel")


@pytest.fixture
def pair() -> Iterator[tuple[int, int]]:
    """The ports of a connection of this process: its local one, its remote one."""
    with socket.create_server((HERE, 0)) as server, socket.create_connection(server.getsockname()) as near:
        far, _ = server.accept()
        with far:
            yield near.getsockname()[1], near.getpeername()[1]


pytestmark = pytest.mark.usefixtures("_asked")


def test_who_holds_a_connection_is_found(pair: tuple[int, int]) -> None:
    assert owners([pair], [os.getpid()]) == {pair: os.getpid()}


def test_each_end_has_a_holder_of_its_own(pair: tuple[int, int]) -> None:
    back = (pair[1], pair[0])

    assert set(owners([pair, back], [os.getpid()])) == {pair, back}


def test_who_is_not_asked_about_is_not_told(pair: tuple[int, int]) -> None:
    assert owners([pair], [os.getppid()]) == {}


def test_a_process_that_is_gone_holds_nothing(pair: tuple[int, int]) -> None:
    assert owners([pair], [2**22 + 1]) == {}


def test_no_connection_has_no_holder(pair: tuple[int, int]) -> None:
    assert owners([(pair[0], 1)], [os.getpid()]) == {}


def test_one_that_was_closed_is_held_by_nobody() -> None:
    with socket.create_server((HERE, 0)) as server:
        near = socket.create_connection(server.getsockname())
        ports = near.getsockname()[1], near.getpeername()[1]
        far, _ = server.accept()
        near.close()
        far.close()

        assert owners([ports], [os.getpid()]) == {}


def test_the_kernel_tells_the_inode_that_the_process_sees(pair: tuple[int, int]) -> None:
    if not can_tell():
        pytest.skip("this kernel has no tcp_diag")
    with SockDiag() as kernel:
        inode = kernel.inode(*pair)

    assert f"socket:[{inode}]" in {_target(fd) for fd in os.listdir("/proc/self/fd")}


def _target(fd: str) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return None
