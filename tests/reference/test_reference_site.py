"""The rendered reference: our docstrings understood, every page there, every link leading somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from reference.build import build, dead_links
from reference.docstrings import read
from reference.public import MODULES

LIST = "What it is.\n\nname    of it\na, b    both\n        of them\n\nRaises KeyError."


def test_a_list_is_told_entry_by_entry() -> None:
    told = read(LIST)
    assert (
        told.markdown()
        == "What it is.\n\n- **`name`**: of it\n- **`a, b`**: both of them\n\nRaises KeyError.".replace(
            "`a, b`", "`a`, `b`"
        )
    )
    assert (told.of("b"), told.of("c")) == ("both of them", None)


def test_entries_can_be_taken_out() -> None:
    assert read(LIST).without(frozenset({"name", "a"})).markdown().count("- **") == 1  # b is still to be told
    assert "- **" not in read(LIST).without(frozenset({"name", "a", "b"})).markdown()


def test_a_list_with_a_line_that_is_no_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="two spaces"):
        read("It.\n\nname  of it\nlonger_name of that")


def test_a_drawn_tree_stays_as_it_was_drawn() -> None:
    assert read("A\n├── B   b\n└── C   c").markdown() == "```text\nA\n├── B   b\n└── C   c\n```"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "site"
    build(out)  # which fails on warnings and on links that lead nowhere
    return out


@pytest.mark.parametrize("name", MODULES)
def test_every_module_has_its_page(site: Path, name: str) -> None:
    assert name in (site / "index.html").read_text()
    assert (site / f"{name.replace('.', '/')}.html").is_file()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("flexiai/types.html", "consecutive failures that open it. at least 1"),
        ("flexiai/client.html", "asynccompletions.create"),
        ("flexiai/errors.html", "├── configurationerror"),
        ("harness/pytest_plugin.html", "trials.__call__"),
        ("docs/guide.html", "docker-compose"),
        ("commands.html", "harness replay"),
    ],
)
def test_what_it_says_is_on_the_page(site: Path, page: str, words: str) -> None:
    assert words in (site / page).read_text().lower()


@pytest.mark.parametrize("page", ["flexiai/types.html", "flexiai.html", "flexiai/status.html"])
def test_what_is_not_ours_to_show_is_not_shown(site: Path, page: str) -> None:
    told = (site / page).read_text()
    unwanted = ("PydanticUndefined", "FieldInfo", "Annotated", "model_config", "PLAIN_SCHEMES")
    assert [word for word in unwanted if word in told] == []
    assert str(Path.cwd()) not in told


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<h1 id="x">A</h1><a href="b.html#y">b</a><a href="c.html">c</a><a href="#x">x</a>'
    )
    (tmp_path / "b.html").write_text('<img src="none.png"><a href="a.html#x">a</a><a href="https://example.com">e</a>')
    assert dead_links(tmp_path) == ["a.html: b.html#y", "a.html: c.html", "b.html: none.png"]
