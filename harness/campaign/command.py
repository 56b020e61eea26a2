"""`harness campaign`: what a person says, and what a person is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import click

from harness import library
from harness.campaign import corpus as corpus_of
from harness.campaign import plan as plan_of
from harness.campaign import state as state_of
from harness.campaign import summary
from harness.campaign.cluster import ClusterExecutor
from harness.campaign.conduct import Budget, Campaign, conduct
from harness.campaign.plan import Plan
from harness.campaign.pool import cores
from harness.campaign.state import Shard, State
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS, PATHS
from harness.exit_codes import BROKEN, FAIL, INTERRUPTED, NONDETERMINISM, OF_VERDICT, PASS
from harness.rundir import RunDirError, code_fingerprint, fresh, stamp
from harness.units import parse_duration

LIBRARY = Path(__file__).resolve().parents[2] / "campaigns"
FOUND = LIBRARY.parent / "scenarios" / "found"


class DurationType(click.ParamType[float]):
    """`90s`, `3m`, `2h`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        seconds = value if isinstance(value, float) else float(_read(parse_duration, value, self, param, ctx))
        if seconds == 0:
            self.fail(f"expected more than {value}", param, ctx)
        return seconds


class ShardType(click.ParamType[Shard]):
    """`2/5`."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        """The shard."""
        return value if isinstance(value, Shard) else _read(Shard.parse, value, self, param, ctx)


def _read(
    parse: Callable[[str], Any],
    value: str,
    kind: click.ParamType[Any],
    param: click.Parameter | None,
    ctx: click.Context | None,
) -> Any:
    try:
        return parse(value)
    except ValueError as error:
        kind.fail(str(error), param, ctx)


@click.command("campaign")
@click.argument("plan", metavar="CAMPAIGN")
@click.option("--seeds", type=click.IntRange(1), help="How many; as the file says unless told otherwise.")
@click.option("--time", "time_s", type=DurationType(), help="Stop after this long (without --seeds: not before).")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The first seed.")
@click.option("--jobs", type=click.IntRange(1), default=cores, show_default="all cores", help="Processes.")
@click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler, such as tcp://host:8786, instead of processes.")
@click.option("--shard", type=ShardType(), default=Shard(), show_default=True, help="Only this part: 2/5.")
@click.option("--resume", is_flag=True, help="Go on with the newest campaign of this name and shard.")
@click.option(
    "--corpus",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Capsules and scenarios to replay first. [default: corpus/ beside CAMPAIGN; of ours, also scenarios/found]",
)
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/campaigns"), show_default=True)
def campaign_command(
    *,
    plan: str,
    seeds: int | None,
    time_s: float | None,
    seed: int,
    jobs: int,
    shard: Shard,
    resume: bool,
    corpus: Path | None,
    out: Path,
    cluster: str | None,
) -> int:
    """Search through many seeds, each with a scenario of its own, for one that breaks an invariant."""
    file = find(plan)
    loaded = plan_of.load(file, PATH_IDS, [c.id for c in CHECKERS])
    kept = corpus_of.read([corpus] if corpus is not None else _folders(file))
    campaign = _resumed(loaded, out, shard) if resume else _begun(loaded, out, shard, seed)
    executor = ClusterExecutor(cluster) if cluster is not None else None
    bar = Progress(loaded.name, seeds if seeds or time_s else loaded.seeds, shard)
    budget = Budget(seeds if seeds or time_s else loaded.seeds, time_s)
    try:
        conduct(
            campaign,
            corpus=kept,
            budget=budget,
            jobs=executor.slots if executor is not None else jobs,
            tell=bar,
            make=(lambda: executor) if executor is not None else None,
        )
    finally:
        bar.close()
    page = summary.write(campaign)
    click.echo("\n".join(told(campaign)))
    click.echo(f"  {page}")
    return code(campaign)


def _folders(file: Path) -> list[Path]:
    """Where a campaign's corpus is, unless told; what was found with those that come with the harness belongs to it."""
    ours = file.resolve().parent == LIBRARY
    return [file.parent / "corpus", *([FOUND] if ours else [])]


def find(name: str) -> Path:
    """A campaign's file by its path, or by the name of one that came with the harness."""
    return library.find(name, LIBRARY, "campaign")


def code(campaign: Campaign) -> int:
    """How the command ends."""
    if campaign.interrupted:
        return INTERRUPTED
    if campaign.state.totals.breakages:
        return BROKEN
    if campaign.state.different:
        return NONDETERMINISM
    return OF_VERDICT[summary.verdict(campaign)]


