"""A YAML file as plain data with the line of everything in it, so that an error can name file, line, and what was
expected. What the data must be is for those who read it to say."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Loc = tuple[int | str, ...]
MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file. `line`: 0 for what is wrong with all of it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ScenarioError(ValueError):
    """A scenario (or campaign) file that cannot be run; one problem a line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


def read(path: Path) -> str:
    """The text of a file; ScenarioError if there is none that can be read."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ScenarioError([Problem(str(path), 0, f"expected a file of at most {MAX_BYTES} bytes")])
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ScenarioError([Problem(str(path), 0, _missing(path))]) from None
    except IsADirectoryError:
        raise ScenarioError([Problem(str(path), 0, "expected a file, not a directory")]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError([Problem(str(path), 0, f"cannot be read as UTF-8 text: {error}")]) from None


def _missing(path: Path) -> str:
    there = sorted(p.name for p in path.parent.glob("*.yaml") if p != path) if path.parent.is_dir() else []
    return f"there is no such file{did_you_mean(path.name, there)}"


class Source:
    """A YAML text as plain data, with the line of everything in it. `keys`: some of those it is expected to have."""

    def __init__(self, text: str, name: str, keys: str = "name, description, duration") -> None:
        self.name = name
        try:
            loader = yaml.SafeLoader(text)
            self.root = loader.get_single_node()
            self.data: Any = loader.construct_document(self.root) if self.root is not None else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            what = " ".join(filter(None, (error.context, error.problem)))
            raise ScenarioError([Problem(name, mark.line + 1 if mark else 1, f"not YAML: {what}")]) from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise ScenarioError([Problem(name, 1, f"not YAML: {error}")]) from None
        self._refuse_twins(self.root)
        if not isinstance(self.data, dict):
            raise ScenarioError([Problem(name, 1, f"expected a mapping with {keys}, …")])

    def problem(self, loc: Loc, message: str) -> Problem:
        """A problem at the innermost thing of `loc` that the file has."""
        return Problem(self.name, self._line(loc), message)

    def _line(self, loc: Loc) -> int:
        node, line = self.root, 1
        for step in loc:
            found = self._child(node, step)
            if found is None:
                break
            key, node = found
            line = key.start_mark.line + 1
        return line

    @staticmethod
    def _child(node: yaml.Node | None, step: int | str) -> tuple[yaml.Node, yaml.Node] | None:
        if isinstance(node, yaml.MappingNode):
            return next(((k, v) for k, v in node.value if k.value == step), None)
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            return node.value[step], node.value[step]
        return None

    def _refuse_twins(self, node: yaml.Node | None, above: tuple[yaml.Node, ...] = ()) -> None:
        """A key written twice, of which YAML would lose the first in silence, and an alias that holds itself."""
        if node is not None and node in above:
            raise ScenarioError([Problem(self.name, node.start_mark.line + 1, "an alias that contains itself")])
        if isinstance(node, yaml.MappingNode):
            seen: set[Any] = set()
            for key, value in node.value:
                if key.value in seen:
                    raise ScenarioError([Problem(self.name, key.start_mark.line + 1, f"'{key.value}' is given twice")])
                seen.add(key.value)
                self._refuse_twins(value, (*above, node))
        elif isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._refuse_twins(item, (*above, node))


def path_of(loc: Loc) -> str:
    """`providers[2].latency.median`, items counted from 1 as people do."""
    text = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in loc)
    return text.lstrip(".") or "the file"


def did_you_mean(word: str, words: Sequence[str]) -> str:
    """A question with the word that was probably meant; empty if none is close."""
    close = difflib.get_close_matches(word, words, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
