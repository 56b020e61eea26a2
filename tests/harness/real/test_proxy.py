"""The fault proxy on real sockets: it relays every byte, and breaks exactly what it is told to break."""

from __future__ import annotations

import hashlib
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from random import Random

import pytest

from harness.real.wire_rules import Answer, Listen, Redirect, Rule
from tests.harness.real.proxied import (
    BOUND_S,
    ProxyProcess,
    Upstream,
    connect,
    exactly,
    fault_proxy,
    silent,
    upstream,
)

pytestmark = pytest.mark.real

CLIENT = """
import socket, sys
conn = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
for line in sys.stdin.buffer:
    conn.sendall(line)
    sys.stdout.buffer.write(conn.makefile("rb").readline())
    sys.stdout.flush()
"""


@pytest.fixture
def proxy() -> Iterator[ProxyProcess]:
    with fault_proxy() as running:
        yield running


@pytest.fixture
def server() -> Iterator[Upstream]:
    with upstream() as echoing:
        yield echoing


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """An upstream of this test's own."""
    return str(request.node.name)


def pong(conn: socket.socket, word: bytes) -> bytes:
    conn.sendall(word)
    return exactly(conn, len(word))


def passed(proxy: ProxyProcess, server: Upstream) -> None:
    """Time for the proxy to have done what it was going to do: a round trip through it on another way."""
    with connect(proxy.listen("bystander", server.port)) as bystander:
        for _ in range(3):
            assert pong(bystander, b"x") == b"x"


def counted(proxy: ProxyProcess, index: int) -> int:
    return proxy.counts().get(index, 0)


# -- relaying


def test_every_byte_arrives_in_order_though_both_sides_are_slow(
    proxy: ProxyProcess, server: Upstream, name: str
) -> None:
    data = Random(name).randbytes(8 << 20) * 3
    with connect(proxy.listen(name, server.port)) as conn:
        sender = threading.Thread(target=conn.sendall, args=(data,), daemon=True)
        sender.start()
        digest, left = hashlib.sha256(), len(data)
        while left:
            part = conn.recv(min(left, 3000 if left % 7 else 1 << 20))
            assert part, "ended early"
            digest.update(part)
            left -= len(part)
        sender.join(BOUND_S)
    assert digest.digest() == hashlib.sha256(data).digest()


