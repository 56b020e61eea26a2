"""What the fleet says, brought to the breakers: the one place where facts become states, and where that is told.

Rules
-----
* A notice that is not newer changes nothing. One of our own epoch with other content is left to the next read, which
  settles it with the store (`core.circuit.reseed`): one epoch must not mean two things.
* While our own proposal is on its way, notices of our own wait: the store's answer says the same and says that it was
  ours. If the answer is lost, the notice counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from flexiai.core.breaker import Adoption, Breaker, Change
from flexiai.core.circuit import Proposal
from flexiai.events import NoticeIgnored, RecordApplied
from flexiai.sync.bus import Told, Verdict
from flexiai.sync.site import Site
from flexiai.transitions import transition_event

Via = Literal["notice", "read", "reply"]


class Facts:
    """The breakers of one worker, as the fleet's facts reach them. `stirred` is called after news and answers."""

    def __init__(self, site: Site, breakers: Mapping[str, Breaker], stirred: Callable[[str], None]) -> None:
        self._site = site
        self._breakers = breakers
        self._stirred = stirred
        self._waiting: dict[str, list[Told]] = {}

    def noticed(self, told: Told) -> None:
        """A notice came."""
        waiting = self._waiting.get(told.provider)
        if waiting is not None and told.circuit.worker == self._site.worker:
            waiting.append(told)
            return
        breaker = self._breakers[told.provider]
        if told.circuit.epoch > breaker.circuit.epoch or told.circuit == breaker.circuit:
            self._adopt(told, "notice")
        else:
            self._ignore(told)

    def read(self, told: Told) -> None:
        """The store was read."""
        self._adopt(told, "read")

    def answered(self, provider: str, sent: Proposal, verdict: Verdict) -> None:
        """The store answered our proposal."""
        told = verdict.told
        adoption = self._breakers[provider].settle(
            sent,
            verdict.accepted,
            told.circuit,
            self._site.now(),
            told.left_s,
            held_s=told.held_s,
            age_s=told.age_s,
            noted=verdict.noted,
        )
        self._tell(told, adoption, "reply", verdict.accepted)

    def reported(self, verdict: Verdict) -> None:
        """The store answered our report."""
        if verdict.told.circuit.epoch > self._breakers[verdict.told.provider].circuit.epoch:
            self._adopt(verdict.told, "reply", verdict.accepted, reported=True)

    def changed(self, provider: str, change: Change | None) -> None:
        """A breaker was moved by the right to probe, or by its loss."""
        if change is not None:
            self._site.emit(transition_event(change, provider=provider, worker=self._site.worker, t=self._site.now()))

    @contextmanager
    def answer_awaited(self, provider: str) -> Iterator[None]:
        """Our proposal is on its way."""
        self._waiting[provider] = []
        try:
            yield
        finally:
            for told in self._waiting.pop(provider):
                self.noticed(told)

    def _adopt(self, told: Told, via: Via, accepted: bool = False, *, reported: bool = False) -> None:
        adoption = self._breakers[told.provider].adopt(
            told.circuit, self._site.now(), told.left_s, held_s=told.held_s, age_s=told.age_s
        )
        if via == "notice" and not adoption.news:
            self._ignore(told)
        self._tell(told, adoption, via, accepted, reported=reported)

    def _ignore(self, told: Told) -> None:
        known = self._breakers[told.provider].circuit.epoch
        epoch = told.circuit.epoch
        self._site.emit(
            NoticeIgnored(
                t=self._site.now(), worker=self._site.worker, provider=told.provider, epoch=epoch, known=known
            )
        )

    def _tell(
        self, told: Told, adoption: Adoption, via: Via, accepted: bool = False, *, reported: bool = False
    ) -> None:
        if adoption.news:
            self._site.emit(self._applied(told, via, accepted, reported))
        self.changed(told.provider, adoption.transition)
        if adoption.news or via != "notice":
            self._stirred(told.provider)

    def _applied(self, told: Told, via: Via, accepted: bool, reported: bool) -> RecordApplied:
        circuit = told.circuit
        return RecordApplied(
            t=self._site.now(),
            worker=self._site.worker,
            provider=told.provider,
            epoch=circuit.epoch,
            state=circuit.state,
            reason=circuit.reason,
            origin=circuit.worker,
            via=via,
            accepted=accepted,
            reported=reported,
            since_ms=circuit.since_ms,
            open_for_ms=circuit.open_for_ms,
            mode=circuit.mode,
            held_s=told.held_s,
            note=circuit.note,
            age_s=told.age_s + told.transit_s,
        )
