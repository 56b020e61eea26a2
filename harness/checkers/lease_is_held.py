"""`lease-is-held`: the right to probe is denied only while somebody has it.

At each denial some other worker must have the lease: one that said that it won it, and not yet that it gave it back; or
one that lost it, or died, no longer ago than a lease lives (`lease`), for that is when it expires by itself.

Left out: denials less than a lease and an operation after anything stood between any worker and Redis, or a worker was
frozen or slowed, or ended: who had the lease by then, nobody may have lived to say.
"""

from __future__ import annotations

from flexiai.events import ProbeLease
from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.spans import meets_any

_ENDS = frozenset({"released", "lost"})


def look(case: Case, tally: Tally) -> None:
    """Every denial."""
    said: dict[str, list[ProbeLease]] = {}
    for lease in case.all(ProbeLease):
        said.setdefault(lease.provider, []).append(lease)
    for leases in said.values():
        for denied in leases:
            if denied.action == "denied" and not _disturbed(case, denied.t):
                tally.checked += 1
                if not any(_has_it(case, leases, n, denied) for n in range(len(leases))):
                    _violate(case, leases, denied, tally)


def _violate(case: Case, leases: list[ProbeLease], denied: ProbeLease, tally: Tally) -> None:
    last = next((e for e in reversed(leases) if e.t <= denied.t and e.action in ("won", *_ENDS)), None)
    whose = "nobody had ever had it" if last is None else f"{last.worker} had {last.action} it at {last.t:.1f} s"
    text = f"{denied.worker} was denied the right to probe {denied.provider}, which nobody had: {whose}"
    tally.violate(denied.t, text, last, denied, worker=denied.worker, provider=denied.provider)


def _has_it(case: Case, leases: list[ProbeLease], n: int, denied: ProbeLease) -> bool:
    """Whether the n-th event is another worker's gain of the lease that may still stand at the denial."""
    won = leases[n]
    if won.action != "won" or won.worker == denied.worker or won.t > denied.t + case.bounds.prompt:
        return False
    end = next((e for e in leases[n + 1 :] if e.worker == won.worker and e.action in _ENDS), None)
    expires_s = case.scenario.sync.lease_s + case.bounds.prompt
    until = case.lives[won.worker].gone + expires_s
    if end is not None:
        until = min(until, end.t + (expires_s if end.action == "lost" else case.bounds.prompt))
    return denied.t <= until


def _disturbed(case: Case, t: float) -> bool:
    since = t - case.scenario.sync.lease_s - case.scenario.sync.operation_timeout_s - case.bounds.prompt
    return any(
        since <= life.gone <= t
        or meets_any(case.cuts[life.worker], since, t)
        or case.excuses_slowness(life.worker, since, t)
        for life in case.lives.values()
        if life.began <= t and life.gone >= since
    )


CHECKER = Checker(
    id="lease-is-held",
    holds="The right to probe is denied only while somebody has it.",
    vacuous="nobody who could reach Redis was denied the right to probe",
    look=look,
)
