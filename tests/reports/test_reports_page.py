"""The page: complete, self-contained, and safe to open whatever the files said."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_history import a_scenario, a_view, all_failed, an_outage

import reports
from harness.checkers.finding import Finding, Violation
from harness.history import History, RequestSent
from reports.view import RunView

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Outline(HTMLParser):
    """What a browser would load, and whether the tags nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        self.loaded += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data") and v]
        if found.get("id"):
            self.ids.append(found["id"] or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)


def broken_by(view: RunView, *violations: Violation) -> RunView:
    """The same run, judged to have broken an invariant."""
    finding = Finding("one-outcome", "fail", 9, violations, len(violations))
    others = tuple(f for f in view.judgement.findings if f.id != finding.id)
    reason = f"one-outcome: {violations[0].text}"
    return replace(view, judgement=replace(view.judgement, verdict="fail", reason=reason, findings=(finding, *others)))


@pytest.fixture(scope="module")
def outage() -> RunView:
    scenario = a_scenario()
    return a_view(scenario, an_outage(scenario))


@pytest.fixture(scope="module")
def written(outage: RunView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run = outage
    page = reports.build(run.scenario, run.seed, run.history, run.judgement, run.environment, folder)
    assert page == folder / "report.html"
    return folder


def page_of(view: RunView, folder: Path) -> str:
    return reports.write_report(view, folder).read_text(encoding="utf-8")


def test_a_run_leaves_a_page_its_plots_and_junit(written: Path) -> None:
    names = {path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file()}
    assert names == {
        "report.html",
        "junit.xml",
        "plots/timeline.png",
        "plots/timeline.svg",
        "plots/sync-latency.png",
        "plots/sync-latency.svg",
    }


def test_the_page_needs_nothing_but_itself(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    outline = Outline(page)
    assert all(target.startswith(("#", "data:")) for target in outline.loaded)
    assert "http://" not in page.replace('xmlns="http://www.w3.org/', "")
    assert "https://" not in page
    assert "@import" not in page
    assert not {"script", "link", "iframe", "object"} & outline.tags
    assert not outline.open


def test_the_page_is_small_and_its_ids_are_unique(written: Path) -> None:
    assert (written / "report.html").stat().st_size < 2_000_000
    ids = Outline((written / "report.html").read_text(encoding="utf-8")).ids
    assert len(ids) == len(set(ids))


def test_the_same_run_gives_the_same_page(outage: RunView, written: Path, tmp_path: Path) -> None:
    fresh = replace(outage)
    assert page_of(fresh, tmp_path) == (written / "report.html").read_text(encoding="utf-8")


def test_the_verdict_is_a_word_a_symbol_and_a_sentence(outage: RunView, written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    assert outage.judgement.verdict == "pass"
    assert 'class="verdict is-pass"' in page
    assert "✓" in page
    assert f"{outage.judgement.reason}." in page


def test_every_invariant_expectation_and_fault_is_there(outage: RunView, written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    assert all(f"<code>{finding.id}</code>" in page for finding in outage.judgement.findings)
    assert page.count("expected") >= len(outage.judgement.expectations)
    assert "openai: error 503" in page
    assert "harness run primary-outage --mode sim --seed 7" in page


def test_an_invariant_that_never_came_up_is_grey_and_says_why(outage: RunView, written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    idle = next(f for f in outage.judgement.findings if f.why == "vacuous")
    row = page[page.rindex("<tr", 0, page.index(f"<code>{idle.id}</code>")) :].partition("</tr>")[0]
    assert "grey" in row.partition(">")[0]
    assert "not exercised" in row
    assert idle.note is not None
    assert idle.note in row


def test_what_files_say_is_never_markup(outage: RunView, tmp_path: Path) -> None:
    proof = RequestSent(t=1.0, request=EVIL, instance=1, intended=1.0)
    evil = broken_by(outage, Violation("one-outcome", 1.0, EVIL, EVIL, f"it said {EVIL}", (proof,)))
    scenario = evil.scenario.model_copy(update={"description": EVIL, "without": {"converges": EVIL}})
    view = replace(evil, scenario=scenario, environment={EVIL: EVIL})
    page = page_of(view, tmp_path)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 6


def test_violations_are_shown_by_worker_place_with_their_proof(outage: RunView, tmp_path: Path) -> None:
    proof = next(e for e in outage.history.entries if getattr(e, "worker", None))
    worker: str = proof.worker  # type: ignore[union-attr]  # chosen for having one
    page = page_of(broken_by(outage, Violation("one-outcome", 1.0, worker, None, f"{worker} did", (proof,))), tmp_path)
    shown = page[page.index("<h2>Violations") :].partition("</section>")[0]
    assert worker not in shown
    assert "1.1 did" in shown
    assert f'<b>1.1</b> <span class="kind">{proof.__struct_config__.tag}</span>' in shown


def test_a_frequent_violation_is_folded_and_counted(outage: RunView, tmp_path: Path) -> None:
    many = [Violation("one-outcome", float(i), None, None, f"breach number {i}") for i in range(50)]
    page = page_of(broken_by(outage, *many), tmp_path)
    assert "broken 50 times" in page
    assert "breach number 2" in page
    assert "breach number 49" not in page
    assert "12 more, and 35 not shown" in page


def test_an_interrupted_run_has_a_page_too(tmp_path: Path) -> None:
    page = page_of(a_view(a_scenario(), History([])), tmp_path)
    assert 'class="verdict is-unknown"' in page
    assert "no request was sent" in page


def test_a_failed_expectation_is_told_on_its_tile(tmp_path: Path) -> None:
    down = a_scenario(1, 2, "10/s", faults=[])
    page = page_of(a_view(down, all_failed(down)), tmp_path)
    tile = page[page.index('class="tile expected is-fail"') :].partition("</li>")[0]
    assert "✗ fail" in tile
    assert "Failed requests" in tile


def test_importing_reports_does_not_draw() -> None:
    code = "import sys, reports; sys.exit('matplotlib' in sys.modules or 'jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_world_is_imported_by_a_report() -> None:
    code = "import sys, reports.write, reports.compare; print([m for m in sys.modules if re.match(r'harness.(sim|real)', m)])"
    found = subprocess.run([sys.executable, "-c", f"import re; {code}"], check=True, capture_output=True, text=True)
    assert re.fullmatch(r"\[\]\s*", found.stdout)
