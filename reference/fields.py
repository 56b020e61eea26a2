"""What pdoc shall say of the fields of our classes: their meaning where they stand, plain types, bounds in words."""

from __future__ import annotations

import inspect
from types import GenericAlias, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pdoc.doc
from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from reference.docstrings import Docstring, read

_WORDS = {Gt: ("above", "gt"), Ge: ("at least", "ge"), Lt: ("below", "lt"), Le: ("at most", "le")}


def explain(cls: pdoc.doc.Class) -> None:
    """Move what the class says of its fields to the fields, and tell their types and bounds plainly."""
    told = read(cls.docstring)
    fields = {doc.name: doc for doc in cls.own_members if isinstance(doc, pdoc.doc.Variable)}
    for name, doc in fields.items():
        _explain_field(doc, told, _field(cls, name))
    arguments = _arguments(cls)
    moved = frozenset(fields) - arguments
    cls.docstring = told.without(moved).markdown()


def _explain_field(doc: pdoc.doc.Variable, told: Docstring, field: FieldInfo | None) -> None:
    said = [doc.docstring or told.of(doc.name) or ""]
    doc.annotation = plain(doc.annotation)
    if field is not None:
        said.append(bounds(field))
    if doc.default_value is PydanticUndefined:
        doc.default_value = inspect.Parameter.empty
    doc.docstring = " ".join(f"{part[0].upper()}{part[1:]}." for part in (s.rstrip(".") for s in said) if part)


def plain(annotation: Any) -> Any:
    """A type without what validates it, within other types too."""
    if get_origin(annotation) is Annotated:
        return plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return Union[tuple(plain(part) for part in get_args(annotation))]  # noqa: UP007 - made, not written
    if isinstance(annotation, GenericAlias):
        return GenericAlias(get_origin(annotation), tuple(plain(part) for part in annotation.__args__))
    return annotation


def bounds(field: FieldInfo) -> str:
    """The bounds of a field in words; nothing, if it has none."""
    return ", ".join(words for rule in field.metadata if (words := _bound(rule)))


def _bound(rule: object) -> str:
    if isinstance(rule, MinLen):
        return "not empty" if rule.min_length == 1 else f"at least {rule.min_length} long"
    if type(rule) in _WORDS:
        words, attribute = _WORDS[type(rule)]
        return f"{words} {getattr(rule, attribute):,}"
    pattern = getattr(rule, "pattern", None)
    return f"matches `{pattern}`" if pattern else ""


def _field(cls: pdoc.doc.Class, name: str) -> FieldInfo | None:
    return cls.obj.model_fields.get(name) if issubclass(cls.obj, BaseModel) else None


def _arguments(cls: pdoc.doc.Class) -> frozenset[str]:
    """The names that its constructor shows: what is said of them stays with the class."""
    made = next((doc for doc in cls.own_members if doc.name == "__init__"), None)
    return frozenset(made.signature.parameters) if isinstance(made, pdoc.doc.Function) else frozenset()
