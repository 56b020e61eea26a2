"""What the fleet has seen of a provider since it last worked: failures of several workers, counted together.

Rules
-----
* A worker reports its own failures in a row as they stand. A report replaces the last one of its worker, so that what
  is repeated or lost counts neither twice nor wrongly.
* A failure counts that is later than the latest success anybody has told of, and not older than the window.
* `threshold` of them by at least `quorum` workers (those that vote included) open the provider for the fleet.
* Where a quorum is asked for, a worker's own opening is a vote, for as long as it keeps the worker away and a little
  longer; `quorum` votes open the provider, too. A closing withdraws the vote. Operators need no quorum; neither does
  who opens again what the fleet holds open.
* Evidence belongs to the record it was seen under; with the next one it is void. So is a report made under another.
* Times are the store's, in milliseconds; a report says how long ago each thing was, its time on its way included.
  `report.lua` and `transition.lua` are the same rules inside Redis; a contract test holds them together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flexiai.core.circuit import Cause, Circuit, Proposal, State, accepts, decide

VOTE_GRACE_MS = 30_000
"""How much longer than its open time a vote stands: until a probe has been wanted, made and told of."""


@dataclass(frozen=True, slots=True)
class Terms:
    """When it is enough: so many failures, none older than the window, by so many workers."""

    threshold: int
    window_ms: int
    quorum: int = 1


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker has seen, in milliseconds ago.

    base         the epoch that it stands on
    failed_ms    its failures in a row, oldest first
    ok_ms        its latest success; None: there was none
    open_for_ms  how long the provider is to stay open, should this be the report that opens it; rounds: in which round
    """

    base: int
    worker: str
    failed_ms: tuple[int, ...]
    ok_ms: int | None
    open_for_ms: int
    rounds: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the store remembers, by worker. `failures`: when; `votes`: until when; `ok_at_ms`: the latest success."""

    epoch: int = 0
    ok_at_ms: int = 0
    failures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    votes: Mapping[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many failures stand."""
        return sum(len(times) for times in self.failures.values())

    @property
    def first_ms(self) -> int:
        """When the first of them was; 0 if there is none."""
        return min((times[0] for times in self.failures.values()), default=0)

    @property
    def workers(self) -> int:
        """How many workers have failed or voted."""
        return len(self.failures.keys() | self.votes.keys())

    def standing(self, epoch: int, now_ms: int, window_ms: int | None = None) -> Evidence:
        """What of it still stands under the record of `epoch`."""
        if epoch != self.epoch:
            return Evidence(epoch)
        since_ms = max(self.ok_at_ms, now_ms - window_ms) if window_ms is not None else self.ok_at_ms
        kept = {worker: tuple(t for t in times if t > since_ms) for worker, times in self.failures.items()}
        return Evidence(
            epoch,
            self.ok_at_ms,
            {worker: times for worker, times in kept.items() if times},
            {worker: until for worker, until in self.votes.items() if until > now_ms},
        )


def hear(
    held: Evidence, stored: Circuit, report: Report, terms: Terms, now_ms: int, *, way_ms: int = 0
) -> tuple[Evidence, Circuit | None, bool]:
    """What a store that holds this evidence and `stored` makes of a report: the evidence after it, the circuit that it
    opens (None: not yet), and whether a streak has begun of which the workers should hear. `way_ms`: how long ago it
    was told."""
    if report.base != stored.epoch or stored.state is State.OPEN:
        return held, None, False
    before = held.standing(stored.epoch, now_ms, terms.window_ms)
    told_ms = now_ms - way_ms
    ok_at_ms = before.ok_at_ms if report.ok_ms is None else max(before.ok_at_ms, told_ms - report.ok_ms)
    seen = {**before.failures, report.worker: tuple(told_ms - ago for ago in report.failed_ms)}
    after = Evidence(stored.epoch, ok_at_ms, seen, before.votes).standing(stored.epoch, now_ms, terms.window_ms)
    begun = after.count > 0 and before.count == 0
    if after.count < terms.threshold or after.workers < terms.quorum:
        return after, None, begun
    last_ms = max(t for times in after.failures.values() for t in times)
    opening = Proposal(
        base=stored.epoch,
        state=State.OPEN,
        reason=Cause.CONSECUTIVE_FAILURES,
        worker=report.worker,
        seen_at=0.0,
        open_for_ms=report.open_for_ms,
        failure_count=after.count,
        rounds=report.rounds,
    )
    opened = decide(stored, opening, told_ms - last_ms, now_ms, way_ms=way_ms)
    return (after, None, begun) if opened is None else (Evidence(), opened, False)


def judge(
    held: Evidence, stored: Circuit, proposal: Proposal, age_ms: int, now_ms: int, *, way_ms: int = 0
) -> tuple[Evidence, Circuit | None, bool]:
    """`decide`, where a quorum may be asked for: the evidence after it, the circuit accepted (None: `stored` stands),
    and whether the proposal was noted as a vote."""
    restores = proposal.state is State.CLOSED and proposal.base > stored.epoch  # the store has lost what it closes
    if proposal.forced or proposal.quorum <= 1 or stored.state is State.OPEN or restores:
        return held, decide(stored, proposal, age_ms, now_ms, way_ms=way_ms), False
    before = held.standing(stored.epoch, now_ms)
    others = {worker: until for worker, until in before.votes.items() if worker != proposal.worker}
    if proposal.state is State.CLOSED:
        failures = {worker: times for worker, times in before.failures.items() if worker != proposal.worker}
        return Evidence(before.epoch, before.ok_at_ms, failures, others), None, False
    seen_ms = now_ms - way_ms - age_ms
    if not accepts(stored, proposal, seen_ms, now_ms):
        return held, None, False
    votes = {**others, proposal.worker: seen_ms + proposal.open_for_ms + VOTE_GRACE_MS}
    after = Evidence(before.epoch, before.ok_at_ms, before.failures, votes)
    if len(votes) < proposal.quorum:
        return after, None, True
    return Evidence(), decide(stored, proposal, age_ms, now_ms, way_ms=way_ms), False
