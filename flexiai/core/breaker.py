"""One provider's circuit breaker on one worker: a pure state machine.

Rules
-----
* Edges: CLOSED -> OPEN -> HALF_OPEN -> CLOSED or OPEN by what this worker sees; HALF_OPEN -> OPEN also when it loses
  the right to probe; any -> OPEN or CLOSED by what the fleet says; any -> CLOSED by an operator's reset. `health.py`
  says when it opens and for how long.
* Each transition begins a new life (`generation`). The outcome of a permit from an earlier life is dropped; only its
  Retry-After is heeded, since that speaks of the time to come. Leaving HALF_OPEN frees every probe slot.
* HALF_OPEN lets `half_open_max_calls` probes through, and that many successes close it. A failure re-opens it.
* The longer Retry-After wins, on this worker at once. The fleet is told of it if it lengthens what the fleet knows by
  more than a tenth of itself: the answers of one burst differ by less.
* A local OPEN or CLOSED leaves a `proposal` for the fleet, made on the epoch of `circuit`, the last fact it was told.
* A newer fact is always learnt, and followed unless the pending proposal says another state, or is an operator's: the
  store will judge. A reset is always followed. A fact never takes the epoch back, nor replaces another of its epoch.
"""

from __future__ import annotations

import math
from dataclasses import replace

from flexiai.core.circuit import Cause, Circuit, Proposal, State, rebased
from flexiai.core.health import BreakerRules, Health, asked_for_s, open_time_s
from flexiai.core.outcome import Outcome
from flexiai.core.permit import Adoption, Change, Permit, Recorded, Refusal

__all__ = ["Adoption", "Breaker", "BreakerRules", "Change", "Permit", "Recorded", "Refusal"]

_COUNTED = Recorded(counted=True, transition=None)
_DROPPED = Recorded(counted=False, transition=None)
_WORTH_TELLING = 0.1


