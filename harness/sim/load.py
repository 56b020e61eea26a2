"""The simulated load: the scenario's plan, kept at its intended times, through a balancer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from harness.history import Recorder, RequestDone, RequestSent
from harness.scenario import ClosedLoad, Scenario
from harness.sim.balancer import Balancer
from harness.sim.chance import Sampler
from harness.sim.engine import Engine
from harness.sim.worker import Reply
from harness.workload import Manners, Plan, arrivals, arrivals_of, closed_loads, window

Connect = Callable[[int, str, bool, Callable[[str, Reply], None]], None]
Disconnect = Callable[[int, str], None]


@dataclass(slots=True)
class _Asked:
    """A request that is open: where, since when, when it gets there, and what is to be done at its end."""

    instance: int
    sent: float
    arrives: float
    answered: Callable[[], None]


class SimLoad:
    """Sends a scenario's requests from the moment of `start`, and records what was sent and what came back.

    edge        how long a request takes to an instance, and its answer back
    connect     hands a request to an instance: whether it is to be a stream, and whom to answer
    disconnect  tells an instance that the sender of a request has left
    serves      whether an instance is there for the balancer
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        engine: Engine,
        edge: Sampler,
        rng: Random,
        *,
        connect: Connect,
        disconnect: Disconnect,
        serves: Callable[[int], bool] = lambda _: True,
        record: Recorder,
        now: Callable[[], float],
    ) -> None:
        self._scenario = scenario
        self._engine, self._edge, self._record, self._now = engine, edge, record, now
        self._connect, self._disconnect = connect, disconnect
        self._seed = seed
        self._manners = Manners(scenario, seed)
        self._balancer = Balancer(scenario.topology, rng, serves)
        self._ceased = False
        self._open: dict[str, _Asked] = {}
        self._senders = 0  # open load, and users, that may still send
        self._on_end: Callable[[], None] = _nothing

    def start(self) -> None:
        """Begin, now."""
        self._follow(arrivals(self._scenario, self._seed))
        for index, load in closed_loads(self._scenario):
            start, end = window(load, self._scenario.duration)
            for user in range(load.users):
                self._senders += 1
                self._user(load, f"r{index}-{user + 1}", 1, start + load.pace * user / load.users, end)

    def add(self, scenario: Scenario) -> None:
        """Begin to send the last load of `scenario` too, which has one more than was known of."""
        self._scenario, self._manners = scenario, Manners(scenario, self._seed)
        self._follow(arrivals_of(scenario, len(scenario.load) - 1, self._seed))

    def cease(self) -> None:
        """Send nothing more (a user may send once more)."""
        self._ceased = True

    @property
    def over(self) -> bool:
        """Whether all was sent and answered."""
        return self._senders == 0 and not self._open

    def when_over(self, call: Callable[[], None]) -> None:
        """Call once, when all was sent and answered (at once if that is so)."""
        if self.over:
            call()
        else:
            self._on_end = call

    def give_up(self) -> None:
        """Nobody waits any longer: what is open is recorded as `info`."""
        unanswered, self._open = self._open, {}
        for request in unanswered:
            self._record(RequestDone(t=self._now(), request=request, result="info", error="the run ended"))

    def _follow(self, plan: Plan) -> None:
        self._senders += 1
        self._next_arrival(plan)

    def _next_arrival(self, plan: Plan) -> None:
        at, request = next(plan, (None, ""))
        if at is None or self._ceased:
            self._sender_ended()
        else:
            self._engine.call_later(at - self._now(), self._arrival, plan, at, request)

    def _arrival(self, plan: Plan, at: float, request: str) -> None:
        if not self._ceased:
            self._send(request, at, _nothing)
        self._next_arrival(plan)

    def _user(self, load: ClosedLoad, name: str, number: int, at: float, end: float) -> None:
        if at >= end or self._ceased:
            self._sender_ended()
            return

        def answered() -> None:
            self._user(load, name, number + 1, max(at + load.pace, self._now()), end)

        self._engine.call_later(at - self._now(), self._send, f"{name}-{number}", at, answered)

    def _send(self, request: str, intended: float, answered: Callable[[], None]) -> None:
        instance, manner, now = self._balancer.pick(), self._manners.of(request), self._now()
        edge_s = self._edge()
        self._open[request] = _Asked(instance, now, now + edge_s, answered)
        self._record(RequestSent(t=now, request=request, instance=instance, intended=intended, stream=manner.stream))
        self._engine.call_later(edge_s, self._connect, instance, request, manner.stream, self._reply)
        if manner.leaves_after_s is not None:
            self._engine.call_later(manner.leaves_after_s, self._leave, request)

    def _leave(self, request: str) -> None:
        if request not in self._open:
            return  # it has its answer
        asked, now = self._open[request], self._now()
        behind_s = max(self._edge(), asked.arrives - now)  # what it sent arrives before its leaving does
        self._engine.call_later(behind_s, self._disconnect, asked.instance, request)
        self._ended(request, RequestDone(t=now, request=request, result="left"))

    def _reply(self, request: str, reply: Reply) -> None:
        self._engine.call_later(self._edge(), self._done, request, reply)

    def _done(self, request: str, reply: Reply) -> None:
        if request not in self._open:
            return  # nobody waits for it any more
        self._ended(
            request,
            RequestDone(
                t=self._now(),
                request=request,
                result=reply.result,
                provider=reply.provider,
                status=reply.status,
                error=reply.error,
                retry_after_s=reply.retry_after_s,
                chunks=reply.chunks,
                first_token_s=self._first_token_s(self._open[request].sent, reply),
            ),
        )

    def _first_token_s(self, sent: float, reply: Reply) -> float | None:
        return round(self._now() - reply.told_s - sent, 9) if reply.chunks else None

    def _ended(self, request: str, done: RequestDone) -> None:
        asked = self._open.pop(request)
        self._balancer.free(asked.instance)
        self._record(done)
        again = self._manners.again(done)
        if again is None or self._now() + again[0] >= self._scenario.duration:
            asked.answered()
        else:
            self._senders += 1
            self._engine.call_later(again[0], self._send_again, again[1], self._now() + again[0], asked.answered)
        self._look_for_end()

    def _send_again(self, request: str, intended: float, answered: Callable[[], None]) -> None:
        if self._ceased:
            answered()
        else:
            self._send(request, intended, answered)
        self._sender_ended()

    def _sender_ended(self) -> None:
        self._senders -= 1
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self.over:
            call, self._on_end = self._on_end, _nothing
            call()


def _nothing() -> None:
    return None
