"""What a campaign leaves behind: `campaign.json` (a stable interface: `campaign.schema.json`), `campaign.md` for
people, and a run directory with its capsule for the first failing seeds of each cause."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from harness.campaign.conduct import Campaign
from harness.campaign.draw import draw
from harness.campaign.one import simulate
from harness.campaign.totals import Failure, Group
from harness.coverage import PATHS
from harness.rundir import Record, RunDir, environment

Verdict = Literal["pass", "fail", "unknown"]

ENOUGH = 20
"""A kind of fault that was injected so often, and never had an effect, is not drawn as it should be."""


def unreached(campaign: Campaign) -> list[str]:
    """The paths that had to be reached and were not."""
    return [path for path in campaign.plan.must_reach if not campaign.state.totals.paths.get(path)]


def idle(campaign: Campaign) -> list[str]:
    """The kinds of fault that were injected often and never had an effect."""
    totals = campaign.state.totals
    return sorted(kind for kind, n in totals.injected.items() if n >= ENOUGH and not totals.effective.get(kind))


def whole(campaign: Campaign) -> bool:
    """Whether as many seeds were run as the plan asks for: only then what was not reached never was."""
    return campaign.state.totals.seeds >= campaign.plan.seeds


def verdict(campaign: Campaign) -> Verdict:
    """pass: nothing speaks against it, and all was reached that had to be."""
    return judged(campaign)[0]


def judged(campaign: Campaign) -> tuple[Verdict, str]:
    """The verdict and why."""
    return next(_objections(campaign), ("pass", "nothing failed, and all was reached that had to be"))


def _objections(campaign: Campaign) -> Iterator[tuple[Verdict, str]]:
    """What speaks against a pass, the gravest first. A part of a campaign (of a budget, a shard, one that was stopped)
    proves no absence: what it did not reach leaves it unknown."""
    totals, missed = campaign.state.totals, unreached(campaign)
    if totals.failures:
        yield "fail", f"{_some(totals.failures, 'seed')} failed, of {_some(len(totals.failed), 'cause')}"
    if failing := [r.name for r in campaign.replayed if r.verdict == "fail"]:
        yield "fail", f"of the corpus {', '.join(failing)} failed"
    if missed and whole(campaign):
        yield "fail", f"never reached: {', '.join(missed)}"
    if totals.breakages:
        yield "unknown", f"the harness itself broke in {_some(totals.breakages, 'seed')}"
    if campaign.state.different:
        yield "unknown", f"{_some(len(campaign.state.different), 'seed')} came out differently the second time"
    if not totals.passed:
        yield "unknown", "no seed passed"
    if (kinds := idle(campaign)) and whole(campaign):
        yield "unknown", f"injected {ENOUGH} times or more, and never with an effect: {', '.join(kinds)}"
    if missed:
        yield "unknown", not_yet(campaign)


def not_yet(campaign: Campaign) -> str:
    """What a part of a campaign did not reach, in words."""
    ran, asked = campaign.state.totals.seeds, campaign.plan.seeds
    return f"not yet reached, in {ran:,} of the {asked:,} seeds that are asked for: {', '.join(unreached(campaign))}"


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def write(campaign: Campaign) -> Path:
    """Write everything; the page for people."""
    keep_failures(campaign)
    summary = summarise(campaign)
    (campaign.folder / "campaign.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    page = campaign.folder / "campaign.md"
    page.write_text("\n".join(_page(summary)) + "\n", encoding="utf-8")
    return page


def keep_failures(campaign: Campaign) -> None:
    """A run directory for each failing seed that is kept, if it has none."""
    totals = campaign.state.totals
    for cause, group in {**totals.failed, **totals.broken}.items():
        for failure in group.first:
            folder = campaign.folder / _place(cause, failure)
            if not folder.exists() and failure.sha256:
                folder.mkdir(parents=True)
                ran = simulate(draw(campaign.plan, failure.seed), failure.seed, figures=True)
                record = Record(ran.scenario, "sim", failure.seed, ran.history, ran.judged, ran.wall_s)
                RunDir(folder).write(record, latest=False)


def summarise(campaign: Campaign) -> dict[str, Any]:
    """The content of `campaign.json`."""
    state, totals = campaign.state, campaign.state.totals
    found, why = judged(campaign)
    return {
        "campaign": campaign.plan.name,
        "verdict": found,
        "reason": why,
        "interrupted": campaign.interrupted,
        "finished": state.finished,
        "first_seed": state.first_seed,
        "shard": str(state.shard),
        "seeds": {
            "asked": campaign.plan.seeds,
            "done": totals.seeds,
            "passed": totals.passed,
            "failed": totals.failures,
            "unknown": totals.unknown,
            "broken": totals.breakages,
        },
        "wall_s": round(state.wall_s, 3),
        "seeds_per_s": round(totals.seeds / state.wall_s, 1) if state.wall_s else None,
        "simulated_s": totals.simulated_ms / 1000,
        "requests": totals.requests,
        "events": totals.events,
        "faults": [
            {"kind": kind, "injected": n, "effective": totals.effective.get(kind, 0)}
            for kind, n in sorted(totals.injected.items())
        ],
        "invariants": [
            {"id": rule, "seeds": totals.exercised[rule], "occasions": n}
            for rule, n in sorted(totals.occasions.items())
        ],
        "paths": [
            {"id": path.id, "seeds": totals.paths.get(path.id, 0), "must": path.id in campaign.plan.must_reach}
            for path in PATHS
        ],
        "unknowns": [{"reason": reason, "seeds": n} for reason, n in _most_first(totals.unknowns)],
        "failures": [_group(campaign, cause, group) for cause, group in _largest_first(totals.failed)],
        "breakages": [_group(campaign, cause, group) for cause, group in _largest_first(totals.broken)],
        "corpus": [
            {"capsule": r.name, "verdict": r.verdict, "cause": r.cause, "reason": r.reason} for r in campaign.replayed
        ],
        "twice": {
            "compared": state.compared,
            "different": [
                {"seed": d.seed, "line": d.line, "first": d.first, "second": d.second} for d in state.different
            ],
        },
        "environment": environment(),
    }


def _group(campaign: Campaign, cause: str, group: Group) -> dict[str, Any]:
    return {
        "cause": cause,
        "known": cause in campaign.known,
        "seeds": group.seeds,
        "common_faults": list(group.common),
        "first": [
            {"seed": f.seed, "reason": f.reason, "run": _place(cause, f) if f.sha256 else None} for f in group.first
        ],
    }


def _place(cause: str, failure: Failure) -> str:
    """A failing seed's folder: readable, and its own."""
    words = re.sub(r"[^a-z0-9]+", "-", cause.lower()).strip("-")[:48].rstrip("-")
    digest = hashlib.sha256(cause.encode()).hexdigest()[:6]
    return f"failures/{words}-{digest}/{failure.seed}"


