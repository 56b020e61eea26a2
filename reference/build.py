"""Builds the site: a page for each public module by pdoc, the pages of the project, and an index of both.

Rules
-----
* Whatever pdoc or Python warns of is an error, and so is a link that leads nowhere.
* The same tree makes the same bytes.
"""

from __future__ import annotations

import shutil
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pdoc.doc
import pdoc.render

from reference import commands, pages
from reference.docstrings import read
from reference.fields import explain
from reference.public import CHOSEN, GIVEN, MODULES, is_public, names_of

TEMPLATES = Path(__file__).parent / "templates"


class BrokenSite(Exception):
    """Something on the site leads nowhere."""


def build(out: Path) -> None:
    """Write the site into the directory `out`, replacing what is there. BrokenSite if a link leads nowhere."""
    shutil.rmtree(out, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _write(out)
    broken = dead_links(out)
    if broken:
        raise BrokenSite("\n".join(broken))


def _write(out: Path) -> None:
    modules = {name: _explained(pdoc.doc.Module.from_name(name)) for name in MODULES}
    told = (*pages.found(), commands.page())
    pdoc.render.configure(docformat="markdown", show_source=False, template_directory=TEMPLATES)
    listed = [page for page in told if not page.at.startswith("docs/decisions/0")]
    public = {f"{name}.{part}" for name, module in modules.items() for part in names_of(module.obj)}
    pdoc.render.env.globals.update(pages=listed, public=public, chosen=CHOSEN, given=GIVEN)
    pdoc.render.env.globals.update(summary=_summary, is_public_member=is_public)
    for name, module in modules.items():
        _put(out / f"{name.replace('.', '/')}.html", pdoc.render.html_module(module, modules))
    for page in told:
        _put(out / page.at, _framed(page, told, modules))
        for image in pages.images(page):
            (out / image).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(pages.ROOT / image, out / image)
    _put(out / "index.html", pdoc.render.html_index(modules))
    _put(out / "search.js", pdoc.render.search_index(modules))


def _explained(module: pdoc.doc.Module) -> pdoc.doc.Module:
    """The module, its docstrings made Markdown and its fields explained."""
    module.docstring = read(module.docstring).markdown()
    for doc in module.flattened_own_members:
        if isinstance(doc, pdoc.doc.Class):
            explain(doc)
        members = doc.own_members if isinstance(doc, pdoc.doc.Class) else [doc]
        for member in members:
            if isinstance(member, pdoc.doc.Function):
                member.docstring = read(member.docstring).markdown()
    return module


def _framed(page: pages.Page, told: tuple[pages.Page, ...], modules: dict[str, pdoc.doc.Module]) -> str:
    template = pdoc.render.env.get_template("page.html.jinja2")
    root = "../" * page.at.count("/")
    return template.render(page=page, content=pages.html(page, told), all_modules=modules, root=root)


def _summary(module: pdoc.doc.Module) -> str:
    """The first sentences of a module, on one line."""
    return module.docstring.partition("\n\n")[0]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


class _Links(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of where it leads and how it is called."""
        given = dict(attrs)
        self.targets += [target for name in ("href", "src") if (target := given.get(name))]
        self.anchors |= {given[name] or "" for name in ("id", "name") if given.get(name)}


def dead_links(site: Path) -> list[str]:
    """What in the site leads to a file or an anchor that is not there."""
    read_pages = {path: _Links(path.read_text()) for path in sorted(site.rglob("*.html"))}
    return [
        f"{path.relative_to(site)}: {target}"
        for path, links in read_pages.items()
        for target in links.targets
        if not target.startswith(("http", "data:", "mailto:")) and not _leads(path, target, read_pages)
    ]


def _leads(path: Path, target: str, read_pages: dict[Path, _Links]) -> bool:
    file, _, anchor = target.partition("#")
    there = (path.parent / file).resolve() if file else path.resolve()
    links = next((links for known, links in read_pages.items() if known.resolve() == there), None)
    if links is None:
        return there.is_file() and not anchor
    return not anchor or anchor in links.anchors
