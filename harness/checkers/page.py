"""docs/invariants.md, made of the checkers: `python -m harness.checkers.page > docs/invariants.md`."""

from __future__ import annotations

import inspect
import re
import sys

from harness.checkers import CHECKERS
from harness.checkers.finding import Checker

HEAD = """\
# The invariants

<!-- Made by `python -m harness.checkers.page`; a test holds it to the checkers. -->

What every run, simulated or real, is held against. Each invariant is a checker in `harness/checkers/` and looks at
nothing but the history; its id is stable. First safety, then liveness, whose bounds are derived from the scenario's own
settings (`harness/checkers/bounds.py`). What it means that an invariant had no occasion is said in
[harness.md](harness.md#verdicts).
"""


def page() -> str:
    """The whole page."""
    rows = [f"| [`{c.id}`](#{c.id}) | {c.holds} | {c.vacuous} |" for c in CHECKERS]
    table = ["| id | what must hold | not exercised means |", "|---|---|---|", *rows]
    return "\n".join([HEAD, *table, "", *(_section(c) for c in CHECKERS)]).rstrip() + "\n"


def _section(checker: Checker) -> str:
    """A checker's own words: its module's docstring, without the id that they begin with."""
    module = sys.modules[checker.look.__module__]
    told = inspect.cleandoc(module.__doc__ or "")
    body = re.sub(r"^`[\w-]+`[:,]\s*", "", told)
    return f"## {checker.id}\n\n{body[:1].upper()}{body[1:]}\n"


if __name__ == "__main__":
    sys.stdout.write(page())