def _most_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _largest_first(groups: Mapping[str, Group]) -> list[tuple[str, Group]]:
    return sorted(groups.items(), key=lambda item: (-item[1].seeds, item[0]))


def _page(summary: Mapping[str, Any]) -> Iterator[str]:
    seeds = summary["seeds"]
    yield f"# Campaign {summary['campaign']}: {summary['verdict'].upper()}"
    yield f"\n{summary['reason'][0].upper()}{summary['reason'][1:]}.\n"
    if summary["interrupted"] or not summary["finished"]:
        yield "Not finished: `harness campaign … --resume` goes on.\n"
    yield (
        f"{seeds['done']:,} seeds from {summary['first_seed']} (shard {summary['shard']}): {seeds['passed']:,} passed, "
        f"{seeds['failed']:,} failed, {seeds['unknown']:,} unknown, {seeds['broken']:,} broken; "
        f"{summary['simulated_s'] / 3600:.1f} simulated hours, {summary['requests']:,} requests, "
        f"{summary['events']:,} events in {summary['wall_s']:.0f} s ({summary['seeds_per_s']} seeds/s)."
    )
    yield from _failures("Failures", summary["failures"])
    yield from _failures("The harness itself broke", summary["breakages"])
    yield from _table("Corpus", ("capsule", "verdict", "cause"), summary["corpus"])
    twice = summary["twice"]
    yield f"\n## Determinism\n\n{twice['compared']:,} seeds were run twice, {len(twice['different'])} were different."
    for d in twice["different"]:
        yield f"\nSeed {d['seed']}, line {d['line']}:\n\n    {d['first']}\n    {d['second']}"
    yield from _table("Rare paths", ("id", "seeds", "must"), summary["paths"])
    yield from _table("Invariants", ("id", "seeds", "occasions"), summary["invariants"])
    yield from _table("Faults", ("kind", "injected", "effective"), summary["faults"])
    yield from _table("Seeds that say nothing for certain", ("reason", "seeds"), summary["unknowns"])


def _failures(title: str, groups: list[dict[str, Any]]) -> Iterator[str]:
    if groups:
        yield f"\n## {title}"
    for group in groups:
        known = "known" if group["known"] else "new"
        yield f"\n### {group['cause']}\n\n{group['seeds']:,} seeds, {known}."
        if group["common_faults"]:
            yield f"All had {', '.join(group['common_faults'])}."
        for first in group["first"]:
            where = f" (`harness replay {first['run']}`)" if first["run"] else ""
            yield f"* seed {first['seed']}: {first['reason']}{where}"


def _table(title: str, keys: tuple[str, ...], rows: list[dict[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield f"\n## {title}\n\n| {' | '.join(keys)} |\n|{'---|' * len(keys)}"
    for row in rows:
        yield f"| {' | '.join(_cell(row[key]) for key in keys)} |"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return f"{value:,}" if isinstance(value, int) else str(value if value is not None else "")
