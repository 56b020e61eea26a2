"""`recovers`: a healthy provider is used again within its open time, a probe, and the way through the fleet.

Judged per healed fault on a provider (the last one before another reason to hold it unavailable) and per worker that
wanted it afterwards, that is, whose requests asked it or found its breaker saying no. The deadline is `recovery`'s,
made of the open times that really were. A request refused by p's breaker after the deadline is a breach; a worker
whose last request that wanted p asked it has recovered; one that was still refused when the run ended, before the
deadline, is undecided.
"""

from __future__ import annotations

import math

from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.checkers.recovery import Recovery
from harness.checkers.requests import Execution


def look(case: Case, tally: Tally) -> None:
    """Every healed fault on a provider, and every worker that wanted it then."""
    for provider, reasons in case.recoveries.items():
        for n, reason in enumerate(reasons):
            until = min((r.began for r in reasons[n + 1 :]), default=math.inf)
            if reason.window is not None and reason.window.healed and until > reason.deadline:
                _judge(case, provider, reason, until, tally)


def _judge(case: Case, provider: str, reason: Recovery, until: float, tally: Tally) -> None:
    for worker, wanted in _wanted(case, provider, reason.healed, until).items():
        last, refused = wanted[-1]
        late = next((e for e, no in wanted if no and e.started.t > reason.deadline), None)
        if late is not None:
            tally.checked += 1
            text = (
                f"{worker} still refused {provider} {late.started.t - reason.healed:.1f} s after its fault had healed; "
                f"{reason.deadline - reason.healed:.1f} s were allowed"
            )
            change = next(reversed(case.index.transitions.get((worker, provider), [])), None)
            tally.violate(late.started.t, text, late.started, change, worker=worker, provider=provider)
        elif not refused:
            tally.checked += 1
        elif reason.deadline > case.observed_until and not case.lives[worker].died:
            tally.undecided(
                f"{worker} still refused {provider} at {last.started.t:.1f} s, "
                f"and the run ended before {reason.deadline:.1f} s, until when it may"
            )


def _wanted(case: Case, provider: str, after: float, until: float) -> dict[str, list[tuple[Execution, bool]]]:
    """For each worker, its requests between the two times that wanted the provider, and whether it was refused."""
    found: dict[str, list[tuple[Execution, bool]]] = {}
    for execution in case.index.executions:
        if not after < execution.started.t < until:
            continue
        if any(a.started.provider == provider for a in execution.attempts):
            found.setdefault(execution.started.worker, []).append((execution, False))
        elif provider in execution.refused(case.providers):
            found.setdefault(execution.started.worker, []).append((execution, True))
    return found


CHECKER = Checker(
    id="recovers",
    holds="A provider whose fault has healed is used again within its open time, a probe, and the sync.",
    vacuous="no provider fault healed and was followed by a request that wanted the provider",
    look=look,
)
