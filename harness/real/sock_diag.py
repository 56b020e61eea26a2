"""Asks the kernel for one TCP socket by its two ports (Linux: sock_diag(7), which `ss` asks as well).

The tables in /proc/net list every socket of the machine, each closed one of the last minute included: tens of
milliseconds on a busy machine. This is one look into the kernel's hash table.
"""

from __future__ import annotations

import functools
import socket
import struct
from types import TracebackType

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_ALL_STATES = 0xFFFFFFFF
_NO_COOKIE = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBBI")  # inet_diag_req_v2: family, protocol, extensions, padding, states; then the socket
_SOCKET = struct.Struct("!HH4s12x4s12x")  # inet_diag_sockid up to its addresses, in network order
_SOCKET_REST = struct.Struct("=III")  # interface, cookie
_INODE = struct.Struct("=I")
_INODE_AT = _HEADER.size + 4 + _SOCKET.size + _SOCKET_REST.size + 4 * 4
_LOOPBACK = socket.inet_aton("127.0.0.1")
_ANSWER_S = 1.0


class SockDiag:
    """A line to the kernel, closed at the end of its `with`. OSError where there is none."""

    def __enter__(self) -> SockDiag:
        self._line = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)
        self._line.settimeout(_ANSWER_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._line.close()

    def inode(self, local: int, remote: int) -> str | None:
        """The inode of the loopback socket between these ports; None if there is no such, or nobody holds it."""
        self._line.send(_question(local, remote))
        answer = self._line.recv(4096)
        _, kind, _, _, _ = _HEADER.unpack_from(answer)
        if kind != _SOCK_DIAG_BY_FAMILY:
            return None
        inode: int = _INODE.unpack_from(answer, _INODE_AT)[0]
        return str(inode) if inode else None


@functools.cache
def can_tell() -> bool:
    """Whether this kernel answers: not all have `tcp_diag`, and what it has not looks like a socket that is not."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as known:
        try:
            with SockDiag() as kernel:
                return kernel.inode(known.getsockname()[1], server.getsockname()[1]) is not None
        except OSError:
            return False


def _question(local: int, remote: int) -> bytes:
    body = _QUESTION.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, _ALL_STATES)
    body += _SOCKET.pack(local, remote, _LOOPBACK, _LOOPBACK) + _SOCKET_REST.pack(0, _NO_COOKIE, _NO_COOKIE)
    return _HEADER.pack(_HEADER.size + len(body), _SOCK_DIAG_BY_FAMILY, _REQUEST, 0, 0) + body
