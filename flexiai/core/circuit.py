"""The replicated fact: what the fleet agreed about one provider, and how two such facts merge.

Rules
-----
* A fact carries an `epoch` that grows at each accepted transition; the higher epoch wins. It is the store's time (ms)
  at which the transition was told, or one more than the last where that would not be more: a store that has lost
  epochs, and does not know it, gives none of them twice. Not the time at which it was accepted: a store that was frozen
  and replaced meanwhile accepts what lay before its door, and that must not outdo what its heir has accepted since.
* Facts of one epoch are ordered by their content, OPEN above CLOSED, so that `merge` is a join: commutative,
  associative, idempotent. (One epoch has one content as long as the store keeps its promises.)
* A worker that changed its mind sends a `Proposal`; `decide` says whether the store accepts it. `transition.lua` is
  the same rule inside Redis; a contract test holds the two together.
* An operator may *hold* a provider open, or drain it, for a time. While a hold is in force, a worker's transition does
  not end it: under a drain the store carries it along, and what is held open stays as it is. Only another word of an
  operator, or its time, ends it. A drain is no news of the provider: one told on an old epoch leaves the stored state.
* A worker that knows more than the store writes it back; `reseed` says what the store makes of it (`restore.lua`).
* Times in a fact are the store's own, in milliseconds: worker clocks are never compared. A proposal says how *old*
  its evidence is; a reader learns how long is *left*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum


class State(StrEnum):
    """A breaker's state. HALF_OPEN is a worker's own (the holder of the probe lease); a `Circuit` is CLOSED or OPEN."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Cause(StrEnum):
    """Why a breaker changed its state."""

    START = "start"
    CONSECUTIVE_FAILURES = "consecutive_failures"
    FAILURE_RATE = "failure_rate"
    SLOW_RATE = "slow_rate"
    RETRY_AFTER = "retry_after"
    MISCONFIGURED = "misconfigured"
    PROBE_GRANTED = "probe_granted"
    PROBE_SUCCEEDED = "probe_succeeded"
    PROBE_FAILED = "probe_failed"
    PROBE_ABANDONED = "probe_abandoned"
    RESET = "reset"
    FORCED_OPEN = "forced_open"
    SYNC = "sync"


class Mode(StrEnum):
    """What an operator wants of a provider for a time: nothing, that nobody asks it, that it is the last resort."""

    NORMAL = "normal"
    OPEN = "open"
    DRAIN = "drain"


_STRICTNESS = {Mode.NORMAL: 0, Mode.DRAIN: 1, Mode.OPEN: 2}
_SEVERITY = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


@dataclass(frozen=True, slots=True)
class Circuit:
    """One provider's state as the fleet's store holds it.

    `since_ms` is the store's time at which the evidence for this state was seen (for OPEN: when it was opened);
    `open_for_ms` counts from there: until a probe is due, or, when CLOSED, until all traffic is back. `rounds` is the
    number of failed probe rounds since the circuit first opened. An operator's `mode` holds for `held_for_ms` from
    `held_at_ms` (store time) on; `note` is that operator's reason, or the one given with a reset.
    """

    epoch: int = 0
    state: State = State.CLOSED
    reason: Cause = Cause.START
    worker: str = ""
    since_ms: int = 0
    open_for_ms: int = 0
    failure_count: int = 0
    rounds: int = 0
    mode: Mode = Mode.NORMAL
    held_at_ms: int = 0
    held_for_ms: int = 0
    note: str = ""

    def left_ms(self, now_ms: int) -> int:
        """Milliseconds until an OPEN circuit may be probed, or all traffic is back to a CLOSED one; 0: it is so."""
        return _left_ms(self.since_ms, self.open_for_ms, now_ms)

    def held_left_ms(self, now_ms: int) -> int:
        """Milliseconds for which an operator's `mode` is still in force; 0: it is not."""
        return 0 if self.mode is Mode.NORMAL else _left_ms(self.held_at_ms, self.held_for_ms, now_ms)


@dataclass(frozen=True, slots=True)
class Proposal:
    """A worker's own transition, not yet accepted by the store.

    `base` is the epoch it was made on; `seen_at` is the worker's own clock (seconds) at which its evidence was seen:
    it is turned into an age when the proposal is sent. `forced` proposals (an operator's) are always accepted; their
    `mode` is in force for `held_for_ms` from `seen_at` on. In a worker's own they say what it knows to be in force.
    `quorum`: by how many workers' word a provider opens (`core.evidence`).
    """

    base: int
    state: State
    reason: Cause
    worker: str
    seen_at: float
    open_for_ms: int = 0
    failure_count: int = 0
    rounds: int = 0
    forced: bool = False
    quorum: int = 1
    mode: Mode = Mode.NORMAL
    held_for_ms: int = 0
    note: str = ""


def merge(a: Circuit, b: Circuit) -> Circuit:
    """The newer fact; of two with one epoch, the more cautious one."""
    return max(a, b, key=_rank)


