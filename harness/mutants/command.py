"""`harness mutants`: plants each defect of the catalogue in turn, and says which checkers find it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path

import click

from harness.campaign import plan as plan_of
from harness.campaign.command import find
from harness.campaign.plan import Plan
from harness.campaign.pool import cores, processes
from harness.checkers import CHECKERS
from harness.coverage import PATH_IDS
from harness.exit_codes import FAIL, PASS
from harness.mutants.catalogue import MUTANTS
from harness.mutants.hunt import UNHARMED, Hunt, hunt, page, shrunk
from harness.mutants.hunt import keep as keep_first
from harness.mutants.ledger import Ledger, terms_of
from harness.yaml_file import did_you_mean

BATCH = 25
HASH_SEED = 1


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be done for each mutant."""

    seeds: int
    enough: int
    jobs: int
    shrink: bool
    keep: Path | None


@click.command("mutants")
@click.argument("mutants", nargs=-1, metavar="[MUTANT]...")
@click.option("--campaign", "plan", help="The campaign that is to find them. [default: what each one's entry names]")
@click.option("--seeds", type=click.IntRange(1), default=1000, show_default=True, help="How many for each.")
@click.option("--enough", type=click.IntRange(0), default=0, help="Go on to the next after so many finds. [0: never]")
@click.option("--jobs", type=click.IntRange(1), default=cores, show_default="all cores", help="Processes.")
@click.option("--list", "list_only", is_flag=True, help="Only list the catalogue.")
@click.option("--shrink", is_flag=True, help="Shrink the first seed of each as well.")
@click.option("--keep", type=click.Path(path_type=Path), help="Write each one's first seed there, as a run directory.")
@click.option("--table", "out", type=click.Path(path_type=Path), help="Write the finds there, as a page in Markdown.")
@click.option("--resume", "kept", type=click.Path(path_type=Path), help="Keep there what is done, and go on from it.")
def mutants_command(
    *,
    mutants: tuple[str, ...],
    plan: str | None,
    seeds: int,
    enough: int,
    jobs: int,
    list_only: bool,
    shrink: bool,
    keep: Path | None,
    out: Path | None,
    kept: Path | None,
) -> int:
    """Plant defects in the failover code and see whether a campaign finds them. Fails if one of them is not found."""
    if unknown := [m for m in mutants if m not in MUTANTS and m != UNHARMED]:
        hint = did_you_mean(unknown[0], list(MUTANTS)) or "; --list names all"
        raise click.BadParameter(f"there is no mutant {unknown[0]!r}{hint}", param_hint="MUTANT")
    if list_only:
        _list()
        return PASS
    try:
        ledger = Ledger(kept)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--resume") from None
    pairs = _pairs(mutants or (UNHARMED, *MUTANTS), plan)
    hunts = list(_hunts(pairs, _Order(seeds, enough, jobs, shrink, keep), ledger))
    if out is not None:
        out.write_text("\n".join([*page(hunts), ""]), encoding="utf-8")
    return _told(hunts)


def _list() -> None:
    for mutant in MUTANTS.values():
        click.echo(f"{mutant.id:28} {mutant.part:8} {mutant.defect}\n{'':37} seen: {mutant.seen}")
        click.echo(f"{'':37} hunted by: {mutant.plan}")


def _told(hunts: Sequence[Hunt]) -> int:
    """What it came to, and how the command ends."""
    planted = [h for h in hunts if h.mutant != UNHARMED]
    holes = [h for h in planted if not h.found]
    false = [h for h in hunts if h.mutant == UNHARMED and h.found]
    click.echo(f"{len(planted) - len(holes)} of {len(planted)} mutants found")
    for h in holes:
        click.echo(f"  ✗ a hole: nobody found {h.mutant} in {h.seeds} seeds")
    for h in false:
        click.echo(f"  ✗ {h.plan}: the code as it is was objected to in {h.found} of {h.seeds} seeds, first {h.first}")
    anyway = [h for h in planted if h.anyway]
    for h in anyway:
        click.echo(f"  ✗ {h.plan}: {h.anyway} of {h.seeds} seeds fail without {h.mutant} too, and are no finds")
    return FAIL if holes or false or anyway else PASS


def _pairs(mutants: Sequence[str], plan: str | None) -> list[tuple[str, Plan]]:
    """Each mutant with the plan that is to find it; the code as it is with every one of these plans."""
    names = {m: plan or MUTANTS[m].plan for m in mutants if m != UNHARMED}
    used = dict.fromkeys(names.values()) or dict.fromkeys(plan or mutant.plan for mutant in MUTANTS.values())
    plans = {name: plan_of.load(find(name), PATH_IDS, [c.id for c in CHECKERS]) for name in used}
    unharmed = [(UNHARMED, p) for p in plans.values()] if UNHARMED in mutants else []
    return [*unharmed, *((mutant, plans[name]) for mutant, name in names.items())]


def _hunts(pairs: Sequence[tuple[str, Plan]], order: _Order, ledger: Ledger) -> Iterator[Hunt]:
    """One after the other, each on all processes: a mutant that has been found enough is left."""
    began, ran = time.monotonic(), 0
    pool = processes(order.jobs, HASH_SEED)
    try:
        for number, (mutant, plan) in enumerate(pairs, 1):
            left = f", about {(time.monotonic() - began) / ran * (len(pairs) - number + 1) / 60:.0f} min" if ran else ""
            _tell(f"[{number}/{len(pairs)}{left}] {mutant}")
            terms = terms_of(
                plan, seeds=order.seeds, enough=order.enough, shrunk=order.shrink, kept=str(order.keep or "")
            )
            whole = ledger.done(mutant, plan, terms)
            if whole is None:
                whole = _hunted(pool, mutant, plan, order)
                ran += 1
                ledger.note(whole, terms)
            _tell("")
            click.echo(_line(whole))
            yield whole
    finally:
        pool.shutdown(cancel_futures=True)


def _hunted(pool: Executor, mutant: str, plan: Plan, order: _Order) -> Hunt:
    whole = Hunt(mutant, plan.name)
    parts = [range(s, min(s + BATCH, order.seeds + 1)) for s in range(1, order.seeds + 1, BATCH)]
    rounds = [parts[i : i + order.jobs] for i in range(0, len(parts), order.jobs)] if order.enough else [parts]
    for some in rounds:
        for future in as_completed([pool.submit(hunt, plan, mutant, part, order.enough) for part in some]):
            whole.add(future.result())
        if order.enough and whole.found >= order.enough:
            break
    if mutant == UNHARMED or whole.first is None:
        return whole
    if order.keep is not None:
        pool.submit(keep_first, plan, mutant, whole.first, order.keep).result()
    if order.shrink:
        whole.shrunk = pool.submit(shrunk, plan, mutant, whole.first, order.keep).result()
    return whole


def _line(h: Hunt) -> str:
    by = ", ".join(f"{checker} {count}" for checker, count in h.finders)
    mark = "✓" if bool(h.found) is (h.mutant != UNHARMED) else "✗"
    small = f"  shrunk in {h.shrunk}" if h.shrunk is not None else ""
    return f"{mark} {h.mutant:28} {h.found:5} of {h.seeds:5} seeds of {h.plan:16} {by}{small}"


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()
