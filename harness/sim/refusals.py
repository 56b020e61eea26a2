"""What a simulated event loop must not do: each says so by name instead of reaching for the real world."""

from __future__ import annotations

import asyncio
from typing import Any


class NotSimulated(RuntimeError):
    """Code under simulation asked for something that simulated time cannot rule: a thread, a real socket, a process."""


def _refused(what: str) -> Any:
    def refuse(self: object, *args: object, **kwargs: object) -> Any:
        raise NotSimulated(f"a simulated event loop has no {what}")

    return refuse


class Refusals(asyncio.AbstractEventLoop):
    """The methods of an event loop that have no meaning in a simulation."""

    run_in_executor = _refused("threads or executors")
    set_default_executor = _refused("threads or executors")
    getnameinfo = _refused("name service")
    start_tls = _refused("TLS")
    sendfile = _refused("files to send")
    sock_sendfile = _refused("files to send")
    create_unix_connection = _refused("Unix sockets")
    create_unix_server = _refused("Unix sockets")
    connect_accepted_socket = _refused("real sockets")
    create_datagram_endpoint = _refused("datagrams")
    connect_read_pipe = _refused("pipes")
    connect_write_pipe = _refused("pipes")
    subprocess_shell = _refused("subprocesses")
    subprocess_exec = _refused("subprocesses")
    add_reader = _refused("real file descriptors")
    remove_reader = _refused("real file descriptors")
    add_writer = _refused("real file descriptors")
    remove_writer = _refused("real file descriptors")
    sock_recv = _refused("real sockets")
    sock_recv_into = _refused("real sockets")
    sock_recvfrom = _refused("real sockets")
    sock_recvfrom_into = _refused("real sockets")
    sock_sendall = _refused("real sockets")
    sock_sendto = _refused("real sockets")
    sock_connect = _refused("real sockets")
    sock_accept = _refused("real sockets")
    add_signal_handler = _refused("signals")
    remove_signal_handler = _refused("signals")
    run_forever = _refused("life of its own: the simulation's engine runs it")
    run_until_complete = _refused("life of its own: the simulation's engine runs it")
    stop = _refused("life of its own: the simulation's engine runs it")
    set_task_factory = _refused("task factory")
    set_exception_handler = _refused("exception handler of its own: what nobody observed goes to its process")
    get_exception_handler = _refused("exception handler of its own: what nobody observed goes to its process")