class Breaker:
    """Whether a provider may be asked. Every `now` is seconds of one clock, the worker's own.

    circuit           the last fact known of the fleet (epoch 0, CLOSED at first)
    proposal          this worker's own transition that the fleet has not yet accepted
    reason            why `state` is what it is; if the fleet said so, the fleet's reason
    success_count     calls that succeeded, ever
    open_until        when a probe is due, while OPEN
    probes_in_flight  probe slots now taken
    probes_succeeded  probes of this round that succeeded, those of the last holder of the right to probe included
    rounds            failed probe rounds since it first opened
    """

    def __init__(self, provider: str, rules: BreakerRules, worker: str) -> None:
        self.provider = provider
        self.worker = worker
        self.circuit = Circuit()
        self.proposal: Proposal | None = None
        self.state = State.CLOSED
        self.reason = Cause.START
        self.generation = 0
        self.success_count = 0
        self.open_until = 0.0
        self.probes_in_flight = 0
        self.probes_succeeded = 0
        self.rounds = 0
        self._rules = rules
        self._health = Health(rules)
        self._permit = Permit(provider, 0, probe=False)
        self._told_until = 0.0  # when a probe is due by `circuit`
        self._left_alone_until = -math.inf  # by the longest Retry-After heard since it last closed

    @property
    def failure_count(self) -> int:
        """Consecutive failures."""
        return self._health.failures_in_a_row

    def admit(self, now: float) -> Permit | Refusal:
        """Leave for one attempt, which must be handed back to `record`, or the reason why not."""
        if self.state is State.CLOSED:
            return self._permit
        if self.state is State.OPEN:
            return Refusal(self.provider, State.OPEN, now >= self.open_until, max(now, self.open_until))
        if self.probes_in_flight + self.probes_succeeded >= self._rules.half_open_max_calls:
            return Refusal(self.provider, State.HALF_OPEN, probe_due=False, retry_at=now)
        self.probes_in_flight += 1
        return self._permit

    def record(
        self,
        permit: Permit,
        outcome: Outcome,
        now: float,
        *,
        took_s: float = 0.0,
        retry_after_s: float | None = None,
        jitter: float = 0.5,
    ) -> Recorded:
        """Take back a permit with its outcome. `jitter`, drawn from [0, 1), spreads open times."""
        asked_s = 0.0 if retry_after_s is None else asked_for_s(self._rules, outcome, retry_after_s)
        if asked_s:
            self._left_alone_until = max(self._left_alone_until, now + asked_s)
        if permit.generation != self.generation:
            return self._heed_late(now, asked_s) if asked_s else _DROPPED
        if permit.probe:
            self.probes_in_flight -= 1
        if outcome is Outcome.NEUTRAL:
            return _COUNTED
        failed = outcome is not Outcome.SUCCESS
        self.success_count += not failed
        self._health.note(now, failed, took_s)
        change = (self._after_probe if permit.probe else self._after_call)(outcome, now, asked_s, jitter)
        return Recorded(counted=True, transition=change) if change else _COUNTED

    def grant_probe(self, now: float, succeeded: int = 0) -> Change | None:
        """OPEN and due: HALF_OPEN, so that probes are admitted. `succeeded`: probes of this round, at another worker.

        One is left to do in any case: the worker that closes has seen for itself that the provider works.
        """
        if self.state is not State.OPEN or now < self.open_until:
            return None
        change = self._move(State.HALF_OPEN, Cause.PROBE_GRANTED)
        self.probes_succeeded = min(succeeded, self._rules.half_open_max_calls - 1)
        return change

    def revoke_probe(self, now: float) -> Change | None:
        """HALF_OPEN: OPEN again, due at once, and no probe's outcome counts any more."""
        if self.state is not State.HALF_OPEN:
            return None
        self.open_until = now
        return self._move(State.OPEN, Cause.PROBE_ABANDONED)

    def adopt(self, circuit: Circuit, now: float, left_s: float) -> Adoption:
        """Hear a fact of the fleet; `left_s`: seconds until a probe is due by it."""
        if circuit == self.circuit:
            self._refine(now + left_s)
            return Adoption(news=False, transition=None)
        if not self._learn(circuit, now + left_s):
            return Adoption(news=False, transition=None)
        return Adoption(news=True, transition=self._heed(now))

    def settle(self, sent: Proposal, accepted: bool, circuit: Circuit, now: float, left_s: float) -> Adoption:
        """Hear the store's answer to `sent`: whether it was accepted, and what the store now holds."""
        news = self._learn(circuit, now + left_s)
        if self.proposal == sent:
            self.proposal = None
        elif accepted and self.proposal is not None and self.circuit == circuit:
            self.proposal = rebased(self.proposal, circuit.epoch)
        if news and not accepted:
            return Adoption(news=True, transition=self._heed(now))
        if self.proposal is None and (self.state is State.CLOSED) != (self.circuit.state is State.CLOSED):
            return Adoption(news, self._follow(now))
        return Adoption(news, None)

    def reset(self, now: float) -> Change | None:
        """An operator's word: CLOSED, all counters cleared, and the whole fleet is to follow."""
        change = self._close(Cause.RESET)
        self.proposal = replace(self._proposed(now, 0.0), forced=True)
        return change if change.frm is not State.CLOSED else None

    def _after_call(self, outcome: Outcome, now: float, asked_s: float, jitter: float) -> Change | None:
        if outcome is Outcome.MISCONFIGURED:
            return self._open(Cause.MISCONFIGURED, now, self._rules.misconfigured_for_s)
        if asked_s:
            return self._open(Cause.RETRY_AFTER, now, asked_s)
        cause = self._health.verdict(now)
        return self._open(cause, now, open_time_s(self._rules, self.rounds, jitter)) if cause else None

    def _after_probe(self, outcome: Outcome, now: float, asked_s: float, jitter: float) -> Change | None:
        if outcome is Outcome.SUCCESS:
            return self._probe_succeeded(now)
        self.rounds += 1
        if outcome is Outcome.MISCONFIGURED:
            return self._open(Cause.MISCONFIGURED, now, self._rules.misconfigured_for_s)
        return self._open(Cause.PROBE_FAILED, now, max(asked_s, open_time_s(self._rules, self.rounds, jitter)))

    def _probe_succeeded(self, now: float) -> Change | None:
        self.probes_succeeded += 1
        if self.probes_succeeded < self._rules.half_open_max_calls:
            return None
        change = self._close(Cause.PROBE_SUCCEEDED)
        self.proposal = self._proposed(now, 0.0)
        return change

    def _heed_late(self, now: float, asked_s: float) -> Recorded:
        if self.state is not State.OPEN:
            return Recorded(counted=False, transition=self._open(Cause.RETRY_AFTER, now, asked_s))
        known_until = self.open_until
        self.open_until = max(known_until, self._left_alone_until)
        self._tell_if_longer(now, known_until)
        return _DROPPED

    def _tell_if_longer(self, now: float, known_until: float) -> None:
        left_s = self.open_until - now
        if self.open_until - known_until > _WORTH_TELLING * max(0.0, left_s):
            self.reason = Cause.RETRY_AFTER
            self.proposal = self._proposed(now, left_s)

    def _learn(self, circuit: Circuit, until: float) -> bool:
        if circuit.epoch <= self.circuit.epoch:
            return False
        self.circuit = circuit
        self._told_until = until
        return True

    def _heed(self, now: float) -> Change | None:
        """Side with the fact just learnt, or with the proposal that contradicts it."""
        if self.circuit.reason is Cause.RESET:
            self.proposal = None
            change = self._close(Cause.SYNC)
            return change if change.frm is not State.CLOSED else None
        mine = self.proposal
        if mine is not None and (mine.forced or mine.state is not self.circuit.state):
            return None
        self.proposal = None
        return self._follow(now)

    def _follow(self, now: float) -> Change | None:
        if self.circuit.state is State.CLOSED:
            return self._close(Cause.SYNC) if self.state is not State.CLOSED else None
        self.rounds = self.circuit.rounds
        self.open_until = max(self._told_until, self._left_alone_until)
        was, self.reason = self.state, self.circuit.reason
        change = self._move(State.OPEN, Cause.SYNC, self.open_until - now) if was is not State.OPEN else None
        self._tell_if_longer(now, self._told_until)
        return change

    def _refine(self, told_until: float) -> None:
        if self.state is State.OPEN and self.circuit.state is State.OPEN and self.proposal is None:
            self.open_until = max(min(self.open_until, told_until), self._left_alone_until)

    def _open(self, cause: Cause, now: float, open_for_s: float) -> Change:
        self.open_until = now + open_for_s
        change = self._move(State.OPEN, cause, open_for_s)
        self.proposal = self._proposed(now, open_for_s)
        return change

    def _close(self, cause: Cause) -> Change:
        self._health.clear()
        self.rounds = 0
        self._left_alone_until = -math.inf
        return self._move(State.CLOSED, cause)

    def _move(self, to: State, cause: Cause, open_for_s: float = 0.0) -> Change:
        change = Change(self.state, to, cause, self.circuit.epoch, open_for_s, self.failure_count)
        self.state = to
        self.reason = self.circuit.reason if cause is Cause.SYNC else cause
        self.generation += 1
        self.probes_in_flight = 0
        self.probes_succeeded = 0
        self._permit = Permit(self.provider, self.generation, probe=to is State.HALF_OPEN)
        return change

    def _proposed(self, now: float, open_for_s: float) -> Proposal:
        return Proposal(
            base=self.circuit.epoch,
            state=self.state,
            reason=self.reason,
            worker=self.worker,
            seen_at=now,
            open_for_ms=math.ceil(open_for_s * 1000),
            failure_count=self.failure_count,
            rounds=self.rounds,
        )
