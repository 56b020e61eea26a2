"""The verdicts as JUnit XML, which every CI server reads: a test case per invariant, expectation and fault.

What could not be decided is `skipped`, with the reason. The run as a whole is one more case, and unknown there is an
`error`: a run of which nothing is known must not look green.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree

from harness.verdict import Judgement
from reports.palette import Verdict
from reports.series.bands import describe
from reports.tables import invariant_rows
from reports.view import RunView

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One test case; `message` says why it failed or was skipped, `detail` shows it."""

    group: str
    name: str
    verdict: Verdict
    message: str = ""
    detail: str = ""

    @property
    def kind(self) -> Literal["failure", "error", "skipped"] | None:
        """The element that says how it ended; None for a case that passed."""
        if self.verdict == "unknown":
            return "error" if self.group == "run" else "skipped"
        return "failure" if self.verdict == "fail" else None


def junit(view: RunView) -> bytes:
    """The whole document."""
    cases = tuple(cases_of(view))
    suite = ElementTree.Element(
        "testsuite",
        name=_clean(view.title),
        tests=str(len(cases)),
        failures=str(sum(case.kind == "failure" for case in cases)),
        errors=str(sum(case.kind == "error" for case in cases)),
        skipped=str(sum(case.kind == "skipped" for case in cases)),
        time=f"{view.scenario.duration:g}",
    )
    for case in cases:
        _append(suite, case, f"{view.scenario.name}.{view.mode}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def cases_of(view: RunView) -> Iterator[Case]:
    """The run, then its invariants, expectations and faults."""
    judged = view.judgement
    yield Case("run", "verdict", judged.verdict, judged.reason)
    yield from _invariants(view)
    for wanted in judged.expectations:
        actual = "not measured" if wanted.actual is None else f"measured {wanted.actual:g}"
        yield Case("expectation", wanted.text, wanted.verdict, f"{wanted.text}: {actual}")
    yield from _faults(view, judged)


def _invariants(view: RunView) -> Iterator[Case]:
    violations = {finding.id: finding.violations for finding in view.judgement.findings}
    for row in invariant_rows(view):
        found = violations.get(row.id, ())
        yield Case(
            group="invariant",
            name=row.id,
            verdict="unknown" if row.verdict == "off" else row.verdict,
            message=found[0].text if found else f"{row.word}: {row.note}",
            detail="\n".join(f"{violation.t:.4f} s  {violation.text}" for violation in found),
        )


def _faults(view: RunView, judged: Judgement) -> Iterator[Case]:
    for index, (fault, found) in enumerate(zip(view.scenario.faults, judged.faults, strict=True)):
        message = found.evidence or "nothing in the history shows that this fault changed anything"
        yield Case("fault", f"{index + 1} {describe(fault)}", found.verdict, message)


def _append(suite: ElementTree.Element, case: Case, prefix: str) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=_clean(f"{prefix}.{case.group}"), name=_clean(case.name), time="0"
    )
    if case.kind is not None:
        ElementTree.SubElement(element, case.kind, message=_clean(case.message)).text = _clean(case.detail) or None


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold at all."""
    return _NOT_XML.sub("\ufffd", text)
