"""The vocabulary of faults as people read it: for the command line, and as the table of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from harness.faults import BOTH, COMMON, KINDS, Fault

HEAD = ("on", "`inject`", "what happens", "stands for", "parameters", "`for`", "worlds")


def described() -> Iterator[str]:
    """Each fault in a few lines: what it does, its parameters, its worlds, a cause, an example."""
    for kind in KINDS:
        own = ", ".join(f"{key}{_default(field)}" for key, field in _own(kind)) or "none"
        yield (
            f"{kind.of}: {kind.name}\n  {_what(kind)}\n  cause: {kind.cause}\n  worlds: {_worlds(kind)}\n"
            f"  parameters: {own}\n  for: {_lasts(kind)}\n  example: {kind.example}\n"
        )


def markdown() -> str:
    """The table."""
    rows = [HEAD, ("---",) * len(HEAD), *(_row(kind) for kind in KINDS)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows).replace("| --- ", "|---").replace("--- |", "---|")


def _row(kind: type[Fault]) -> tuple[str, ...]:
    own = ", ".join(f"`{key}`{_default(field)}" for key, field in _own(kind)) or "–"
    worlds = "both" if kind.worlds == BOTH else f"{', '.join(sorted(kind.worlds))} only"
    return kind.of, f"`{kind.name}`", _what(kind), kind.cause, own, _lasts(kind), worlds


def _own(kind: type[Fault]) -> list[tuple[str, FieldInfo]]:
    return [(field.alias or key, field) for key, field in kind.model_fields.items() if key not in COMMON]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    default = getattr(field.default, "text", field.default)
    if default is None or (default in (1.0, "all") and not isinstance(default, bool)):
        return ""
    return f" ({default:g})" if isinstance(default, float) else f" ({default})"


def _what(kind: type[Fault]) -> str:
    return " ".join((kind.__doc__ or "").split())


def _lasts(kind: type[Fault]) -> str:
    return "none: a moment" if kind.instant else "required" if kind.needs_for else "optional"


def _worlds(kind: type[Fault]) -> str:
    return "both" if kind.worlds == BOTH else f"{', '.join(sorted(kind.worlds))} only: {kind.why_not}"
