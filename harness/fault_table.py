"""The vocabulary of faults as people read it: for the command line, and as the table of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from harness.faults import BOTH, COMMON, KINDS, Fault

FORMS = """\
A fault is a line of `faults:`: its `target` (provider/NAME, redis, worker, network, clock), and what to `inject`.
  when: `at` a time of the run; `after` an event, such as {event: opened, provider: openai}, or another fault's `id`
  how long: `for` a time, or `until` a time or an event; neither: to the end of the run
  again: `every` so often; with `jitter` it begins up to that much later
  on whom: `workers`: all, one, K of N (drawn by the seed), a place (1.3: worker 3 of instance 1), opener, probe_holder
In brackets: what a parameter may be, and what it is if nothing is said.
"""

HEAD = ("on", "`inject`", "what happens", "stands for", "parameters", "`for`", "worlds")


def described() -> Iterator[str]:
    """Each fault in a few lines: what it does, its parameters, its worlds, a cause, an example."""
    for kind in KINDS:
        own = "; ".join(f"{key}{_told(schema)}" for key, schema in _own(kind)) or "none"
        yield (
            f"{kind.of}: {kind.name}\n  {_what(kind)}\n  cause: {kind.cause}\n  worlds: {_worlds(kind)}\n"
            f"  parameters: {own}\n  for: {_lasts(kind)}\n  example: {kind.example}\n"
        )


def markdown() -> str:
    """The table."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(kind) for kind in KINDS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- ", "|---").replace("--- |", "---|")


def _row(kind: type[Fault]) -> tuple[str, ...]:
    own = "; ".join(f"`{key}`{_told(schema)}" for key, schema in _own(kind)) or "–"
    worlds = "both" if kind.worlds == BOTH else f"{', '.join(sorted(kind.worlds))} only"
    return kind.of, f"`{kind.name}`", _what(kind), kind.cause, own, _lasts(kind), worlds


def _own(kind: type[Fault]) -> list[tuple[str, dict[str, Any]]]:
    """Its parameters, each with its schema and, as `is`, what stands if it is left out ("required": it may not be)."""
    published = _schema(kind)
    fields = [(field.alias or key, field) for key, field in kind.model_fields.items() if key not in COMMON]
    return [
        (key, published[key] | {"is": "required" if f.is_required() else getattr(f.default, "text", f.default)})
        for key, f in fields
    ]


@cache
def _schema(kind: type[Fault]) -> dict[str, Any]:
    properties: dict[str, Any] = kind.model_json_schema(by_alias=True)["properties"]
    return properties


def _told(schema: dict[str, Any]) -> str:
    """In brackets: what it may be, and what it is if nothing is said."""
    default = schema["is"]
    unsaid = "optional" if default is None else f"{default:g}" if isinstance(default, float) else str(default).lower()
    return f" ({_may_be(schema)}; {unsaid})"


def _may_be(schema: dict[str, Any]) -> str:
    """The values that a schema allows, in words."""
    if "anyOf" in schema:  # a value, or none
        return _may_be(schema["anyOf"][0])
    if "description" in schema:
        return str(schema["description"])
    if "enum" in schema:
        return " or ".join(schema["enum"])
    if schema["type"] == "boolean":
        return "true or false"
    if "exclusiveMinimum" in schema:
        return f"above {schema['exclusiveMinimum']:g}, below {schema['exclusiveMaximum']:g}"
    low, high = schema["minimum"], schema.get("maximum")
    return f"{low} or more" if high is None else f"{low} to {high}"


def _what(kind: type[Fault]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _lasts(kind: type[Fault]) -> str:
    return "none: a moment" if kind.instant else "required" if kind.needs_for else "optional"


def _worlds(kind: type[Fault]) -> str:
    return "both" if kind.worlds == BOTH else f"{', '.join(sorted(kind.worlds))} only: {kind.why_not}"
