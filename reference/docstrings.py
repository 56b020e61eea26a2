"""Our docstrings as Markdown: lists of what fields and arguments mean, drawn trees, and the rest as it is.

Rules
-----
* A line `name  what it means`, with two spaces or more between, begins an entry (`a, b  …` one for both); indented
  lines go on with it.
* A block with the lines of a drawn tree is shown as it was drawn.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"(?P<names>[\w*./]+(?:, [\w*./]+)*) {2,}(?P<text>\S.*)")
_DRAWN = re.compile(r"[├└│]")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is said of one name or several: `names` as written."""

    names: tuple[str, ...]
    text: str

    def markdown(self) -> str:
        """The entry as an item of a list."""
        return f"- **{', '.join(f'`{name}`' for name in self.names)}**: {self.text}"


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, in paragraphs: text as it is, or the entries of a list."""

    paragraphs: tuple[str | tuple[Entry, ...], ...]

    def markdown(self) -> str:
        """All of it."""
        told = (p if isinstance(p, str) else "\n".join(entry.markdown() for entry in p) for p in self.paragraphs)
        return "\n\n".join(told)

    def without(self, names: frozenset[str]) -> Docstring:
        """Without the entries all of whose names are among these."""
        kept = (p if isinstance(p, str) else _others(p, names) for p in self.paragraphs)
        return Docstring(tuple(p for p in kept if p))

    def of(self, name: str) -> str | None:
        """What is said of one name."""
        entries = (entry for p in self.paragraphs if not isinstance(p, str) for entry in p)
        return next((entry.text for entry in entries if name in entry.names), None)


def read(docstring: str) -> Docstring:
    """A docstring (without its code's indentation), understood. ValueError for a list with a line that is no entry."""
    return Docstring(tuple(_paragraph(block) for block in re.split(r"\n{2,}", docstring.strip("\n")) if block.strip()))


def _others(entries: tuple[Entry, ...], names: frozenset[str]) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if not names.issuperset(entry.names))


def _paragraph(block: str) -> str | tuple[Entry, ...]:
    if _DRAWN.search(block):
        return f"```text\n{block}\n```"
    lines = block.splitlines()
    if any(_ENTRY.fullmatch(line) for line in lines) and not _entries(lines):
        raise ValueError(f"not a list as it should be; two spaces before each meaning?\n{block}")
    return _entries(lines) or block


def _entries(lines: list[str]) -> tuple[Entry, ...]:
    """The entries of a block, or none, if it is not a list of them alone."""
    found: list[Entry] = []
    for line in lines:
        match = _ENTRY.fullmatch(line)
        if match:
            found.append(Entry(tuple(match["names"].split(", ")), match["text"]))
        elif found and line.startswith("  "):
            last = found.pop()
            found.append(Entry(last.names, f"{last.text} {line.strip()}"))
        else:
            return ()
    return tuple(found)