def decide(stored: Circuit, proposal: Proposal, age_ms: int, now_ms: int, *, way_ms: int = 0) -> Circuit | None:
    """The circuit that a store holding `stored` accepts for `proposal`, or None when what is stored stands.

    A proposal on the stored epoch (or on a later one: the store has lost some) is accepted. One made on an older
    epoch is late: it is accepted only if it says something else than the store, on newer evidence, or on evidence of
    the same age when it says OPEN. What an operator holds open yields to operators alone. Of a late drain only the
    hold is accepted: the state that its worker knew is old.

    age_ms  how old its evidence was when it was told
    way_ms  how long ago that is
    """
    told_ms = now_ms - way_ms
    seen_ms = told_ms - age_ms
    if not accepts(stored, proposal, seen_ms, now_ms):
        return None
    held = _held_after(stored, proposal, seen_ms, now_ms)
    if proposal.forced and proposal.mode is Mode.DRAIN and proposal.base < stored.epoch:
        return _drained(stored, held, next_epoch(stored, proposal.base, told_ms), proposal.worker, now_ms)
    return Circuit(
        epoch=next_epoch(stored, proposal.base, told_ms),
        state=proposal.state,
        reason=proposal.reason,
        worker=proposal.worker,
        since_ms=seen_ms,
        open_for_ms=proposal.open_for_ms,
        failure_count=proposal.failure_count,
        rounds=proposal.rounds,
        mode=held.mode,
        held_at_ms=held.held_at_ms,
        held_for_ms=held.held_for_ms,
        note=held.note,
    )


def next_epoch(stored: Circuit, base: int, told_ms: int) -> int:
    """The epoch of a transition, made on `base` and told at `told_ms`, that a store holding `stored` accepts."""
    return max(max(stored.epoch, base) + 1, told_ms)


def reseed(stored: Circuit, known: Circuit) -> Circuit | None:
    """The circuit that a store holding `stored` takes back from a worker that knows `known`; None: `stored` stands.

    A store that has lost records or epochs takes the newer one as it is. Where one epoch has two contents (both sides
    of a loss went on counting), the more cautious one, or else the later, becomes the next epoch: everybody hears it.
    """
    if known.epoch != stored.epoch:
        return known if known.epoch > stored.epoch else None
    if known == stored:
        return None
    return replace(max(stored, known, key=_weight), epoch=stored.epoch + 1)


def _weight(c: Circuit) -> tuple[int, ...]:
    """As `_rank`, by numbers alone: Lua's order of strings depends on the store's locale."""
    return (
        _STRICTNESS[c.mode],
        _SEVERITY[c.state],
        c.since_ms,
        c.open_for_ms,
        c.failure_count,
        c.rounds,
        c.held_at_ms,
        c.held_for_ms,
    )


def accepts(stored: Circuit, proposal: Proposal, seen_ms: int, now_ms: int) -> bool:
    """Whether a store holding `stored` lets `proposal` replace it, its evidence being of `seen_ms`."""
    if proposal.forced:
        return True
    if stored.mode is Mode.OPEN and stored.held_left_ms(now_ms):
        return False
    if proposal.base >= stored.epoch:
        return True
    if proposal.state is stored.state:
        return False
    if seen_ms == stored.since_ms:
        return proposal.state is State.OPEN
    return seen_ms > stored.since_ms


def _left_ms(since_ms: int, for_ms: int, now_ms: int) -> int:
    # Never longer than it was meant to be: the store's clock may have been set back, or be another server's.
    return min(for_ms, max(0, since_ms + for_ms - now_ms))


def _drained(stored: Circuit, held: Circuit, epoch: int, worker: str, now_ms: int) -> Circuit:
    """`stored` with another hold; what was forced open is due for a probe, since that was no finding."""
    forced_open = stored.mode is Mode.OPEN and stored.held_left_ms(now_ms)
    return replace(
        stored,
        epoch=epoch,
        worker=worker,
        open_for_ms=max(0, now_ms - stored.since_ms) if forced_open else stored.open_for_ms,
        mode=held.mode,
        held_at_ms=held.held_at_ms,
        held_for_ms=held.held_for_ms,
        note=held.note,
    )


def _held_after(stored: Circuit, proposal: Proposal, seen_ms: int, now_ms: int) -> Circuit:
    """Whose hold and note go with the accepted `proposal`, as a circuit of which only these fields count."""
    if not proposal.forced and proposal.base <= stored.epoch:
        return stored if stored.held_left_ms(now_ms) else Circuit()
    if proposal.mode is Mode.NORMAL:
        return Circuit(note=proposal.note)
    return Circuit(mode=proposal.mode, held_at_ms=seen_ms, held_for_ms=proposal.held_for_ms, note=proposal.note)


def _rank(c: Circuit) -> tuple[int, tuple[int, ...], str, str, str]:
    return (c.epoch, _weight(c), c.worker, c.reason.value, c.note)


def rebased(proposal: Proposal, base: int) -> Proposal:
    """The same intention on a newer epoch: for a transition built upon one that the store has just accepted."""
    return replace(proposal, base=base)
