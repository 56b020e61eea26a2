"""One provider's circuit breaker on one worker: a pure state machine.

Rules
-----
* Edges: CLOSED -> OPEN -> HALF_OPEN -> CLOSED or OPEN by what this worker sees; HALF_OPEN -> OPEN also when it loses
  the right to probe; any -> OPEN or CLOSED by what the fleet says, or by an operator's word. `health.py` says when it
  opens and for how long.
* Each transition begins a new life (`generation`). The outcome of a permit from an earlier life is dropped; only its
  Retry-After is heeded, since that speaks of the time to come. Leaving HALF_OPEN frees every probe slot.
* HALF_OPEN lets `half_open_max_calls` probes through, and that many successes close it. A failure re-opens it, and so
  does a success that is too slow, where slow calls open it.
* Closed by probes it admits a growing share of the requests (`ramp.py`). What it then spares may still be asked as the
  last resort. It opens by the same rules as ever, and if that is during the ramp, it counts as a failed probe round.
* The longer Retry-After wins, on this worker at once, and over the fleet's CLOSED too. The fleet is told of it if it
  lengthens what the fleet knows by more than a tenth of itself: the answers of one burst differ by less.
* An operator's hold (`Mode`) ends by its time or by an operator's next word, never by what workers find: OPEN is not
  even probed, DRAIN lets a request through as the last resort. Neither a hold nor a reset leaves a ramp.
* A local OPEN or CLOSED leaves a `proposal` for the fleet, made on the epoch of `circuit`, the last fact it was told.
* Where a quorum is asked for, a worker's opening of what the fleet holds CLOSED is `private`: this worker keeps away
  and probes by itself, and its proposal is a vote. It ends by its own probe, by a reset, or by the fleet's opening.
* A newer fact is always learnt, and followed unless the pending proposal says another state, or is an operator's: the
  store will judge. A reset, or what is held open, is followed unless another word of an operator is pending here. A
  fact never takes the epoch back, nor replaces another of its epoch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, rebased
from flexiai.core.health import BreakerRules, Health, asked_for_s, open_time_s
from flexiai.core.outcome import Outcome
from flexiai.core.permit import Adoption, Change, Permit, Recorded, Refusal
from flexiai.core.ramp import Ramp, first_credit

__all__ = ["Adoption", "Breaker", "BreakerRules", "Change", "Permit", "Recorded", "Refusal"]

_COUNTED = Recorded(counted=True, transition=None)
_DROPPED = Recorded(counted=False, transition=None)
_WORTH_TELLING = 0.1


class Breaker:
    """Whether a provider may be asked. Every `now` is seconds of one clock, the worker's own.

    circuit           the last fact known of the fleet (epoch 0, CLOSED at first)
    proposal          this worker's own transition that the fleet has not yet accepted
    private           OPEN or HALF_OPEN by this worker's sight alone: the fleet holds the provider CLOSED
    reason            why `state` is what it is; if the fleet said so, the fleet's reason
    reporter          the worker that found it so
    since             when that was
    mode, held_until  what an operator wants of it, and until when (`held` says whether it still is in force)
    note              that operator's reason, or the one given with a reset
    success_count     calls that succeeded, ever
    open_until        when a probe is due, while OPEN
    probes_in_flight  probe slots now taken
    probes_succeeded  probes of this round that succeeded, those of the last holder of the right to probe included
    rounds            failed probe rounds since it first opened
    """

    def __init__(self, provider: str, rules: BreakerRules, worker: str, quorum: int = 1) -> None:
        self.provider = provider
        self.worker = worker
        self.circuit = Circuit()
        self.proposal: Proposal | None = None
        self.state = State.CLOSED
        self.private = False
        self.reason = Cause.START
        self.reporter = ""
        self.since = -math.inf
        self.mode = Mode.NORMAL
        self.held_until = -math.inf
        self.note = ""
        self.generation = 0
        self.success_count = 0
        self.open_until = 0.0
        self.probes_in_flight = 0
        self.probes_succeeded = 0
        self.rounds = 0
        self._rules = rules
        self._quorum = quorum
        self._health = Health(rules)
        self._ramp = Ramp(rules)
        self._permit = Permit(provider, 0, probe=False)
        self._told_until = 0.0  # when a probe is due, or the ramp over, by `circuit`
        self._told_held_until = -math.inf  # until when a hold is in force by `circuit`
        self._told_since = -math.inf
        self._spares_until = -math.inf  # the later end of ramp and drain
        self._left_alone_until = -math.inf  # by the longest Retry-After heard since it last closed
        self._left_alone_for_s = 0.0  # what that Retry-After asked for

    @property
    def failure_count(self) -> int:
        """Consecutive failures."""
        return self._health.failures_in_a_row

    @property
    def failure_threshold(self) -> int:
        """How many consecutive failures open it."""
        return self._rules.failure_threshold

    @property
    def failed_at(self) -> tuple[float, ...]:
        """When the consecutive failures were, the last `failure_threshold` of them, oldest first."""
        return tuple(self._health.failed_at)

    @property
    def ok_at(self) -> float | None:
        """When a call last succeeded; None: never."""
        return self._health.ok_at

    @property
    def free_probes(self) -> int:
        """Slots of the probe round that nobody has taken; 0 unless HALF_OPEN."""
        if self.state is not State.HALF_OPEN:
            return 0
        return self._rules.half_open_max_calls - self.probes_in_flight - self.probes_succeeded

    def held(self, now: float) -> Mode:
        """The operator's hold that is in force at `now`."""
        return self.mode if now < self.held_until else Mode.NORMAL

    def share(self, now: float) -> float:
        """The share of requests that it admits at `now` while others can serve: below 1 during a ramp."""
        return self._ramp.share(now) if self.state is State.CLOSED else 0.0

    def opening(self, now: float, jitter: float) -> tuple[float, int]:
        """For how many seconds it would open now for its failures, and in which round."""
        self._forget_rounds(now)
        rounds = self.rounds + (now < self._ramp.until)
        return open_time_s(self._rules, rounds, jitter), rounds

    def admit(self, now: float, *, last_resort: bool = False) -> Permit | Refusal:
        """Leave for one attempt, which must be handed back to `record`, or the reason why not.

        `last_resort`: nobody else can take the request, so that nothing is spared.
        """
        if now < self._spares_until and not last_resort and (why := self._spared(now)):
            retry_at = max(now, self.open_until) if self.state is State.OPEN else now
            return Refusal(self.provider, self.state, probe_due=False, retry_at=retry_at, spared=why)
        if self.state is State.CLOSED:
            return self._permit
        if self.state is State.OPEN:
            return Refusal(self.provider, State.OPEN, now >= self.open_until, max(now, self.open_until))
        if not self.free_probes:
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
        if asked_s and now + asked_s > self._left_alone_until:
            self._left_alone_until, self._left_alone_for_s = now + asked_s, asked_s
        if permit.generation != self.generation:
            return self._heed_late(now, asked_s) if asked_s else _DROPPED
        if permit.probe:
            self.probes_in_flight -= 1
        if outcome is Outcome.NEUTRAL:
            return _COUNTED
        failed = outcome is not Outcome.SUCCESS
        self.success_count += not failed
        self._health.note(now, failed, took_s)
        if permit.probe and not failed and self._too_slow(took_s):
            outcome = Outcome.FAILURE
        change = (self._after_probe if permit.probe else self._after_call)(outcome, now, asked_s, jitter)
        return Recorded(counted=True, transition=change) if change else _COUNTED

    def grant_probe(self, now: float, succeeded: int = 0) -> Change | None:
        """OPEN and due: HALF_OPEN, so that probes are admitted. `succeeded`: probes of this round, at another worker.

        One is left to do in any case: the worker that closes has seen for itself that the provider works.
        """
        if self.state is not State.OPEN or now < self.open_until:
            return None
        change = self._move(State.HALF_OPEN, Cause.PROBE_GRANTED, now)
        self.probes_succeeded = min(succeeded, self._rules.half_open_max_calls - 1)
        return change

    def revoke_probe(self, now: float) -> Change | None:
        """HALF_OPEN: OPEN again, due at once, and no probe's outcome counts any more."""
        if self.state is not State.HALF_OPEN:
            return None
        self.open_until = now
        return self._move(State.OPEN, Cause.PROBE_ABANDONED, now)

    def adopt(
        self, circuit: Circuit, now: float, left_s: float, *, held_s: float = 0.0, age_s: float = 0.0
    ) -> Adoption:
        """Hear a fact of the fleet; its times in seconds, as in `flexiai.sync.bus.Told`."""
        if circuit == self.circuit:
            self._refine(now + left_s, now + held_s)
            return Adoption(news=False, transition=None)
        if not self._learn(circuit, now, left_s, held_s, age_s):
            return Adoption(news=False, transition=None)
        return Adoption(news=True, transition=self._heed(now))

    def settle(
        self,
        sent: Proposal,
        accepted: bool,
        circuit: Circuit,
        now: float,
        left_s: float,
        *,
        held_s: float = 0.0,
        age_s: float = 0.0,
        noted: bool = False,
    ) -> Adoption:
        """Hear the store's answer to `sent`: whether it was accepted, or noted as a vote, and what the store holds."""
        news = self._learn(circuit, now, left_s, held_s, age_s)
        if self.proposal == sent:
            self.proposal = None
            self.private = (
                (noted or (sent.forced and self.private))
                and self.circuit.state is State.CLOSED
                and self.state is not State.CLOSED
            )
        elif accepted and self.proposal is not None and self.circuit == circuit:
            self.proposal = rebased(self.proposal, circuit.epoch)
        overtaken = (
            sent.forced and self.proposal is None and self.circuit != circuit
        )  # while an operator's word waited, more was heard
        if overtaken or (news and not accepted):
            return Adoption(news, self._heed(now))
        if news:
            self._heed_hold()
        agrees = (self.state is State.CLOSED) == (self.circuit.state is State.CLOSED)
        kept = accepted and self.circuit == circuit and _state_of(sent) != _state_of(circuit)
        if self.proposal is None and (kept or not agrees) and not self.private:
            return Adoption(news, self._follow(now))
        return Adoption(news, None)

    def reset(self, now: float, note: str = "") -> Change | None:
        """An operator's word: CLOSED, all counters cleared, any hold ended, and the whole fleet is to follow."""
        change = self._close(Cause.RESET, now)
        self._hold(Mode.NORMAL, -math.inf, note)
        self.proposal = replace(self._proposed(now, 0.0), forced=True, note=note)
        return change if change.frm is not State.CLOSED else None

    def force_open(self, now: float, for_s: float, note: str = "") -> Change | None:
        """An operator's word: nobody asks it for `for_s` seconds, not even to probe; then it is probed as usual."""
        self._hold(Mode.OPEN, now + for_s, note)
        self.private = False
        self.rounds = 0
        self.open_until = max(now + for_s, self._left_alone_until)
        left_s = self.open_until - now
        change = self._move(State.OPEN, Cause.FORCED_OPEN, now, left_s) if self.state is not State.OPEN else None
        self._found(Cause.FORCED_OPEN, self.worker, now)
        self.proposal = replace(self._proposed(now, left_s), forced=True)
        return change

    def drain(self, now: float, for_s: float, note: str = "") -> None:
        """An operator's word: for `for_s` seconds it is asked only where nobody else can serve. Its state is its own.

        What an operator had forced open is then due for a probe: that was no finding.
        """
        if self.held(now) is Mode.OPEN:
            self.open_until = max(now, self._left_alone_until)
        self._hold(Mode.DRAIN, now + for_s, note)
        found = self.since if math.isfinite(self.since) else now  # a drain is no news of the provider
        open_for_s = max(0.0, self.open_until - found) if self.state is State.OPEN else 0.0
        self.proposal = replace(self._proposed(found, open_for_s), forced=True)
        if self.private:  # the fleet is to spare it, not to side with this worker
            self.proposal = replace(self.proposal, state=State.CLOSED, open_for_ms=0)

    def _spared(self, now: float) -> Literal["ramp", "drain"] | None:
        if self.held(now) is Mode.DRAIN:
            return "drain"
        return "ramp" if self.state is State.CLOSED and not self._ramp.admits(now) else None

    def _after_call(self, outcome: Outcome, now: float, asked_s: float, jitter: float) -> Change | None:
        if self.rounds:
            self._forget_rounds(now)
        if outcome is Outcome.MISCONFIGURED:
            return self._open(Cause.MISCONFIGURED, now, self._rules.misconfigured_for_s)
        if asked_s:
            return self._open(Cause.RETRY_AFTER, now, asked_s)
        cause = self._health.verdict(now)
        if cause is None:
            return None
        self.rounds += now < self._ramp.until
        return self._open(cause, now, open_time_s(self._rules, self.rounds, jitter))

    def _too_slow(self, took_s: float) -> bool:
        """Whether an answer that took so long is of those for which a provider is opened."""
        return self._rules.slow_call_rate is not None and took_s >= self._rules.slow_call_duration_s

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
        rounds, ramp_s = self.rounds, self._rules.ramp_s
        change = self._close(Cause.PROBE_SUCCEEDED, now)
        if ramp_s:
            self.rounds = rounds
            self._ramp_up(now, ramp_s, ramp_s)
        self.proposal = self._proposed(now, ramp_s)
        return change

    def _heed_late(self, now: float, asked_s: float) -> Recorded:
        self._forget_rounds(now)
        if self.state is not State.OPEN:
            return Recorded(counted=False, transition=self._open(Cause.RETRY_AFTER, now, asked_s))
        known_until = self.open_until
        self.open_until = max(known_until, self._left_alone_until)
        self._tell_if_longer(now, known_until)
        return _DROPPED

    def _tell_if_longer(self, now: float, known_until: float) -> None:
        left_s = self.open_until - now
        if self.held(now) is not Mode.OPEN and self.open_until - known_until > _WORTH_TELLING * max(0.0, left_s):
            self._found(Cause.RETRY_AFTER, self.worker, now)
            self.proposal = self._proposed(now, left_s)

    def _learn(self, circuit: Circuit, now: float, left_s: float, held_s: float, age_s: float) -> bool:
        if circuit.epoch <= self.circuit.epoch:
            return False
        self.circuit = circuit
        self.private = self.private and circuit.state is State.CLOSED
        self._told_until = now + left_s
        self._told_held_until = now + held_s if held_s else -math.inf
        self._told_since = now - age_s
        return True

    def _heed(self, now: float) -> Change | None:
        """Side with the fact just learnt, or with the proposal that contradicts it."""
        mine, said = self.proposal, self.circuit
        if mine is not None and mine.forced and not _is_said(mine, said):
            return None
        decisive = _is_reset(said) or (said.mode is Mode.OPEN and now < self._told_held_until)
        if mine is not None and not mine.forced and mine.state is not said.state and not decisive:
            self._heed_hold()
            return None
        self.proposal = None
        self._heed_hold()
        return self._follow(now)

    def _heed_hold(self) -> None:
        """The fleet's hold is ours, unless an operator's word waits here."""
        if self.proposal is None or not self.proposal.forced:
            self._hold(self.circuit.mode, self._told_held_until, self.circuit.note)
            if self.mode is Mode.OPEN:
                self.open_until = max(self.open_until, self.held_until)

    def _follow(self, now: float) -> Change | None:
        if _is_reset(self.circuit):
            closed = self._close(Cause.SYNC, now)
            return closed if closed.frm is not State.CLOSED else None
        if self.circuit.state is State.CLOSED:
            return self._follow_closed(now)
        self.rounds = self.circuit.rounds
        self.open_until = max(self._told_until, self._left_alone_until)
        was = self.state
        change = self._move(State.OPEN, Cause.SYNC, now, self.open_until - now) if was is not State.OPEN else None
        self._found(self.circuit.reason, self.circuit.worker, self._told_since)
        self._tell_if_longer(now, self._told_until)
        return change

    def _follow_closed(self, now: float) -> Change | None:
        if self.private:
            return None
        if self.state is State.OPEN and self._left_alone_until - now > _WORTH_TELLING * self._left_alone_for_s:
            self.open_until = self._left_alone_until
            self.private = self._quorum > 1
            self._tell_if_longer(now, now)
            return None
        change = self._close(Cause.SYNC, now) if self.state is not State.CLOSED else None
        self.rounds = self.circuit.rounds
        self._ramp_up(now, self._told_until - now, self.circuit.open_for_ms / 1000)
        return change

    def _refine(self, told_until: float, told_held_until: float) -> None:
        """What is known already is told again: sooner over than we had thought, since it was late on its way then."""
        if self.proposal is not None:
            return
        if self.held_until > told_held_until:
            self._hold(self.mode, told_held_until, self.note)
        if self.state is State.OPEN and self.circuit.state is State.OPEN:
            self.open_until = max(min(self.open_until, told_until), self._left_alone_until)

    def _open(self, cause: Cause, now: float, open_for_s: float) -> Change:
        self.open_until = now + open_for_s
        self.private = self._quorum > 1 and self.circuit.state is State.CLOSED
        change = self._move(State.OPEN, cause, now, open_for_s)
        self.proposal = self._proposed(now, open_for_s)
        return change

    def _close(self, cause: Cause, now: float) -> Change:
        self._health.clear()
        self.rounds = 0
        self._left_alone_until = -math.inf
        self._ramp_up(now, 0.0, 0.0)
        return self._move(State.CLOSED, cause, now)

    def _ramp_up(self, now: float, left_s: float, whole_s: float) -> None:
        self._ramp.begin(now, left_s, whole_s, first_credit(self.worker, self.circuit.epoch))
        self._note_what_spares()

    def _forget_rounds(self, now: float) -> None:
        if self.state is State.CLOSED and now >= self._ramp.until:
            self.rounds = 0

    def _hold(self, mode: Mode, until: float, note: str) -> None:
        self.mode, self.held_until, self.note = mode, until, note
        self._note_what_spares()

    def _note_what_spares(self) -> None:
        drained_until = self.held_until if self.mode is Mode.DRAIN else -math.inf
        self._spares_until = max(self._ramp.until, drained_until)

    def _found(self, reason: Cause, reporter: str, since: float) -> None:
        self.reason, self.reporter, self.since = reason, reporter, since

    def _move(self, to: State, cause: Cause, now: float, open_for_s: float = 0.0) -> Change:
        private = self.private and cause not in (Cause.SYNC, Cause.RESET)
        change = Change(self.state, to, cause, self.circuit.epoch, open_for_s, self.failure_count, private)
        self.state = to
        self.private = self.private and to is not State.CLOSED
        if cause is Cause.SYNC:
            self._found(self.circuit.reason, self.circuit.worker, self._told_since)
        else:
            self._found(cause, self.worker, now)
            self.note = "" if self.held(now) is Mode.NORMAL else self.note
        self.generation += 1
        self.probes_in_flight = 0
        self.probes_succeeded = 0
        self._permit = Permit(self.provider, self.generation, probe=to is State.HALF_OPEN)
        return change

    def _proposed(self, now: float, open_for_s: float) -> Proposal:
        """The present state, for the fleet. An operator's word that it has not heard yet goes with it."""
        held, forced = self.held(now), self.proposal is not None and self.proposal.forced
        hidden = self.private and forced  # the fleet is to heed that word, not to side with this worker
        closed = self.state is State.CLOSED or hidden
        return Proposal(
            base=self.circuit.epoch,
            state=State.CLOSED if closed else State.OPEN,
            reason=self.reason,
            worker=self.worker,
            seen_at=now,
            open_for_ms=0 if hidden else math.ceil(open_for_s * 1000),
            failure_count=self.failure_count,
            rounds=self.rounds,
            forced=forced,
            quorum=self._quorum,
            mode=held,
            held_for_ms=0 if held is Mode.NORMAL else math.ceil((self.held_until - now) * 1000),
            note="" if held is Mode.NORMAL else self.note,
        )


def _is_reset(said: Circuit) -> bool:
    return said.reason is Cause.RESET and said.mode is Mode.NORMAL


def _state_of(word: Proposal | Circuit) -> tuple[State, Cause, int, int]:
    """What the store may have kept where it took a late drain alone."""
    return word.state, word.reason, word.open_for_ms, word.rounds


def _is_said(mine: Proposal, said: Circuit) -> bool:
    """Whether the fleet already says what an operator told this worker: here, if the answer was lost, or elsewhere."""
    same_state = (mine.state, mine.reason) == (said.state, said.reason)
    late_drain = mine.mode is Mode.DRAIN and mine.worker == said.worker
    return (same_state or late_drain) and (mine.mode, mine.note) == (said.mode, said.note)