def told(campaign: Campaign) -> list[str]:
    """What it came to, in a few lines."""
    state, totals = campaign.state, campaign.state.totals
    lines = [
        f"{_mark(campaign)} campaign {campaign.plan.name}: {totals.seeds:,} seeds, "
        f"{totals.simulated_ms / 3_600_000:.1f} simulated hours, {sum(totals.effective.values()):,} faults that had an "
        f"effect, in {state.wall_s:.0f} s ({totals.seeds / max(state.wall_s, 0.001):.0f} seeds/s)",
        f"  {totals.passed:,} passed, {totals.failures:,} failed, {totals.unknown:,} unknown; "
        f"{sum(bool(totals.paths.get(p.id)) for p in PATHS)} of {len(PATHS)} rare paths reached; " + _twice(campaign),
    ]
    for cause, group in sorted(totals.failed.items(), key=lambda item: -item[1].seeds):
        known = "known" if cause in campaign.known else "NEW"
        lines.append(f"  ✗ {known}: {cause} ({group.seeds:,} seeds, first {group.first[0].seed})")
    for cause, group in totals.broken.items():
        lines.append(f"  ✗ the harness broke: {cause} ({group.seeds:,} seeds, first {group.first[0].seed})")
    lines += [f"  ✗ corpus: {r.name}: {r.reason}" for r in campaign.replayed if r.verdict == "fail"]
    lines += _unreached(campaign)
    for different in state.different:
        lines.append(f"  ✗ seed {different.seed} is not deterministic, first at line {different.line} of its history:")
        lines += [f"      {different.first}", f"      {different.second}"]
    return lines


def _twice(campaign: Campaign) -> str:
    if campaign.state.compared == 0:
        return "none run twice: whether seeds are deterministic was not looked at"
    return f"{campaign.state.compared:,} run twice, {len(campaign.state.different)} of them different"


def _unreached(campaign: Campaign) -> list[str]:
    missed = summary.unreached(campaign)
    if missed and not summary.whole(campaign):
        return [f"  ? {summary.not_yet(campaign)}"]
    return [f"  ✗ never reached: {path}" for path in missed]


def _mark(campaign: Campaign) -> str:
    return {PASS: "✓", FAIL: "✗"}.get(code(campaign), "?")


def _begun(plan: Plan, out: Path, shard: Shard, seed: int) -> Campaign:
    part = "" if shard.of == 1 else f"-shard-{shard.index}-of-{shard.of}"
    folder = fresh(out / plan.name, stamp() + part)
    state = State(plan=plan.fingerprint, code=code_fingerprint(), first_seed=seed, shard=shard)
    try:
        state.write(folder)
    except OSError as error:
        raise RunDirError(f"{folder}: cannot be written: {error.strerror}") from error
    return Campaign(plan, state, folder)


def _resumed(plan: Plan, out: Path, shard: Shard) -> Campaign:
    begun = [file.parent for file in (out / plan.name).glob(f"*Z*/{state_of.FILE}")]
    for folder in sorted(begun, key=_age, reverse=True):
        state = state_of.read(folder)
        if state.shard != shard:
            continue
        if state.plan != plan.fingerprint or state.code != code_fingerprint():
            raise RunDirError(
                f"{folder}: the campaign file or the code has changed since: begin anew, without --resume"
            )
        return Campaign(plan, state, folder)
    raise RunDirError(f"{out / plan.name}: there is no campaign to resume (shard {shard})")


def _age(folder: Path) -> tuple[str, int, str]:
    """Sorts the folders of one shard by time, and of one second by their counters: `…Z-10` after `…Z-2`."""
    second, _, _ = folder.name.partition("Z")
    return second, len(folder.name), folder.name


class Progress:
    """Progress of a campaign: a line that renews itself on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, name: str, seeds: int | None, shard: Shard, stream: TextIO = sys.stderr) -> None:
        self._name = name
        self._seeds = seeds // shard.of if seeds is not None else None
        self._stream, self._live = stream, stream.isatty()
        self._every = 0.5 if self._live else 10.0
        self._told = self._began = time.monotonic()
        self._before: int | None = None

    def __call__(self, campaign: Campaign) -> None:
        """Say how far it is, at most every so often."""
        now, totals = time.monotonic(), campaign.state.totals
        if self._before is None:
            self._before = totals.seeds
        if now - self._told < self._every:
            return
        self._told = now
        text = self._text(campaign, (totals.seeds - self._before) / (now - self._began))
        self._stream.write(f"\r\x1b[2K{text}" if self._live else f"{text}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave the terminal's line empty."""
        if self._live:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()

    def _text(self, campaign: Campaign, rate: float) -> str:
        totals = campaign.state.totals
        of = f" of {self._seeds:,}" if self._seeds is not None else ""
        text = f"{self._name}: {totals.seeds:,}{of} seeds, {rate:.0f}/s"
        if self._seeds is not None and rate:
            text += f", about {max(0, self._seeds - totals.seeds) / rate:.0f} s to go"
        new = sum(g.seeds for cause, g in totals.failed.items() if cause not in campaign.known)
        return f"{text}, {totals.failures:,} failures ({new:,} of new causes)"
