"""The load, by Locust. Alone:  locust -f harness/real/locustfile.py --host http://127.0.0.1:8000

Alone, each user asks one question about every second. Under the harness (HARNESS_PLAN names a plan, see load.py) one
user keeps the scenario's plan: every request is sent at its intended time whatever became of the earlier ones, so
that a stall shows in the latencies instead of hiding in a lower rate (no coordinated omission), and every request
is written to a journal. What the plan wants streamed is asked of `/v1/chat/completions` and read event by event; a
sender that is to leave closes its connection. Importing Locust patches the interpreter: nothing imports this file.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from random import Random
from typing import Literal
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, constant_pacing, task
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastResponse

from harness.history import RequestDone, RequestSent
from harness.real.heard import Heard
from harness.real.load import Plan, Writer
from harness.workload import Manners, arrivals, closed_loads, window

PLAN = os.environ.get("HARNESS_PLAN")
QUESTION = {"message": "Is anybody there?", "max_tokens": 16}
STREAMS = "/v1/chat/completions"
STREAMED = {
    "model": "flexiai",
    "messages": [{"role": "user", "content": "Is anybody there?"}],
    "max_tokens": 4096,
    "stream": True,
}
TIMEOUT_S = 120.0
FIND_S = 0.05
FOREVER_S = 3600.0


class Left(BaseException):
    """The sender of a request went away, as its plan says."""


class Asker(FastHttpUser):
    """A user on its own: a question a second, of which a quarter wants its answer piece by piece."""

    abstract = PLAN is not None
    wait_time = constant_pacing(1)

    @task(3)
    def ask(self) -> None:
        """Ask, and let Locust count."""
        self.client.post("/chat/direct", json=QUESTION)

    @task(1)
    def listen(self) -> None:
        """Ask for a stream, and hear it to its end."""
        with self.client.post(STREAMS, json=STREAMED, stream=True, catch_response=True) as response:
            if int(response.status_code or 0) == 200:
                done = _heard(response, time.monotonic()).done("", None, time.monotonic())
                response.success() if done.result == "ok" else response.failure(f"the stream broke: {done.error}")


class Balancer:
    """Spreads requests over instances as the scenario's balancer does, by what this load itself has under way."""

    def __init__(self, instances: int, how: str, draw: Random) -> None:
        self.how = how
        self.there = list(range(instances))  # the indexes of those that can be reached
        self.open = [0] * instances
        self._draw = draw
        self._turn = 0

    def pick(self) -> int:
        """The index of the instance for the next request."""
        if self.how == "random":
            return self._draw.choice(self.there)
        self._turn += 1
        if self.how == "round_robin":
            return self.there[self._turn % len(self.there)]
        least = min(self.open[i] for i in self.there)
        ties = [i for i in self.there if self.open[i] == least]
        return ties[self._turn % len(ties)]

    def find(self, index: int, host: str) -> None:
        """Take an instance that comes late into account from when it takes connections on."""
        self.there.remove(index)
        address = urlsplit(host)
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection((address.hostname or "", address.port or 80), timeout=1.0).close()
                break
            gevent.sleep(FIND_S)
        self.there = sorted([*self.there, index])


class Planned(FastHttpUser):
    """One user that keeps a whole scenario's plan."""

    abstract = PLAN is None
    fixed_count = 1
    concurrency = 100_000  # an open load has no limit of its own
    max_redirects = 0
    max_retries = 0
    connection_timeout = TIMEOUT_S
    network_timeout = TIMEOUT_S
    # A connection of its own for each request: the kernel then spreads requests over an instance's workers, and no
    # request is lost on a kept connection that a restarted worker has just closed.
    default_headers = {"Connection": "close"}  # noqa: RUF012 - as Locust declares it

    @task
    def keep(self) -> None:
        """Send everything, await every end, and be there until the harness ends Locust: the run may last longer."""
        keeper = Keeper(self, Plan.read(Path(str(PLAN))))
        keeper.run()
        while True:
            gevent.sleep(FOREVER_S)


