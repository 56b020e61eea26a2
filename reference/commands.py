"""What the commands say of themselves with `--help`, as a page."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from unittest.mock import patch

import click

from flexiai import cli as operators
from harness.cli import cli as harness
from reference.pages import Page

WIDTH = 100
OPERATORS_VERBS = ("providers", "open", "drain", "reset")


def page() -> Page:
    """The page of all commands."""
    told = [
        "# Commands",
        *(_shown(name, text) for name, text in _of_operators()),
        *(_shown(name, text) for name, text in _of(harness, "harness")),
    ]
    return Page("commands.html", "Commands", "\n\n".join(told))


def _shown(command: str, text: str) -> str:
    return f"## {command}\n\n```text\n{text.rstrip()}\n```"


def _of(command: click.Command, name: str) -> Iterator[tuple[str, str]]:
    yield name, click.Context(command, info_name=name, terminal_width=WIDTH).get_help()
    if isinstance(command, click.Group):
        for verb, one in sorted(command.commands.items()):
            yield from _of(one, f"{name} {verb}")


def _of_operators() -> Iterator[tuple[str, str]]:
    for verb in ("", *OPERATORS_VERBS):
        said = io.StringIO()
        with patch.dict(os.environ, COLUMNS=str(WIDTH)), redirect_stdout(said), suppress(SystemExit):
            operators.main([verb, "--help"] if verb else ["--help"])
        yield f"flexiai {verb}".rstrip(), said.getvalue()


__all__ = ["page"]
