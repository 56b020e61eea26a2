"""The replicated fact: what the fleet agreed about one provider, and how two such facts merge.

Rules
-----
* A fact carries an `epoch` that grows by one at each accepted transition; the higher epoch wins.
* Facts of one epoch are ordered by their content, OPEN above CLOSED, so that `merge` is a join: commutative,
  associative, idempotent. (One epoch has one content as long as the store keeps its promises.)
* A worker that changed its mind sends a `Proposal`; `decide` says whether the store accepts it. `transition.lua` is
  the same rule inside Redis; a contract test holds the two together.
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
    SYNC = "sync"


_SEVERITY = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


@dataclass(frozen=True, slots=True)
class Circuit:
    """One provider's state as the fleet's store holds it.

    `since_ms` is the store's time at which the evidence for this state was seen (for OPEN: when it was opened);
    `open_for_ms` counts from there. `rounds` is the number of failed probe rounds since the circuit first opened.
    """

    epoch: int = 0
    state: State = State.CLOSED
    reason: Cause = Cause.START
    worker: str = ""
    since_ms: int = 0
    open_for_ms: int = 0
    failure_count: int = 0
    rounds: int = 0

    def left_ms(self, now_ms: int) -> int:
        """Milliseconds until an OPEN circuit may be probed; 0 when CLOSED or due."""
        if self.state is not State.OPEN:
            return 0
        # Never longer than it was opened for: the store's clock may have been set back, or be another server's.
        return min(self.open_for_ms, max(0, self.since_ms + self.open_for_ms - now_ms))


@dataclass(frozen=True, slots=True)
class Proposal:
    """A worker's own transition, not yet accepted by the store.

    `base` is the epoch it was made on; `seen_at` is the worker's own clock (seconds) at which its evidence was seen:
    it is turned into an age when the proposal is sent. `forced` proposals (an operator's) are always accepted.
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


def merge(a: Circuit, b: Circuit) -> Circuit:
    """The newer fact; of two with one epoch, the more cautious one."""
    return max(a, b, key=_rank)


def decide(stored: Circuit, proposal: Proposal, age_ms: int, now_ms: int) -> Circuit | None:
    """The circuit that a store holding `stored` accepts for `proposal`, or None when what is stored stands.

    A proposal on the stored epoch (or on a later one: the store has lost some) is accepted. One made on an older
    epoch is late: it is accepted only if it says something else than the store, on newer evidence, or on evidence of
    the same age when it says OPEN.
    """
    if not _accepts(stored, proposal, now_ms - age_ms):
        return None
    return Circuit(
        epoch=max(stored.epoch, proposal.base) + 1,
        state=proposal.state,
        reason=proposal.reason,
        worker=proposal.worker,
        since_ms=now_ms - age_ms,
        open_for_ms=proposal.open_for_ms,
        failure_count=proposal.failure_count,
        rounds=proposal.rounds,
    )


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


def _weight(c: Circuit) -> tuple[int, int, int, int, int]:
    """As `_rank`, by numbers alone: Lua's order of strings depends on the store's locale."""
    return (_SEVERITY[c.state], c.since_ms, c.open_for_ms, c.failure_count, c.rounds)


def _accepts(stored: Circuit, proposal: Proposal, seen_ms: int) -> bool:
    if proposal.forced or proposal.base >= stored.epoch:
        return True
    if proposal.state is stored.state:
        return False
    if seen_ms == stored.since_ms:
        return proposal.state is State.OPEN
    return seen_ms > stored.since_ms


def _rank(c: Circuit) -> tuple[int, int, int, int, str, str, int, int]:
    return (
        c.epoch,
        _SEVERITY[c.state],
        c.since_ms,
        c.open_for_ms,
        c.worker,
        c.reason.value,
        c.failure_count,
        c.rounds,
    )


def rebased(proposal: Proposal, base: int) -> Proposal:
    """The same intention on a newer epoch: for a transition built upon one that the store has just accepted."""
    return replace(proposal, base=base)
