"""The simulated streams sit the same exam as asyncio's own over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tests.harness.sim.simulated import loop_on, network, run_on

BOUND_S = 20.0
BIG = bytes(range(256)) * 16_384  # 4 MiB
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RealStreams:
    """asyncio's own, over loopback."""

    host = "127.0.0.1"

    def run(self, exam: Callable[[RealStreams], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(asyncio.wait_for(exam(self), BOUND_S))

    async def serve(self, serve: Serve) -> tuple[asyncio.AbstractServer, int]:
        server = await asyncio.start_server(serve, self.host, 0)
        return server, server.sockets[0].getsockname()[1]


class SimStreams:
    """The simulated ones: a process that talks to itself over a link with latency."""

    host = "here"

    def run(self, exam: Callable[[SimStreams], Coroutine[Any, Any, None]]) -> None:
        loop = loop_on(network(), self.host, callback_cost_s=20e-6)
        run_on(loop, asyncio.wait_for(exam(self), BOUND_S))

    async def serve(self, serve: Serve) -> tuple[asyncio.AbstractServer, int]:
        server = await asyncio.start_server(serve, self.host, 0)
        return server, server.port  # type: ignore[attr-defined]  # a simulated server's port


Streams = RealStreams | SimStreams


@pytest.fixture(params=[RealStreams, SimStreams], ids=["asyncio", "simulated"])
def streams(request: pytest.FixtureRequest) -> Streams:
    return request.param()


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def _connect(streams: Streams, serve: Serve) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    server, port = await streams.serve(serve)
    try:
        return await asyncio.open_connection(streams.host, port)
    finally:
        server.close()


def test_what_is_written_is_echoed_in_order(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        reader, writer = await _connect(streams, _echo)
        for word in (b"one\r\n", b"two\r\n", b"three\r\n"):
            writer.write(word)
        assert [await reader.readline() for _ in range(3)] == [b"one\r\n", b"two\r\n", b"three\r\n"]
        writer.writelines([b"a", b"bc", b"d"])
        assert await reader.readexactly(4) == b"abcd"
        writer.close()
        await writer.wait_closed()

    streams.run(exam)


def test_a_big_transfer_arrives_whole(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        reader, writer = await _connect(streams, _echo)

        async def send() -> None:
            writer.write(BIG)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        assert await reader.read() == BIG
        await sending
        writer.close()
        await writer.wait_closed()

    streams.run(exam)


def test_a_peer_that_does_not_read_stops_the_writer(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        goes_on = asyncio.Event()

        async def late_reader(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream's transport
            await goes_on.wait()
            writer.transport.resume_reading()  # type: ignore[attr-defined]  # of a stream's transport
            total = 0
            while data := await reader.read(1 << 16):
                total += len(data)
            writer.write(str(total).encode())
            writer.close()

        reader, writer = await _connect(streams, late_reader)
        writer.write(BIG * 4)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await writer.drain()
        assert writer.transport.get_write_buffer_size() > 0
        goes_on.set()
        await writer.drain()
        writer.write_eof()
        assert int(await reader.read()) == 4 * len(BIG)
        writer.close()
        await writer.wait_closed()

    streams.run(exam)


def test_after_a_half_close_the_other_direction_still_works(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        async def answer_at_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            question = await reader.read()
            writer.write(question[::-1])
            writer.close()

        reader, writer = await _connect(streams, answer_at_end)
        assert writer.can_write_eof()
        writer.write(b"abc")
        writer.write_eof()
        assert await reader.read() == b"cba"
        assert reader.at_eof()
        with pytest.raises(RuntimeError, match="write_eof"):
            writer.write(b"more")
        writer.close()
        await writer.wait_closed()

    streams.run(exam)


def test_what_was_written_before_close_arrives(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        async def say_and_close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(BIG)
            writer.close()
            await writer.wait_closed()

        reader, writer = await _connect(streams, say_and_close)
        assert await reader.read() == BIG
        writer.close()
        await writer.wait_closed()

    streams.run(exam)


def test_nobody_listening_refuses(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        server, port = await streams.serve(_echo)
        server.close()
        await server.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(streams.host, port)

    streams.run(exam)


def test_an_abort_with_unread_bytes_resets_the_peer(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        async def abort(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a stream's transport
            writer.write(b"!")
            await asyncio.sleep(0.1)  # the peer's bytes are here now, and unread
            writer.transport.abort()

        reader, writer = await _connect(streams, abort)
        assert await reader.readexactly(1) == b"!"
        writer.write(b"never read")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()

    streams.run(exam)


def test_writing_to_a_peer_that_has_closed_ends_in_a_reset(streams: Streams) -> None:
    async def keep_writing(writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"anybody?")
            await writer.drain()
            await asyncio.sleep(0.01)

    async def exam(streams: Streams) -> None:
        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        reader, writer = await _connect(streams, close)
        assert await reader.read() == b""
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await keep_writing(writer)
        writer.close()

    streams.run(exam)


def test_a_closed_writer_is_closing_and_reads_end(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        reader, writer = await _connect(streams, _silent)
        assert not writer.is_closing()
        waiting = asyncio.create_task(reader.read())
        await asyncio.sleep(0)
        writer.close()
        assert writer.is_closing()
        await writer.wait_closed()
        assert await waiting == b""
        assert await reader.read() == b""

    streams.run(exam)


def test_a_read_that_times_out_or_is_cancelled_loses_nothing(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        reader, writer = await _connect(streams, _echo)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reader.readline()
        waiting = asyncio.create_task(reader.readline())
        await asyncio.sleep(0)
        writer.write(b"half ")
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        writer.write(b"and half\n")
        assert await reader.readline() == b"half and half\n"
        writer.close()
        await writer.wait_closed()

    streams.run(exam)


def test_a_connection_that_is_given_up_leaves_the_server_a_closed_one(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        ended = asyncio.Event()

        async def note_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.read() == b""
            writer.close()
            ended.set()

        _, writer = await _connect(streams, note_end)
        writer.close()
        await ended.wait()

    streams.run(exam)


def test_write_buffer_limits_are_asyncios(streams: Streams) -> None:
    async def exam(streams: Streams) -> None:
        _, writer = await _connect(streams, _silent)
        transport = writer.transport
        transport.set_write_buffer_limits(high=4096)
        assert transport.get_write_buffer_limits() == (1024, 4096)
        transport.set_write_buffer_limits(low=10)
        assert transport.get_write_buffer_limits() == (10, 40)
        with pytest.raises(ValueError, match="must be >="):
            transport.set_write_buffer_limits(high=1, low=2)
        assert transport.get_write_buffer_size() == 0
        writer.close()
        await writer.wait_closed()

    streams.run(exam)
