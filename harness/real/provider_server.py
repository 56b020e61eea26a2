"""A real provider, as a process of its own: `python -m harness.real.provider_server --name openai`.

It prints one line, `READY <port> <control port>`, once it accepts requests, and ends at SIGTERM or SIGINT, or when the
process that started it is gone. Exit codes: 0, or 64 when its arguments cannot work (a port in use, no such directory).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NoReturn

from aiohttp import web

from harness.real.provider.control import Control
from harness.real.provider.door import BACKLOG, Door, bound
from harness.real.provider.faults import Board
from harness.real.provider.latency import LogNormal
from harness.real.provider.ledger import Ledger
from harness.real.provider.lifetime import until_told
from harness.real.provider.service import Pace, Service
from harness.real.provider.wire import Wire
from harness.real.provider.wire_anthropic import AnthropicWire
from harness.real.provider.wire_openai import OpenAIWire

BAD_INPUT = 64
WIRES: dict[str, tuple[Wire, ...]] = {
    "openai": (OpenAIWire(),),
    "anthropic": (AnthropicWire(),),
    "both": (OpenAIWire(), AnthropicWire()),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a server needs before it can start, had or refused as a whole."""

    ledger: Ledger
    latency: LogNormal
    pace: Pace
    data: socket.socket
    control: socket.socket

    @classmethod
    def of(cls, options: argparse.Namespace) -> Plan:
        """The plan of a command line; ValueError or OSError says what in it cannot work."""
        return cls(
            latency=LogNormal(options.latency_median, options.latency_p99, Random(f"{options.seed}/latency")),
            pace=Pace(options.tokens, options.token_interval),
            data=bound(options.port),
            control=bound(options.control_port),
            ledger=Ledger(options.name, options.ledger),
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to end; the exit code."""
    options = _parser().parse_args(argv)
    try:
        plan = Plan.of(options)
    except (OSError, ValueError) as error:
        print(f"provider-server: {error}", file=sys.stderr)
        return BAD_INPUT
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(options, plan))
    return 0


async def serve(options: argparse.Namespace, plan: Plan) -> None:
    """Serve by `plan` until told to end; everything is closed when it returns."""
    board = Board(Random(f"{options.seed}/faults"))
    service = Service(options.name, board, plan.ledger, plan.latency, plan.pace)
    async with AsyncExitStack() as stack:
        stack.callback(plan.ledger.close)
        door = Door(await _runner(service.application(WIRES[options.wire]), stack), plan.data)
        stack.callback(door.release)
        stack.push_async_callback(door.shut)
        stack.callback(board.heal_all)
        control = await _runner(Control(board, service, door).application(), stack)
        await web.SockSite(control, plan.control, backlog=BACKLOG).start()
        await door.open()
        print(f"READY {door.port} {plan.control.getsockname()[1]}", flush=True)
        await until_told(options.parent)


async def _runner(application: web.Application, stack: AsyncExitStack) -> web.AppRunner:
    """A runner whose handlers are cancelled when their caller leaves, and which ends without waiting for anyone."""
    runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - optional: it is not to be had on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"provider-server: {message}\n")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, not {text!r}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 up, not {text!r}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="provider-server", description="A provider that speaks the vendors' HTTP formats.")
    parser.add_argument("--name", required=True, help="who it says it is")
    parser.add_argument("--port", type=_port, default=0, help="where it serves (0: a free port)")
    parser.add_argument("--control-port", type=_port, default=0, help="where it is told to break and to heal")
    parser.add_argument("--wire", choices=sorted(WIRES), default="both", help="the formats it speaks")
    parser.add_argument("--ledger", type=Path, help="file to which it appends a line for every request")
    parser.add_argument("--latency-median", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--latency-p99", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--tokens", type=_count, metavar="N", help="how many an answer has (default: a sentence's)")
    parser.add_argument(
        "--token-interval", type=float, default=0.0, metavar="SECONDS", help="from one token of a stream to the next"
    )
    parser.add_argument("--seed", type=int, default=0, help="of its latencies and of the share of a fault")
    parser.add_argument("--parent", type=int, default=os.getppid(), metavar="PID", help="ends when this process does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
