"""The pages of the project as HTML: the README, `docs/*.md`, and the help of the commands.

Links between them lead to each other; those to files that are not on the site become plain text.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from pathlib import Path

import markdown2
from pdoc.render_helpers import markdown_extensions

ROOT = Path(__file__).resolve().parents[1]
FIRST = ("README.md", "docs/guide.md", "docs/running.md", "docs/failover.md", "docs/providers.md", "docs/redis.md")
_LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<target>[^()\s]+)\)")
_FENCED = re.compile(r"(^```.*?^```\s*$)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Page:
    """A page. `at`: its path on the site; `source`: its file in the repository (None: it has none)."""

    at: str
    title: str
    text: str
    source: str | None = None


def found() -> tuple[Page, ...]:
    """Every page that is a file, the most wanted first."""
    others = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
    return tuple(_page(source) for source in dict.fromkeys((*FIRST, *others)))


def html(page: Page, pages: tuple[Page, ...]) -> str:
    """The page's content. `pages`: all that links may lead to."""
    places = {other.source: other.at for other in pages if other.source}
    parts = _FENCED.split(page.text)
    parts[::2] = [_LINK.sub(lambda match: _linked(match, page, places), part) for part in parts[::2]]
    return str(markdown2.markdown("".join(parts), extras=_extensions()))


def images(page: Page) -> tuple[str, ...]:
    """The images that the page shows, by their paths in the repository."""
    shown = (match for match in _LINK.finditer(page.text) if match["image"] and page.source)
    return tuple(_resolved(page.source or "", match["target"]) for match in shown)


def _page(source: str) -> Page:
    text = (ROOT / source).read_text()
    title = re.sub(r"[`*]", "", text.partition("\n")[0].removeprefix("# "))
    title = "About FlexiAI" if source == "README.md" else title
    at = (
        "about.html" if source == "README.md" else source.replace("README.md", "index.md").removesuffix(".md") + ".html"
    )
    return Page(at, title, text, source)


def _linked(match: re.Match[str], page: Page, places: dict[str, str]) -> str:
    target, _, anchor = match["target"].partition("#")
    if page.source is None or not target or "://" in target:
        return match[0]
    resolved = _resolved(page.source, target)
    if match["image"]:
        return f"![{match['text']}]({_from(page.at, resolved)})"
    for candidate in (resolved, f"{resolved}/README.md"):
        if candidate in places:
            return f"[{match['text']}]({_from(page.at, places[candidate])}{'#' if anchor else ''}{anchor})"
    return match["text"]


def _resolved(source: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), target))


def _from(at: str, target: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(at) or ".")


def _extensions() -> dict[str, object]:
    left_out = {"link-patterns", "markdown-in-html", "mermaid", "toc"}
    return {name: value for name, value in markdown_extensions.items() if name not in left_out}
