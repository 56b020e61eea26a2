"""The public names say what they are: their arguments, units and errors, each in its docstring."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from types import FunctionType
from typing import Any

import pytest

from reference.docstrings import read
from reference.public import GIVEN, parts

PARTS = dict(parts())
UNITS = re.compile(r"_s$|_rate$|seconds|share|factor|per request|from 0 to \d")
OBVIOUS = {"self", "cls"}


def doc_of(part: Any) -> str:
    return inspect.getdoc(part) or ""


def code_of(part: Any) -> Any:
    """The function behind a part, of which it takes arguments and in which it raises."""
    found = part.fget if isinstance(part, property) else getattr(part, "__func__", part)
    return inspect.unwrap(found)


def callables() -> Iterator[tuple[str, Any, str]]:
    """Each function, method and constructor of ours, with all that explains it: its class tells of its constructor."""
    for name, part in PARTS.items():
        if isinstance(part, type):
            made = vars(part).get("__init__")
            is_made = part.__name__ not in GIVEN
            if is_made and inspect.isfunction(made) and made.__module__.startswith(("flexiai", "harness")):
                yield name, made, doc_of(part)
        elif isinstance(part, FunctionType | property) and inspect.isfunction(code := code_of(part)):
            yield name, code, doc_of(part)


def explained(name: str, told: str) -> str:
    """The docstring, with those that it refers to: "As `AsyncFlexiAI.reset`"."""
    for other in re.findall(r"`([\w.]+)`", told):
        found = (doc for full, doc in ((n, doc_of(p)) for n, p in PARTS.items()) if full.endswith(f".{other}"))
        told += next(found, "")
    told += inspect.getmodule(PARTS[name]).__doc__ or "" if name.startswith("harness.strategies") else ""
    if "arguments are those of AsyncFlexiAI" in told:
        told += doc_of(PARTS["flexiai.AsyncFlexiAI"])
    if "chat.completions.create" in told:
        told += doc_of(PARTS["flexiai.client.AsyncCompletions.create"])
    return told


def raised_in(code: Any) -> set[str]:
    if code.__code__.co_filename == "<string>":
        return set()  # made by dataclasses
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    thrown = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc is not None]
    called = [error.func if isinstance(error, ast.Call) else error for error in thrown]
    return {error.id for error in called if isinstance(error, ast.Name) and error.id[0].isupper()} - {"StopIteration"}


CALLABLES = {name: (code, told) for name, code, told in callables()}


@pytest.mark.parametrize("name", PARTS)
def test_it_has_a_docstring_that_can_be_rendered(name: str) -> None:
    told = PARTS[name].__doc__
    assert told
    assert told.strip()
    read(inspect.cleandoc(told))


@pytest.mark.parametrize("name", CALLABLES)
def test_every_argument_is_explained(name: str) -> None:
    code, told = CALLABLES[name]
    words = set(re.findall(r"\w+", explained(name, told)))
    assert [p for p in inspect.signature(code).parameters if p not in words | OBVIOUS] == []


@pytest.mark.parametrize("name", CALLABLES)
def test_every_error_is_named(name: str) -> None:
    code, told = CALLABLES[name]
    assert [error for error in sorted(raised_in(code)) if error not in explained(name, told)] == []


def floats() -> Iterator[tuple[str, str]]:
    """Every field and argument that is a number with a fraction: where, and what is said of it there."""
    for name, part in PARTS.items():
        if isinstance(part, type):
            told = read(doc_of(part))
            for field, kind in inspect.get_annotations(part).items():
                if re.search(r"\bfloat\b|\bSeconds\b|\bShare\b", str(kind)):
                    yield f"{name}.{field}", told.of(field) or doc_of(part)
    for name, (code, told) in CALLABLES.items():
        for argument in inspect.signature(code).parameters.values():
            if re.search(r"\bfloat\b", str(argument.annotation)):
                yield f"{name}.{argument.name}", explained(name, told)


@pytest.mark.parametrize(("name", "told"), [pytest.param(*one, id=one[0]) for one in floats()])
def test_every_quantity_has_a_unit(name: str, told: str) -> None:
    assert UNITS.search(name) or UNITS.search(told)