def test_a_burst_at_the_very_start_keeps_its_order(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    data = b"".join(b"%07d\n" % n for n in range(40_000))
    for _ in range(5):
        with connect(port) as conn:
            sender = threading.Thread(target=conn.sendall, args=(data,), daemon=True)
            sender.start()
            assert exactly(conn, len(data)) == data
            sender.join(BOUND_S)


def test_a_client_that_is_gone_is_gone_for_the_upstream(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    with connect(proxy.listen(name, server.port)) as conn:
        pong(conn, b"x")
    assert server.ended.acquire(timeout=BOUND_S)


def test_an_upstream_that_ends_is_an_end_for_the_client_after_what_it_said(proxy: ProxyProcess, name: str) -> None:
    with upstream(lambda conn: conn.sendall(b"last words")) as brief, connect(proxy.listen(name, brief.port)) as conn:
        assert exactly(conn, 100) == b"last words"


def test_nobody_listening_is_a_reset(proxy: ProxyProcess, name: str) -> None:
    with upstream() as gone:
        port = proxy.listen(name, gone.port)
    with pytest.raises(ConnectionResetError), connect(port) as conn:  # as early as while it is being connected
        exactly(conn, 1)


# -- holding


def test_a_hold_keeps_bytes_and_lets_them_go_in_order(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    with connect(port) as conn:
        pong(conn, b"before")
        proxy.put(1, Rule(upstream=name, action="hold"))
        for part in (b"one ", b"two ", b"three"):
            conn.sendall(part)
            passed(proxy, server)
        assert silent(conn)
        proxy.drop(1)
        assert exactly(conn, 13) == b"one two three"
        assert pong(conn, b"after") == b"after"
    assert counted(proxy, 1) >= 1


def test_what_the_upstream_says_is_held_too(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    speak = threading.Event()

    def talk(conn: socket.socket) -> None:
        conn.sendall(b"hello")
        speak.wait(BOUND_S)
        conn.sendall(b"news")
        conn.recv(1)

    with upstream(talk) as talker, connect(proxy.listen(name, talker.port)) as conn:
        assert exactly(conn, 5) == b"hello"
        proxy.put(1, Rule(upstream=name, action="hold"))
        speak.set()
        deadline = time.monotonic() + BOUND_S
        while counted(proxy, 1) == 0:  # it has come to the proxy
            assert time.monotonic() < deadline
        passed(proxy, server)
        assert silent(conn)
        proxy.drop(1)
        assert exactly(conn, 4) == b"news"


def test_a_large_hold_is_felt_by_the_sender_and_nothing_is_lost(
    proxy: ProxyProcess, server: Upstream, name: str
) -> None:
    data = Random(name).randbytes(1 << 20) * 16
    with connect(proxy.listen(name, server.port)) as conn:
        pong(conn, b"before")
        proxy.put(1, Rule(upstream=name, action="hold"))
        conn.settimeout(0.5)
        with pytest.raises(TimeoutError):
            conn.sendall(data)
        proxy.drop(1)
        conn.settimeout(BOUND_S)
        got = exactly(conn, 1 << 20)
    assert got == data[: 1 << 20]


def test_a_new_connection_waits_outside_a_partition(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    proxy.put(1, Rule(upstream=name, action="hold"))
    with connect(port) as conn:
        conn.sendall(b"knock")
        passed(proxy, server)
        assert server.began.acquire(timeout=BOUND_S)  # the bystander
        assert not server.began.acquire(blocking=False)
        proxy.drop(1)
        assert exactly(conn, 5) == b"knock"
    assert counted(proxy, 1) >= 1


def test_who_gave_up_outside_a_partition_never_arrives(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    proxy.put(1, Rule(upstream=name, action="hold"))
    with connect(port) as conn:
        conn.sendall(b"too late")
        passed(proxy, server)
    passed(proxy, server)
    proxy.drop(1)
    passed(proxy, server)
    for _ in range(3):
        assert server.began.acquire(timeout=BOUND_S)  # the bystanders
    assert not server.began.acquire(blocking=False)


def test_a_hold_put_again_with_other_pids_lets_the_others_go(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    with connect(proxy.listen(name, server.port)) as conn:
        pong(conn, b"before")
        proxy.put(1, Rule(upstream=name, action="hold"))
        conn.sendall(b"held")
        passed(proxy, server)
        assert silent(conn)
        proxy.put(1, Rule(upstream=name, action="hold", pids=(1,)))
        assert exactly(conn, 4) == b"held"


# -- resets and delays


def test_a_reset_is_a_reset(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    with connect(port) as conn:
        pong(conn, b"before")
        proxy.put(1, Rule(upstream=name, action="reset"))
        with pytest.raises(ConnectionResetError):
            exactly(conn, 1)
        with pytest.raises(ConnectionResetError), connect(port) as another:
            exactly(another, 1)
        assert counted(proxy, 1) >= 2
        proxy.drop(1)
        with connect(port) as healed:
            assert pong(healed, b"after") == b"after"


def test_a_delay_is_added_each_way_and_keeps_the_order(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    with connect(proxy.listen(name, server.port)) as conn:
        pong(conn, b"before")
        proxy.put(1, Rule(upstream=name, action="delay", delay_s=0.05))
        began = time.monotonic()
        assert pong(conn, b"slow") == b"slow"
        assert time.monotonic() - began >= 0.1
        conn.sendall(b"1 ")
        proxy.drop(1)
        assert pong(conn, b"2 ") + exactly(conn, 2) == b"1 2 "
    assert counted(proxy, 1) >= 2


# -- whose connection it is


def test_only_the_processes_named_are_cut_off(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    command = (sys.executable, "-c", CLIENT, str(port))
    clients = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) for _ in range(2)]
    cut, free = clients
    try:
        assert [asked(each, b"hello\n") for each in clients] == [b"hello\n"] * 2
        proxy.put(1, Rule(upstream=name, action="hold", pids=(cut.pid,)))
        assert asked(free, b"free\n") == b"free\n"
        assert counted(proxy, 1) == 0
        assert cut.stdin is not None
        cut.stdin.write(b"held\n")
        passed(proxy, server)
        assert asked(free, b"still\n") == b"still\n"
        proxy.drop(1)
        assert said(cut) == b"held\n"
        assert counted(proxy, 1) >= 1
    finally:
        for each in clients:
            each.kill()
            each.communicate(timeout=BOUND_S)


def asked(client: subprocess.Popen[bytes], line: bytes) -> bytes:
    assert client.stdin is not None
    client.stdin.write(line)
    return said(client)


def said(client: subprocess.Popen[bytes]) -> bytes:
    """The client's next line, in bounded time."""
    assert client.stdout is not None
    assert select.select([client.stdout], [], [], BOUND_S)[0], "silent"
    return client.stdout.readline()


def test_a_new_connection_of_a_process_that_is_cut_off_waits(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    command = (sys.executable, "-c", "import sys; sys.stdin.buffer.readline()\n" + CLIENT, str(port))
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as client:
        try:
            proxy.put(1, Rule(upstream=name, action="hold", pids=(client.pid,)))
            assert client.stdin is not None
            client.stdin.write(b"\nknock\n")
            deadline = time.monotonic() + BOUND_S
            while counted(proxy, 1) == 0:
                assert time.monotonic() < deadline
            assert not server.began.acquire(blocking=False)
            proxy.drop(1)
            assert said(client) == b"knock\n"
        finally:
            client.kill()


# -- evidence, orders, end


def test_a_rule_that_changes_nothing_counts_nothing(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    with connect(proxy.listen(name, server.port)) as conn:
        pong(conn, b"before")
        before = proxy.counts()
        proxy.put(1, Rule(upstream="another", action="hold"))
        proxy.put(2, Rule(upstream=name, action="reset", pids=(1,)))
        proxy.put(3, Rule(upstream=name, action="hold"))
        proxy.drop(3)
        assert pong(conn, b"after") == b"after"
        assert proxy.counts() == before


def test_an_order_that_makes_no_sense_is_answered_with_what_is_wrong(proxy: ProxyProcess) -> None:
    assert "ValidationError" in str(proxy.say(b'{"op":"put","index":1,"rule":{"upstream":"a","action":"melt"}}').error)
    assert "DecodeError" in str(proxy.say(b"{").error)
    assert proxy.counts() is not None


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_good_order_and_resets_what_is_open(server: Upstream, told: signal.Signals) -> None:
    with fault_proxy() as proxy, connect(proxy.listen("up", server.port)) as conn:
        pong(conn, b"x")
        proxy.process.send_signal(told)
        with pytest.raises(ConnectionResetError):
            exactly(conn, 1)
        assert proxy.process.wait(BOUND_S) == 0


# -- one direction, losses, Redis' own


def test_one_direction_is_held_and_the_other_goes_on(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    heard: list[bytes] = []

    def talk(conn: socket.socket) -> None:
        heard.append(conn.recv(100))
        conn.sendall(b"answer")
        heard.append(conn.recv(100))

    with upstream(talk) as talker, connect(proxy.listen(name, talker.port)) as conn:
        assert talker.began.acquire(timeout=BOUND_S)
        proxy.put(1, Rule(upstream=name, action="hold", toward="worker"))
        conn.sendall(b"one")
        while not heard:
            passed(proxy, server)
        passed(proxy, server)
        assert silent(conn)
        proxy.drop(1)
        assert exactly(conn, 6) == b"answer"


def test_what_is_dropped_is_lost_and_its_connection_with_it(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    with connect(proxy.listen(name, server.port)) as conn:
        assert pong(conn, b"before") == b"before"
        proxy.put(1, Rule(upstream=name, action="drop"))
        conn.sendall(b"lost")
        while not counted(proxy, 1):
            passed(proxy, server)
        assert silent(conn)
        proxy.drop(1)
        with pytest.raises(ConnectionResetError):
            conn.recv(100)


def test_a_throttled_way_takes_as_long_as_its_rate_says(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    with connect(proxy.listen(name, server.port)) as conn:
        proxy.put(1, Rule(upstream=name, action="throttle", toward="upstream", rate=20_000))
        began = time.monotonic()
        assert pong(conn, b"x" * 4_000) == b"x" * 4_000
        assert time.monotonic() - began >= 0.2
    assert counted(proxy, 1) > 0


def test_a_redirected_upstream_is_found_elsewhere(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.listen(name, server.port)
    with upstream(lambda conn: conn.sendall(b"here")) as other, connect(port) as before:
        assert pong(before, b"x") == b"x"
        assert proxy.tell(Redirect(name, other.port)) == Answer()
        with pytest.raises(ConnectionResetError):
            before.recv(100)
        with connect(port) as after:
            assert exactly(after, 4) == b"here"


MESSAGE = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"


def test_messages_are_lost_and_replies_arrive(proxy: ProxyProcess, name: str) -> None:
    def publish(conn: socket.socket) -> None:
        conn.recv(100)
        conn.sendall(MESSAGE + b"+OK\r\n" + MESSAGE)

    with upstream(publish) as redis:
        port = proxy.tell(Listen(name, redis.port, redis=True)).port
        proxy.put(1, Rule(upstream=name, action="mute"))
        with connect(port) as conn:
            conn.sendall(b"*1\r\n$4\r\nPING\r\n")
            assert exactly(conn, 100) == b"+OK\r\n"
    assert counted(proxy, 1) == 2


def test_a_denied_command_never_arrives(proxy: ProxyProcess, server: Upstream, name: str) -> None:
    port = proxy.tell(Listen(name, server.port, redis=True)).port
    ping, auth = b"*1\r\n$4\r\nPING\r\n", b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n"
    with connect(port) as conn:
        assert pong(conn, ping) == ping
        proxy.put(1, Rule(upstream=name, action="deny", error="LOADING wait"))
        conn.sendall(ping)
        assert exactly(conn, 15) == b"-LOADING wait\r\n"
        assert pong(conn, auth) == auth
        proxy.drop(1)
        assert pong(conn, ping) == ping
    assert counted(proxy, 1) == 1
