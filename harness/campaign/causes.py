"""From what went wrong in a run to its cause: the rule, and what was said of it without names, times and numbers.

Runs are grouped by the cause of their first violation in time; what follows from a broken run is often its echo.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness.checkers import Violation
from harness.verdict import Judgement

_WORKER = re.compile(r"\b(?:sim|[\w.-]+):\d+\b")
_REQUEST = re.compile(r"\br\d+(?:-\d+)+\b")
_NUMBER = re.compile(r"(?<![A-Za-z])\d+(?:\.\d+)?(?:e-?\d+)?")
_LISTED = re.compile(r"(\b[WRPN]\b)(?:(?:, | and )\1)+")
LONGEST = 160


def shape(text: str, providers: Iterable[str] = ()) -> str:
    """A text without what differs from run to run: workers are W, requests R, providers P, numbers N."""
    text = _REQUEST.sub("R", _WORKER.sub("W", text))
    for name in sorted(providers, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", "P", text)
    return _LISTED.sub(r"\1", _NUMBER.sub("N", text))[:LONGEST]


def first_violation(judged: Judgement) -> Violation | None:
    """The first violation in time; of one moment, the safer checker's."""
    return min((v for f in judged.findings for v in f.violations), key=lambda v: v.t, default=None)


def cause_of(judged: Judgement, providers: Iterable[str]) -> str | None:
    """What a judged run failed of, or None if nothing was violated."""
    first = first_violation(judged)
    if first is not None:
        return f"{first.rule}: {shape(first.text, providers)}"
    crashed = next((f for f in judged.findings if f.why == "crashed"), None)
    return f"{crashed.id} crashed: {shape(crashed.note or '', providers)}" if crashed is not None else None
