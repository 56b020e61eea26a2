"""A simulated provider: it thinks, answers as its faults allow, and keeps a ledger.

Rules (those of the real world's provider)
-----
* Every request that arrives ends in the ledger once: ok, error, hung (no answer was ever given) or gone (who asked
  left, was killed or was cut off before the answer).
* A request is shaped on arrival by the faults that stand then, each with its share drawn at random; `latency` and
  `stall` (streams alone) only delay; of the others the one with the lowest index decides.
* An error takes as long as an answer would, but who is turned away for want of capacity hears it at once. A hang lasts
  until its fault heals; the connection is then cut.
* A stream has a piece with its role, then its tokens, then one that ends it.
* Refusing cuts what is under way. A partition holds requests and answers of its workers until it heals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from flexiai.chat import ChatChunk, ChatCompletion, ChatMessage, ChatRequest, Choice, ChunkChoice, Delta, Usage
from harness.faults import Place, ProviderCapacity, ProviderLatency, ProviderPartition, ProviderRefuse, ProviderStall
from harness.history import ProviderServed, Recorder
from harness.scenario import ProviderSpec
from harness.sim.chance import Chance, Sampler
from harness.sim.line import Flight, Line, Shape
from harness.sim.standing import Standing

_CHOICES = (Choice(message=ChatMessage(content="Yes.")),)
_USAGE = Usage(prompt_tokens=8, completion_tokens=2, total_tokens=10)
_ROLE = Delta(role="assistant")


class SimProvider:
    """The provider itself: one for all workers. Its ledger goes to `record`, in the time of `now`."""

    def __init__(self, spec: ProviderSpec, chance: Chance, now: Callable[[], float], record: Recorder) -> None:
        self.name = spec.name
        self.standing: dict[int, Standing] = {}  # by index
        self.think_s = chance.latency(spec.latency, f"provider/{spec.name}/latency")
        self.now = now
        self.tokens = spec.tokens
        self.token_interval_s = spec.token_interval
        self._model = spec.config.model
        self._chance = chance
        self._record = record
        self._lines: list[Line] = []
        self._answers = 0

    @cached_property
    def _draw(self) -> Sampler:
        return self._chance.stream(f"provider/{self.name}/share").random

    @cached_property
    def _luck(self) -> Sampler:
        return self._chance.stream(f"provider/{self.name}/spread").random

    def line(self, place: Place) -> Line:
        """The provider as a new worker at `place` sees it."""
        line = Line(self, place)
        self._lines.append(line)
        return line

    def drop(self, line: Line) -> None:
        """A worker is gone, and with it the requests it had under way."""
        self._lines.remove(line)
        lost, line.open = line.open, {}
        for flight in lost:
            if flight.began is not None:
                self.enter(flight)

    def put(self, standing: Standing) -> None:
        """Let a fault stand."""
        standing.since = self.now()
        self.standing = dict(sorted({**self.standing, standing.index: standing}.items()))
        if isinstance(standing.fault, ProviderRefuse):
            for line in self._lines:
                line.cut(standing)

    def heal(self, standing: Standing) -> None:
        """End a fault."""
        del self.standing[standing.index]
        for line in self._lines:
            line.healed(standing)

    def shape(self, flight: Flight) -> Shape:
        """For a request that has just arrived: how much longer it takes, and what decides its answer."""
        hit = [s for s in self.standing.values() if self._hits(s, flight)]
        stall = next((s for s in hit if isinstance(s.fault, ProviderStall)), None)
        delays = [s for s in hit if isinstance(s.fault, ProviderLatency | ProviderStall)]
        deciding = next((s for s in hit if s not in delays), None)
        for standing in [*delays, deciding] if deciding is not None else delays:
            standing.touch()
            flight.fault = standing.index
        return Shape(sum(self._added_s(s) for s in delays), stall, deciding)

    def _added_s(self, standing: Standing) -> float:
        fault = standing.fault
        if not isinstance(fault, ProviderLatency):
            return 0.0
        return fault.added_s(self.now() - standing.since, self._luck() if fault.spread else 0.0)

    @property
    def _under_way(self) -> int:
        return sum(flight.began is not None for line in self._lines for flight in line.open)

    def _hits(self, standing: Standing, flight: Flight) -> bool:
        if standing.fault.of == "network" or isinstance(standing.fault, ProviderPartition | ProviderRefuse):
            return False
        if isinstance(standing.fault, ProviderStall) and not flight.stream:
            return False
        if isinstance(standing.fault, ProviderCapacity):
            return self._under_way > standing.fault.most  # the one that comes is among them
        return standing.share >= 1 or self._draw() < standing.share

    def answer(self, request: ChatRequest) -> ChatCompletion:
        """An answer."""
        self._answers += 1
        return ChatCompletion(
            id=f"{self.name}-{self._answers}",
            model=request.model or self._model,
            choices=_CHOICES,
            provider=self.name,
            usage=_USAGE,
        )

    def pieces(self, request: ChatRequest) -> Iterator[ChatChunk]:
        """A stream's: its role, each token, its end."""
        self._answers += 1
        id_ = f"{self.name}-{self._answers}"
        yield self._piece(id_, request, _ROLE)
        for number in range(1, self.tokens + 1):
            yield self._piece(id_, request, Delta(content=f"{number} "))
        yield self._piece(id_, request, Delta(), "stop")

    def _piece(self, id_: str, request: ChatRequest, delta: Delta, finish_reason: str | None = None) -> ChatChunk:
        choices = (ChunkChoice(delta=delta, finish_reason=finish_reason),)
        usage = _USAGE if finish_reason else None
        return ChatChunk(id=id_, model=request.model or self._model, choices=choices, provider=self.name, usage=usage)

    def enter(self, flight: Flight) -> None:
        """Write what became of a request into the ledger."""
        self._record(
            ProviderServed(
                t=self.now(),
                provider=self.name,
                request=flight.request,
                began=flight.began if flight.began is not None else self.now(),
                result=flight.result,
                status=flight.status,
                fault=flight.fault,
            )
        )
