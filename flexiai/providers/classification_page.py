"""docs/classification.md, made of the tables: `python -m flexiai.providers.classification_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from flexiai.core.outcome import Outcome, Trouble, classify
from flexiai.providers.classification import ON_THE_WAY, VENDORS, Vendor, VendorError, of_answer

_HEAD = """\
# What a provider's answer means

Made of `flexiai/providers/classification.py` by `python -m flexiai.providers.classification_page`. What follows from an
outcome is said in [failover.md](failover.md#what-an-attempt-means).

A code counts before the status, the most exact code first; a message counts only by its beginning. A *configured* model
is one that the provider's settings name; where the caller named the model, that it does not exist is the caller's own.

## Any provider

| what happened on the way | trouble | outcome |
|---|---|---|
"""
_ROLES = (
    (Trouble.CANCELLED, "the caller went away"),
    (Trouble.DEADLINE, "the request's time was over before this attempt had had its own"),
    (Trouble.DISCONNECT, "a stream that ends before `[DONE]` or `message_stop`"),
    (Trouble.MALFORMED, "an answer that is not in the format; a stream that does not say why it ended"),
    (Trouble.UNSUPPORTED, "a request for which the provider's format has no word; it is not asked"),
    (Trouble.OTHER, "a custom provider raised something of its own"),
)


def page() -> str:
    """The page."""
    ways = [(kind.__name__, trouble, why) for kind, trouble, why in ON_THE_WAY]
    any_provider = [f"| {why} (`{name}`) | {_meaning(trouble)} |" for name, trouble, why in ways]
    any_provider += [f"| {why} | {_meaning(trouble)} |" for trouble, why in _ROLES]
    return _HEAD + "\n".join([*any_provider, *(line for vendor in VENDORS for line in _vendor(vendor)), ""])


def _vendor(vendor: Vendor) -> Iterable[str]:
    yield from ("", f"## {vendor.name}", "", "| status | says | trouble | outcome |", "|---|---|---|---|")
    for status, says in vendor.statuses.items():
        for own_model in (True, False) if status == 404 else (True,):
            trouble = of_answer(vendor, status, VendorError(), own_model=own_model)
            whose = "" if status != 404 else " (configured model)" if own_model else " (the caller's model)"
            yield f"| {status} | {says}{whose} | {_meaning(trouble, status)} |"
    yield "| any other 4xx | | `status` | neutral |"
    yield "| anything else (a redirect, any other 5xx) | | `status` | failure |"
    yield from ("", "| code or message | counts | trouble | outcome |", "|---|---|---|---|")
    for code, trouble in vendor.by_code.items():
        yield f"| `{code}` | whatever the status | {_meaning(trouble)} |"
    for beginning, trouble in vendor.by_message:
        yield f"| a message that begins “{beginning}” | whatever the status | {_meaning(trouble)} |"
    for code in sorted(vendor.no_model):
        yield f"| `{code}` | whatever the status, the configured model | {_meaning(Trouble.MISCONFIGURED)} |"
        yield f"| `{code}` | whatever the status, the caller's model | {_meaning(Trouble.INVALID_REQUEST)} |"
    for code, trouble in vendor.inside.items():
        yield f"| `{code}` | inside a 200, or in a stream | {_meaning(trouble)} |"
    yield f"| any other | inside a 200, or in a stream | {_meaning(Trouble.ERROR_BODY)} |"


def _meaning(trouble: Trouble, status: int | None = None) -> str:
    outcome: Outcome = classify(trouble, status)
    return f"`{trouble.value}` | {outcome.value}"


if __name__ == "__main__":
    sys.stdout.write(page())
