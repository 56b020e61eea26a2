"""What pydantic objects to, in the words of a file's other errors: what was expected, and what is there instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_too_short": "text",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "literal_error": "{expected}",
    "too_short": "at least {min_length} of them",
    "string_pattern_mismatch": "what matches {pattern}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
}
"""By the type of an error; in braces, its own terms."""


def objection(error: Mapping[str, Any]) -> str:
    """What one of a ValidationError's errors says."""
    said = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return said
    expected = _EXPECTED.get(error["type"])
    told = f"expected {expected.format(**error.get('ctx', {}))}" if expected else f"{said[0].lower()}{said[1:]}"
    return f"{told}, not {error.get('input')!r:.80}"
