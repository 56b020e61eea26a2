"""The simulated network: latency, order, disturbances with evidence, and what peers see of a process's end."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scenario import Latency
from harness.sim.chance import Chance, sampler
from harness.sim.engine import Engine
from harness.sim.network import Connection, Network
from harness.sim.wire import Disturbance
from tests.harness.sim.simulated import loop_on, network, run_on


class Echo:
    """A server without a loop: answers what it gets, and notes what it saw."""

    def __init__(self) -> None:
        self.seen: list[object] = []
        self.connections: list[Connection] = []

    def on_connect(self, conn: Connection) -> None:
        self.connections.append(conn)
        conn.receiver = EchoSession(self, conn)


class EchoSession:
    def __init__(self, server: Echo, conn: Connection) -> None:
        self.server, self.conn = server, conn

    def data_received(self, data: bytes) -> None:
        self.server.seen.append(data)
        self.conn.write(data)

    def closed(self, exc: Exception | None) -> None:
        self.server.seen.append(exc)


def _served() -> tuple[Network, Echo]:
    net, echo = network(), Echo()
    net.listen("server", 7, echo)
    return net, echo


def test_a_round_trip_takes_two_latencies_and_a_connection_two_more() -> None:
    async def main() -> float:
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"x")
        await reader.readexactly(1)
        writer.close()
        return asyncio.get_running_loop().time()

    net, _ = _served()
    assert run_on(loop_on(net), main()) == pytest.approx(0.004)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=40))
def test_bytes_arrive_in_order_whatever_the_latencies(seed: int, words: list[bytes]) -> None:
    rng = Random(seed)
    net, echo = Network(Engine(), lambda _source, _target: lambda: rng.expovariate(100)), Echo()
    net.listen("server", 7, echo)

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("server", 7)
        for word in words:
            writer.write(word)
            await asyncio.sleep(0.001)
        answer = await reader.readexactly(len(b"".join(words)))
        writer.close()
        return answer

    assert run_on(loop_on(net), main()) == b"".join(words)


def test_a_partition_holds_bytes_and_connects_until_it_heals_and_counts_them() -> None:
    net, echo = _served()
    cut = Disturbance(frozenset(["here"]), frozenset(["server"]), "hold")

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection("server", 7)
        net.disturb(cut)
        writer.write(b"one ")
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.open_connection("server", 7)
        assert echo.seen == []
        net.heal(cut)
        answer = await reader.readexactly(7)
        writer.close()
        return answer

    assert run_on(loop_on(net), main()) == b"one two"
    assert cut.affected == 3


def test_a_partition_is_for_the_hosts_it_names() -> None:
    net, _ = _served()
    cut = Disturbance(frozenset(["elsewhere"]), frozenset(["server"]), "hold")
    net.disturb(cut)

    async def main() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        writer.close()

    run_on(loop_on(net), main())
    assert cut.affected == 0


def test_a_one_way_partition_lets_the_other_way_through() -> None:
    net, echo = _served()
    cut = Disturbance(frozenset(["server"]), frozenset(["here"]), "hold", one_way=True)

    async def main() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        net.disturb(cut)
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await reader.readexactly(1)
        assert echo.seen == [b"x"]
        net.heal(cut)
        assert await reader.readexactly(1) == b"x"
        writer.close()

    run_on(loop_on(net), main())


def test_a_delay_adds_to_the_latency() -> None:
    net, _ = _served()
    net.disturb(Disturbance(frozenset(["here"]), frozenset(["server"]), "delay", add_s=0.1))

    async def main() -> float:
        _, writer = await asyncio.open_connection("server", 7)
        writer.close()
        return asyncio.get_running_loop().time()

    assert run_on(loop_on(net), main()) == pytest.approx(0.202)


def test_a_connection_that_lost_bytes_is_reset_when_it_is_next_used() -> None:
    net, echo = _served()
    lossy = Disturbance(frozenset(["here"]), frozenset(["server"]), "drop")

    async def main() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        net.disturb(lossy)
        writer.write(b"lost")
        await asyncio.sleep(1)
        net.heal(lossy)
        writer.write(b"next")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()

    run_on(loop_on(net), main())
    assert echo.seen == []
    assert lossy.affected == 1


def test_a_frozen_peer_is_silent_but_its_kernel_takes_bytes_and_connections() -> None:
    net, echo = _served()

    async def main() -> bytes:
        net.freeze("server")
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await reader.readexactly(1)
        assert echo.connections == []
        net.thaw("server")
        answer = await reader.readexactly(1)
        writer.close()
        return answer

    assert run_on(loop_on(net), main()) == b"x"


def test_a_crashed_peer_ends_its_connections_and_refuses_new_ones() -> None:
    net, echo = _served()

    async def main() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        net.crash("server")
        assert await reader.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("server", 7)
        writer.close()

    run_on(loop_on(net), main())
    assert echo.seen == []
    assert net.host("server").refused == 1


def test_a_server_hears_of_its_peers_end_once() -> None:
    net, echo = _served()

    async def main() -> None:
        _, writer = await asyncio.open_connection("server", 7)
        writer.close()
        await asyncio.sleep(1)

    run_on(loop_on(net), main())
    assert echo.seen == [None]


def test_what_a_reader_leaves_is_the_servers_unsent() -> None:
    net, echo = _served()

    async def main() -> None:
        reader, writer = await asyncio.open_connection("server", 7)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream's transport
        await asyncio.sleep(0.01)
        conn = echo.connections[0]
        conn.write(b"x" * 1_000_000)
        await asyncio.sleep(1)
        assert conn.unsent > 500_000
        writer.transport.resume_reading()  # type: ignore[attr-defined]  # of a stream's transport
        assert len(await reader.readexactly(1_000_000)) == 1_000_000
        assert conn.unsent == 0
        writer.close()

    run_on(loop_on(net), main())


def test_bandwidth_makes_bytes_take_time() -> None:
    net, echo = Network(Engine(), lambda _source, _target: lambda: 0.0, bandwidth=100_000), Echo()
    net.listen("server", 7, echo)

    async def main() -> float:
        reader, writer = await asyncio.open_connection("server", 7)
        writer.write(b"x" * 50_000)
        await reader.readexactly(50_000)
        writer.close()
        return asyncio.get_running_loop().time()

    assert run_on(loop_on(net), main()) == pytest.approx(1.0)


def test_a_port_is_taken_once() -> None:
    net, echo = _served()
    with pytest.raises(OSError, match="in use"):
        net.listen("server", 7, echo)


def test_latencies_have_the_median_and_p99_they_were_given() -> None:
    latency = Latency.model_validate({"median": "10ms", "p99": "100ms"})
    draw = sampler(latency, Random(1))
    drawn = sorted(draw() for _ in range(20_000))
    assert drawn[10_000] == pytest.approx(0.010, rel=0.05)
    assert drawn[19_800] == pytest.approx(0.100, rel=0.10)
    assert sampler(Latency.model_validate("5ms"), Random(1))() == 0.005


def test_streams_of_chance_depend_on_seed_and_name_alone() -> None:
    assert Chance(1).stream("a").random() == Chance(1).stream("a").random()
    assert len({Chance(s).stream(n).random() for s in (1, 2) for n in ("a", "b")}) == 4
