"""Keys out of messages: what a vendor quotes of one is as good as the key to who looks over a shoulder. Pure.

Rules
-----
* Every run of PART or more characters that also stands in the key is masked, wherever it begins and ends in the key.
* So is what a vendor has masked itself, such as `sk-abc***xyz` or `sk-...wxyz`: its rest is a part of a key too, though
  possibly of another one than ours.
* A key shorter than PART (local servers take any word) is masked where it stands as a word of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "***"
PART = 8
_half_masked = re.compile(  # only from where a word begins: a long one is looked at once, not from each of its letters
    r"(?<![\w-])(?:[\w-]*(?:\*{3,}|\u2022{3,})[\w*\u2022-]*|\w+-[\w-]*(?:\.{3,}|\u2026)[\w-]+)"
)


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` without any part of these (none of them empty) that is long enough to matter."""
    for secret in secrets:
        text = _without_parts(text, secret)
    return _half_masked.sub(MASK, text)


def _without_parts(text: str, secret: str) -> str:
    if len(secret) < PART:
        return re.sub(rf"(?<![\w-]){re.escape(secret)}(?![\w-])", MASK, text)
    parts = {secret[i : i + PART] for i in range(len(secret) - PART + 1)}
    kept: list[str] = []
    end = 0  # of what has been kept or masked
    at = 0
    while at + PART <= len(text):
        if text[at : at + PART] not in parts:
            at += 1
            continue
        begin, at = at, at + PART
        while text[at - PART + 1 : at + 1] in parts:
            at += 1
        kept += (text[end:begin], MASK)
        end = at
    return "".join(kept) + text[end:]
