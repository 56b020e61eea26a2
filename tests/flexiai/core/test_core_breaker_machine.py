"""The breaker against a simple model, driven by everything that can happen to it in any order."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from flexiai.core.breaker import Adoption, Breaker, Change, Permit, Refusal
from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, rebased
from flexiai.core.outcome import Outcome
from flexiai.types import BreakerConfig

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN
LEGAL = {
    (CLOSED, OPEN): {
        Cause.CONSECUTIVE_FAILURES,
        Cause.RETRY_AFTER,
        Cause.MISCONFIGURED,
        Cause.SYNC,
        Cause.FORCED_OPEN,
    },
    (OPEN, HALF_OPEN): {Cause.PROBE_GRANTED},
    (OPEN, CLOSED): {Cause.SYNC, Cause.RESET},
    (HALF_OPEN, CLOSED): {Cause.PROBE_SUCCEEDED, Cause.SYNC, Cause.RESET},
    (HALF_OPEN, OPEN): {
        Cause.PROBE_FAILED,
        Cause.PROBE_ABANDONED,
        Cause.MISCONFIGURED,
        Cause.RETRY_AFTER,
        Cause.SYNC,
        Cause.FORCED_OPEN,
    },
}
SECONDS = st.floats(0, 40)
WHOLE_MS = 0.002  # what is told is told in whole milliseconds


class BreakerMachine(RuleBasedStateMachine):
    """The model: which permits are out, which Retry-After was heard, how many failed or succeeded in this life, when a
    ramp may be on."""

    permits = Bundle("permits")

    @initialize(
        threshold=st.integers(1, 4),
        probes=st.integers(1, 3),
        ramp_s=st.sampled_from([0, 20]),
        quorum=st.integers(1, 2),
    )
    def begin(self, threshold: int, probes: int, ramp_s: float, quorum: int) -> None:
        self.rules = BreakerConfig(
            failure_threshold=threshold,
            half_open_max_calls=probes,
            failure_rate=None,
            reset_timeout_s=5,
            ramp_s=ramp_s,
        )
        self.breaker = Breaker("p", self.rules, "w", quorum)
        self.quorum = quorum
        self.now = 100.0
        self.out: list[Permit] = []
        self.left_alone_until = -math.inf
        self.left_alone_for = 0.0
        self.ramp_until = -math.inf
        self.failed = self.probes_ok = 0
        self.epoch = 0
        self.life = 0
        self.sent: Proposal | None = None

    # What this worker does

    @rule(passed=SECONDS)
    def time_passes(self, passed: float) -> None:
        self.now += passed

    @rule(target=permits, last_resort=st.booleans())
    def ask(self, last_resort: bool) -> object:
        b, now = self.breaker, self.now
        before = b.state
        taken = sum(p.generation == b.generation for p in self.out)
        answer = b.admit(now, last_resort=last_resort)
        if isinstance(answer, Refusal) and answer.spared is not None:
            assert not last_resort
            drained = b.held(now) is Mode.DRAIN
            assert drained if answer.spared == "drain" else (not drained and before is CLOSED and now < self.ramp_until)
        elif before is CLOSED or (before is HALF_OPEN and taken + self.probes_ok < self.rules.half_open_max_calls):
            assert answer == Permit("p", b.generation, probe=before is HALF_OPEN)
            self.out.append(answer)
        else:
            assert isinstance(answer, Refusal)
            assert answer.probe_due == (before is OPEN and now >= b.open_until)
            assert answer.retry_at == (max(now, b.open_until) if before is OPEN else now)
        return answer

    @rule(
        permit=consumes(permits),
        outcome=st.sampled_from(Outcome),
        retry_after_s=st.none() | SECONDS | st.floats(0, 1e6),
        jitter=st.floats(0, 1, exclude_max=True),
    )
    def end(self, permit: object, outcome: Outcome, retry_after_s: float | None, jitter: float) -> None:
        if not isinstance(permit, Permit):
            return
        b, state, in_life = self.breaker, self.breaker.state, permit.generation == self.breaker.generation
        self.out.remove(permit)
        asked_s = 0.0
        if retry_after_s and outcome in (Outcome.RATE_LIMITED, Outcome.FAILURE):
            asked_s = min(retry_after_s, self.rules.max_retry_after_s)
            if asked_s and self.now + asked_s > self.left_alone_until:
                self.left_alone_until, self.left_alone_for = self.now + asked_s, asked_s
        expected = self._expected(state, outcome, asked_s, in_life)
        told = b.record(permit, outcome, self.now, retry_after_s=retry_after_s, jitter=jitter)
        assert told.counted == in_life
        assert (told.transition and (told.transition.to, told.transition.cause)) == expected
        self._note(told.transition)
        if told.transition is not None and told.transition.to is CLOSED:
            self.ramp_until = max(self.ramp_until, self.now + self.rules.ramp_s)

    def _expected(self, state: State, outcome: Outcome, asked_s: float, in_life: bool) -> tuple[State, Cause] | None:
        if not in_life:
            return (OPEN, Cause.RETRY_AFTER) if asked_s and state is not OPEN else None
        if outcome is Outcome.NEUTRAL:
            return None
        if outcome is Outcome.SUCCESS:
            self.failed, self.probes_ok = 0, self.probes_ok + (state is HALF_OPEN)
            closes = state is HALF_OPEN and self.probes_ok == self.rules.half_open_max_calls
            return (CLOSED, Cause.PROBE_SUCCEEDED) if closes else None
        self.failed += 1
        if outcome is Outcome.MISCONFIGURED:
            return OPEN, Cause.MISCONFIGURED
        if state is HALF_OPEN:
            return OPEN, Cause.PROBE_FAILED
        if asked_s:
            return OPEN, Cause.RETRY_AFTER
        return (OPEN, Cause.CONSECUTIVE_FAILURES) if self.failed >= self.rules.failure_threshold else None

    @rule(succeeded=st.integers(0, 4))
    def grant(self, succeeded: int) -> None:
        due = self.breaker.state is OPEN and self.now >= self.breaker.open_until
        change = self.breaker.grant_probe(self.now, succeeded)
        assert (change is not None) == due
        self._note(change)
        if due:
            self.probes_ok = min(succeeded, self.rules.half_open_max_calls - 1)

    @precondition(lambda self: self.breaker.state is OPEN)
    @rule()
    def a_probe_is_due_and_granted(self) -> None:
        self.now = max(self.now, self.breaker.open_until)
        self._note(self.breaker.grant_probe(self.now))

    @rule()
    def revoke(self) -> None:
        probing = self.breaker.state is HALF_OPEN
        change = self.breaker.revoke_probe(self.now)
        assert (change is not None) == probing
        self._note(change)

    @rule()
    def operator_resets(self) -> None:
        was = self.breaker.state
        change = self.breaker.reset(self.now)
        assert (change is not None) == (was is not CLOSED)
        assert self.breaker.proposal is not None
        assert self.breaker.proposal.forced
        assert self.breaker.failure_count == 0
        self._new_life(CLOSED)

    @rule(for_s=st.floats(0.1, 40))
    def operator_forces_open(self, for_s: float) -> None:
        was = self.breaker.state
        change = self.breaker.force_open(self.now, for_s, "why")
        assert (change is not None) == (was is not OPEN)
        assert self.breaker.open_until >= self.now + for_s
        self._note(change)

    @rule(for_s=st.floats(0.1, 40))
    def operator_drains(self, for_s: float) -> None:
        was = self.breaker.state
        self.breaker.drain(self.now, for_s, "why")
        assert self.breaker.state is was
        assert self.breaker.held(self.now) is Mode.DRAIN

    # What the fleet says

    @rule(
        ahead=st.integers(1, 3),
        state=st.sampled_from([CLOSED, OPEN]),
        reason=st.sampled_from([Cause.CONSECUTIVE_FAILURES, Cause.PROBE_SUCCEEDED]),
        left_s=SECONDS,
    )
    def news(self, ahead: int, state: State, reason: Cause, left_s: float) -> None:
        b, fact = self.breaker, self._fact(ahead, state, reason)
        contradicted = b.proposal is not None and (b.proposal.state is not state or b.proposal.forced)
        contradicted |= state is CLOSED and (self._left_alone() or b.private)
        before = b.state
        adoption = b.adopt(fact, self.now, left_s)
        assert adoption.news
        assert b.circuit == fact
        assert b.state is (before if contradicted else state)
        self._heard(adoption, left_s)

    @rule(
        ahead=st.integers(1, 3),
        held_s=st.floats(0.1, 40),
        mode=st.sampled_from([Mode.OPEN, Mode.DRAIN]),
        state=st.sampled_from([CLOSED, OPEN]),
    )
    def news_of_a_hold(self, ahead: int, held_s: float, mode: Mode, state: State) -> None:
        b, own = self.breaker, self.breaker.proposal is not None and self.breaker.proposal.forced
        state = OPEN if mode is Mode.OPEN else state
        fact = replace(self._fact(ahead, state, Cause.FORCED_OPEN), mode=mode, note="elsewhere")
        before = b.held(self.now)
        adoption = b.adopt(fact, self.now, held_s if state is OPEN else 0.0, held_s=held_s)
        assert b.held(self.now) is (before if own else mode)
        if mode is Mode.OPEN and not own:
            assert b.state is OPEN
            assert b.proposal is None or b.open_until == self.left_alone_until
        self._heard(adoption, 0.0)

    @rule(ahead=st.integers(1, 3))
    def news_of_a_reset(self, ahead: int) -> None:
        mine = self.breaker.proposal
        adoption = self.breaker.adopt(self._fact(ahead, CLOSED, Cause.RESET), self.now, 0.0)
        assert adoption.news
        if mine is not None and mine.forced and (mine.reason, mine.mode) != (Cause.RESET, Mode.NORMAL):
            assert self.breaker.proposal is mine
            return
        assert self.breaker.state is CLOSED
        assert self.breaker.proposal is None
        assert self.breaker.failure_count == 0
        self._new_life(CLOSED)

    @rule(behind=st.integers(0, 3), state=st.sampled_from([CLOSED, OPEN]), left_s=SECONDS)
    def no_news(self, behind: int, state: State, left_s: float) -> None:
        b = self.breaker
        fact = replace(b.circuit, epoch=max(0, b.circuit.epoch - behind))
        if b.held(self.now) is Mode.OPEN:
            left_s = max(left_s, b.held_until - self.now)
        before = (b.state, b.circuit, b.proposal, b.generation)
        was_until = b.open_until
        assert b.adopt(fact, self.now, left_s) == Adoption(news=False, transition=None)
        assert (b.state, b.circuit, b.proposal, b.generation) == before
        assert b.open_until <= was_until

    @precondition(lambda self: self.breaker.proposal is not None and self.sent is None)
    @rule()
    def tell(self) -> None:
        self.sent = self.breaker.proposal

    @precondition(lambda self: self.sent is not None)
    @rule(ahead=st.integers(-1, 1))
    def accepted(self, ahead: int) -> None:
        b, sent, pending = self.breaker, self._answered(), self.breaker.proposal
        epoch = max(sent.base + 1, b.circuit.epoch + ahead)
        news = epoch > b.circuit.epoch
        fact = replace(
            self._fact(0, sent.state, sent.reason),
            epoch=epoch,
            worker="w",
            rounds=sent.rounds,
            mode=sent.mode,
            note=sent.note,
        )
        age_s = self.now - sent.seen_at
        left_s, held_s = (max(0.0, ms / 1000 - age_s) for ms in (sent.open_for_ms, sent.held_for_ms))
        adoption = b.settle(sent, True, fact, self.now, left_s, held_s=held_s, age_s=age_s)
        assert adoption.news == news
        assert b.proposal != sent
        if pending is not None and pending != sent:
            assert b.proposal == (rebased(pending, epoch) if news else pending)
        was_reset = b.circuit != fact and (b.circuit.reason, b.circuit.mode) == (Cause.RESET, Mode.NORMAL)
        if was_reset and sent.forced and b.proposal is None and adoption.transition is None:
            self._new_life(CLOSED)  # a reset that had overtaken it
        self._heard(adoption, left_s)

    @precondition(lambda self: self.sent is not None and not self.sent.forced)
    @rule(ahead=st.integers(0, 2), state=st.sampled_from([CLOSED, OPEN]), left_s=SECONDS, noted=st.booleans())
    def overruled(self, ahead: int, state: State, left_s: float, noted: bool) -> None:
        b, sent, pending = self.breaker, self._answered(), self.breaker.proposal
        fact = self._fact(ahead, state, Cause.CONSECUTIVE_FAILURES) if ahead else b.circuit
        left_alone = self._left_alone()
        noted = noted and self.quorum > 1 and sent.state is OPEN and fact.state is CLOSED
        adoption = b.settle(sent, False, fact, self.now, left_s, noted=noted)
        assert adoption.news == bool(ahead)
        if pending == sent:
            assert b.private or (b.state is CLOSED) == (fact.state is CLOSED and not left_alone)
            assert not noted or b.private == (b.state is not CLOSED)
        elif pending is not None and pending.state is not fact.state:
            assert b.proposal == pending
        self._heard(adoption, left_s)

    def _answered(self) -> Proposal:
        assert self.sent is not None
        sent, self.sent = self.sent, None
        return sent

    def _fact(self, ahead: int, state: State, reason: Cause) -> Circuit:
        return Circuit(epoch=self.breaker.circuit.epoch + ahead, state=state, reason=reason, worker="another")

    # The model's own book-keeping

    def _left_alone(self) -> bool:
        """Whether more than a tenth of what the provider asked for is left."""
        return self.breaker.state is not CLOSED and self.left_alone_until - self.now > self.left_alone_for / 10

    def _heard(self, adoption: Adoption, left_s: float) -> None:
        assert adoption.transition is None or adoption.transition.cause is Cause.SYNC
        if adoption.transition is not None and adoption.transition.to is CLOSED:
            assert not self._left_alone_before(adoption.transition)
        self._note(adoption.transition)
        if adoption.news and self.breaker.circuit.state is CLOSED:
            self.ramp_until = max(self.ramp_until, self.now + left_s)

    def _left_alone_before(self, change: Change) -> bool:
        return change.frm is OPEN and self.left_alone_until - self.now > self.left_alone_for / 10

    def _note(self, change: Change | None) -> None:
        if change is not None:
            assert change.cause in LEGAL[change.frm, change.to], change
            assert change.open_for_s == (self.breaker.open_until - self.now if change.to is OPEN else 0.0) or (
                math.isclose(change.open_for_s, self.breaker.open_until - self.now, abs_tol=1e-6)
            )
            self._new_life(change.to)

    def _new_life(self, state: State) -> None:
        assert self.breaker.generation > self.life
        self.life = self.breaker.generation
        self.probes_ok = 0
        if state is CLOSED:
            self.failed, self.left_alone_until = 0, -math.inf

    @invariant()
    def every_slot_taken_is_a_probe_under_way(self) -> None:
        b = self.breaker
        under_way = sum(p.probe and p.generation == b.generation for p in self.out)
        assert b.probes_in_flight == under_way <= self.rules.half_open_max_calls

    @invariant()
    def it_disagrees_with_the_fleet_only_over_a_proposal_or_in_private(self) -> None:
        b = self.breaker
        if b.private:
            assert self.quorum > 1
            assert b.state is not CLOSED
            assert b.circuit.state is CLOSED
            return
        if self.quorum > 1 and b.proposal is not None and b.proposal.forced:
            return  # an operator's word waits, and says nothing of what this worker then found for itself
        said = b.circuit.state if b.proposal is None else b.proposal.state
        assert (b.state is CLOSED) == (said is CLOSED)

    @invariant()
    def it_stays_open_while_asked_to_be_left_alone(self) -> None:
        if self.breaker.state is not CLOSED and self.now < self.left_alone_until:
            assert self.breaker.state is OPEN
            assert self.breaker.open_until >= self.left_alone_until

    @invariant()
    def what_an_operator_holds_open_is_not_asked(self) -> None:
        if self.breaker.held(self.now + WHOLE_MS) is Mode.OPEN:
            assert self.breaker.state is OPEN
            assert self.breaker.open_until >= self.breaker.held_until - WHOLE_MS

    @invariant()
    def the_epoch_never_goes_back(self) -> None:
        assert self.breaker.circuit.epoch >= self.epoch
        self.epoch = self.breaker.circuit.epoch

    @invariant()
    def consecutive_failures_are_counted(self) -> None:
        assert self.breaker.failure_count == self.failed


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
