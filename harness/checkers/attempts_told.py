"""`attempts-told`: a provider is asked as often as the workers say, and no more.

For each request and provider, the provider's own ledger may name no more requests than the workers' attempts. Who asks
more has a loop of its own behind the breaker's back. Left out: requests on a worker that died, whose last words may be
lost.
"""

from __future__ import annotations

from collections import Counter

from harness.checkers.case import Case
from harness.checkers.finding import Checker, Tally
from harness.history import ProviderServed


def look(case: Case, tally: Tally) -> None:
    """Every request in a ledger."""
    told = Counter((a.started.request, a.started.provider) for a in case.index.attempts)
    cut_off = {e.started.request for e in case.index.executions if case.lives[e.started.worker].died}
    served: dict[tuple[str, str], list[ProviderServed]] = {}
    for e in case.all(ProviderServed):
        if e.request is not None and e.request in case.index.sent and e.request not in cut_off:
            served.setdefault((e.request, e.provider), []).append(e)
    for (request, provider), entries in served.items():
        tally.checked += 1
        if len(entries) > told[request, provider]:
            of = told[request, provider]
            text = f"{provider} was asked {len(entries)} times for {request}; the workers tell of {of}"
            tally.violate(entries[-1].t, text, *entries[:3], provider=provider)


CHECKER = Checker(
    id="attempts-told",
    holds="A provider is asked as often as the workers say, and no more.",
    vacuous="no request reached a provider",
    look=look,
)
