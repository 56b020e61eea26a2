"""The rows of the page's tables: what was found, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from harness.checkers import CHECKERS
from harness.checkers.finding import Finding, Violation
from harness.metrics import SyncSample
from reports.palette import STATE_WORDS, VERDICT_SYMBOLS, Verdict
from reports.series.bands import describe
from reports.series.fleet import Fleet
from reports.series.news import VIA_WORDS, worst
from reports.telling import Told, moment, tell
from reports.view import RunView
from reports.wording import duration

WORST_NEWS = 8
IN_FULL = 3
FOLDED = 12
MOST_PROOF = 12


@dataclass(frozen=True, slots=True)
class InvariantRow:
    """One invariant. `grey`: it had no occasion that the run owed it, or was switched off."""

    id: str
    sentence: str
    verdict: Verdict | Literal["off"]
    symbol: str
    word: str
    checked: int
    violations: int
    note: str
    grey: bool


@dataclass(frozen=True, slots=True)
class ViolationText:
    """One violation and what proves it; `more` entries of the proof were left out."""

    at: str
    text: str
    proof: tuple[Told, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Breach:
    """One broken invariant, apart, so that a frequent one hides no other: its first violations in full, some folded."""

    rule: str
    sentence: str
    times: str
    first: tuple[ViolationText, ...]
    folded: tuple[ViolationText, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault of the scenario and what it changed."""

    what: str
    at: str
    lasted: str
    verdict: Verdict
    symbol: str
    word: str
    evidence: str


@dataclass(frozen=True, slots=True)
class NewsRow:
    """One late hearing: which transition, from which worker to which, how late, and how."""

    what: str
    at: str
    origin: str
    worker: str
    late: str
    via: str


def invariant_rows(view: RunView) -> tuple[InvariantRow, ...]:
    """What failed first, then what could not be decided, what held, and what never came up."""
    rows = [_invariant(finding) for finding in view.judgement.findings]
    off = [_off(id, why) for id, why in view.scenario.without.items() if id not in {row.id for row in rows}]
    return tuple(sorted([*rows, *off], key=_gravity))


def breaches(view: RunView, fleet: Fleet) -> tuple[Breach, ...]:
    """Every broken invariant, the one that was broken first at the top."""
    broken = sorted((f for f in view.judgement.findings if f.violations), key=lambda f: f.violations[0].t)
    return tuple(_breach(finding, fleet) for finding in broken)


def fault_rows(view: RunView, fleet: Fleet) -> tuple[FaultRow, ...]:
    """The faults in the scenario's order."""
    pairs = zip(view.scenario.faults, view.judgement.faults, strict=True)
    return tuple(
        FaultRow(
            what=describe(fault),
            at=duration(found.at_s),
            lasted="at once" if fault.instant else "to the end" if found.for_s is None else duration(found.for_s),
            verdict=found.verdict,
            symbol=VERDICT_SYMBOLS[found.verdict],
            word="took effect" if found.verdict == "pass" else "no effect seen",
            evidence=fleet.named(found.evidence or "nothing in the history shows that this fault changed anything"),
        )
        for fault, found in pairs
    )


def news_rows(news: Sequence[SyncSample], fleet: Fleet) -> tuple[NewsRow, ...]:
    """The latest hearings, the worst first."""
    return tuple(
        NewsRow(
            what=f"{sample.provider} {STATE_WORDS[sample.state]} (epoch {sample.epoch})",
            at=moment(sample.t),
            origin=fleet.label(sample.frm),
            worker=fleet.label(sample.to),
            late="never" if sample.latency_s is None else duration(sample.latency_s),
            via=VIA_WORDS[sample.via],
        )
        for sample in worst(news, WORST_NEWS)
    )


_SENTENCES = {checker.id: checker.holds for checker in CHECKERS}
_WORDS = {"pass": "held", "fail": "broken", "vacuous": "not exercised", "undecided": "undecided", "crashed": "crashed"}


def _invariant(finding: Finding) -> InvariantRow:
    idle = finding.why == "vacuous" and not finding.owed
    return InvariantRow(
        id=finding.id,
        sentence=_SENTENCES.get(finding.id, ""),
        verdict=finding.verdict,
        symbol="–" if idle else VERDICT_SYMBOLS[finding.verdict],
        word=_WORDS[finding.why if finding.verdict == "unknown" else finding.verdict],
        checked=finding.checked,
        violations=finding.found,
        note=finding.note or "",
        grey=idle,
    )


def _off(id: str, why: str) -> InvariantRow:
    return InvariantRow(id, _SENTENCES.get(id, ""), "off", "–", "switched off", 0, 0, why, grey=True)


def _gravity(row: InvariantRow) -> int:
    if row.grey:
        return 3
    return {"fail": 0, "unknown": 1}.get(row.verdict, 2)


def _breach(finding: Finding, fleet: Fleet) -> Breach:
    shown = [_violation(v, fleet) for v in finding.violations[: IN_FULL + FOLDED]]
    return Breach(
        rule=finding.id,
        sentence=_SENTENCES.get(finding.id, ""),
        times="once" if finding.found == 1 else f"{finding.found:,} times",
        first=tuple(shown[:IN_FULL]),
        folded=tuple(shown[IN_FULL:]),
        left_out=finding.found - len(shown),
    )


def _violation(violation: Violation, fleet: Fleet) -> ViolationText:
    proof = tuple(tell(entry, fleet) for entry in violation.proof[:MOST_PROOF])
    left_out = max(0, len(violation.proof) - MOST_PROOF)
    return ViolationText(moment(violation.t), fleet.named(violation.text), proof, left_out)