class Keeper:
    """Keeps a plan: sends at intended times, records what was sent and what came back."""

    def __init__(self, user: Planned, plan: Plan) -> None:
        self.user = user
        self.plan = plan
        self.scenario = plan.scenario
        self.balancer = Balancer(len(plan.hosts), plan.scenario.topology.balancer, Random(f"{plan.seed}/balancer"))
        self.manners = Manners(plan.scenario, plan.seed)
        self.writer = Writer(plan.journal)
        self.zero = 0.0

    def run(self) -> None:
        """Say READY, await the go, and keep the plan to the last answer."""
        print("READY", flush=True)
        self.zero = self._await_go()
        for late in sorted(self.scenario.late_instances):
            gevent.spawn(self.balancer.find, late - 1, self.plan.hosts[late - 1])
        gevent.sleep(0.0)
        senders = [gevent.spawn(self._open)]
        for index, load in closed_loads(self.scenario):
            start, end = window(load, self.scenario.duration)
            for number in range(load.users):
                first = start + load.pace * number / load.users
                senders.append(gevent.spawn(self._closed, f"r{index}-{number + 1}", first, end, load.pace))
        gevent.joinall(senders)
        print("DONE", flush=True)

    def _await_go(self) -> float:
        """The run's zero on the host's monotonic clock, once the harness has written it."""
        go = self.plan.go
        while not go.exists():
            gevent.sleep(0.005)
        return float(go.read_text())

    def _open(self) -> None:
        under_way = []
        for at, request in arrivals(self.scenario, self.plan.seed):
            self._sleep_until(at)
            under_way.append(gevent.spawn(self._send, request, at))
        gevent.joinall(under_way)

    def _closed(self, name: str, at: float, end: float, pace: float) -> None:
        number = 0
        while at < end:
            self._sleep_until(at)
            number += 1
            self._send(f"{name}-{number}", at)
            at = max(at + pace, self._now())

    def _now(self) -> float:
        return time.monotonic() - self.zero

    def _sleep_until(self, at: float) -> None:
        left = at - self._now()
        if left > 0:
            gevent.sleep(left)

    def _send(self, request: str, intended: float) -> None:
        """Send it, and once more whenever its sender does that; not after the run's end."""
        again = self.manners.again(self._sent(request, intended))
        while again is not None and (due := self._now() + again[0]) < self.scenario.duration:
            self._sleep_until(due)
            again = self.manners.again(self._sent(again[1], due))

    def _sent(self, request: str, intended: float) -> RequestDone:
        manner, instance, sent = self.manners.of(request), self.balancer.pick(), time.monotonic()
        self.balancer.open[instance] += 1
        self.writer.write(
            RequestSent(
                t=sent,
                request=request,
                instance=instance + 1,
                intended=self.zero + intended,
                stream=manner.stream,
            )
        )
        ask = self._hear if manner.stream else self._ask
        try:
            with gevent.Timeout(manner.leaves_after_s, Left):
                done = ask(request, self.plan.hosts[instance], sent)
        except Left:  # whatever was open has been closed on its way here
            done = RequestDone(t=time.monotonic(), request=request, result="left")
        finally:
            self.balancer.open[instance] -= 1
        self.writer.write(done)
        return done

    def _ask(self, request: str, host: str, _sent: float) -> RequestDone:
        response = self.user.client.post(f"{host}/chat/direct", json=QUESTION, headers={"X-Request-ID": request})
        return _end_of(request, response)

    def _hear(self, request: str, host: str, sent: float) -> RequestDone:
        headers = {"X-Request-ID": request}
        response = self.user.client.post(f"{host}{STREAMS}", json=STREAMED, headers=headers, stream=True)
        if int(response.status_code or 0) != 200:
            return _end_of(request, response)
        return _heard(response, sent).done(request, _header(response, "X-FlexiAI-Provider"), time.monotonic())


def _heard(response: FastResponse, sent: float) -> Heard:
    """A stream, heard as it comes, to its end or to where it broke off."""
    heard, lines = Heard(sent), response._response
    assert lines is not None  # noqa: S101 - it has a status
    try:
        with contextlib.suppress(*FAILURE_EXCEPTIONS):  # it broke: `heard` has no end then, and says so
            while line := lines.readline(b"\n"):
                heard.line(line, time.monotonic())
    finally:
        lines.release()
    return heard


def _end_of(request: str, response: FastResponse) -> RequestDone:
    """What a response says about its request. Without a status nobody can know what became of it."""
    now, status = time.monotonic(), int(response.status_code or 0)
    if status == 0:
        error = getattr(response, "error", None)
        result: Literal["fail", "info"] = "fail" if isinstance(error, ConnectionRefusedError) else "info"
        return RequestDone(t=now, request=request, result=result, error=type(error).__name__)
    retry_after = _header(response, "Retry-After")
    return RequestDone(
        t=now,
        request=request,
        result="ok" if status == 200 else "fail",
        provider=_header(response, "X-FlexiAI-Provider"),
        status=status,
        error=None if status == 200 else (response.text or "")[:200],
        retry_after_s=float(retry_after) if retry_after else None,
    )


def _header(response: FastResponse, name: str) -> str | None:
    value = response.headers.get(name) if response.headers else None
    return str(value) if value is not None else None
