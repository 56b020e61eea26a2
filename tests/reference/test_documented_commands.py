"""What the README and the pages of docs/ tell users to type exists: code, commands and their options."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples/fastapi_multiworker/README.md")
OURS = ("flexiai", "harness", "reports")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for number, (language, text) in enumerate(BLOCK.findall(page.read_text())):
            if language in languages:
                yield f"{page.relative_to(ROOT)}#{number}", text


def harness_lines() -> Iterator[tuple[str, str]]:
    for where, text in blocks("console", "bash", "text"):
        for line in text.splitlines():
            found = re.match(r"\$ (?:\.venv/bin/)?harness (\w.*)", line)
            if found:
                yield where, found[1]


PYTHON = dict(blocks("python"))
HARNESS = list(harness_lines())


def test_there_is_something_to_check() -> None:
    assert len(PYTHON) > 5
    assert len(HARNESS) > 5


@pytest.mark.parametrize("where", PYTHON)
def test_code_can_be_compiled_and_what_it_imports_of_ours_exists(where: str) -> None:
    tree = compile(PYTHON[where], where, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(("where", "line"), HARNESS)
def test_a_command_of_the_harness_exists_with_its_options(where: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    command: click.Command = cli
    while isinstance(command, click.Group) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    assert command is not cli, line
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert sorted(given - known - {"--help", "-h"}) == []
