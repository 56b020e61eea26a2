"""`harness mutants`: plants each defect of the catalogue in turn, and says which checkers find it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import as_completed
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
from harness.mutants.hunt import UNHARMED, Hunt, hunt, table

BATCH = 25
HASH_SEED = 1


@click.command("mutants")
@click.argument("mutants", nargs=-1, metavar="[MUTANT]...")
@click.option("--campaign", "plan", default="mutants", show_default=True, help="The campaign that is to find them.")
@click.option("--seeds", type=click.IntRange(1), default=1000, show_default=True, help="How many for each.")
@click.option("--enough", type=click.IntRange(0), default=0, help="Go on to the next after so many finds. [0: never]")
@click.option("--jobs", type=click.IntRange(1), default=cores, show_default="all cores", help="Processes.")
@click.option("--list", "list_only", is_flag=True, help="Only list the catalogue.")
@click.option("--table", "out", type=click.Path(path_type=Path), help="Write the finds there, as Markdown.")
def mutants_command(
    *, mutants: tuple[str, ...], plan: str, seeds: int, enough: int, jobs: int, list_only: bool, out: Path | None
) -> int:
    """Plant defects in the failover code and see whether a campaign finds them. Fails if one of them is not found."""
    if unknown := [m for m in mutants if m not in MUTANTS and m != UNHARMED]:
        raise click.BadParameter(f"there is no mutant {unknown[0]!r}; --list names all", param_hint="MUTANT")
    if list_only:
        for mutant in MUTANTS.values():
            click.echo(f"{mutant.id:28} {mutant.part:8} {mutant.defect}\n{'':37} seen: {mutant.seen}")
        return PASS
    loaded = plan_of.load(find(plan), PATH_IDS, [c.id for c in CHECKERS])
    hunts = list(_hunts(loaded, mutants or (UNHARMED, *MUTANTS), seeds, enough, jobs))
    if out is not None:
        out.write_text("\n".join([*table(hunts), ""]), encoding="utf-8")
    holes = [h.mutant for h in hunts if h.mutant != UNHARMED and not h.found]
    false = [h for h in hunts if h.mutant == UNHARMED and h.found]
    planted = [h for h in hunts if h.mutant != UNHARMED]
    click.echo(f"{sum(bool(h.found) for h in planted)} of {len(planted)} mutants found")
    for hole in holes:
        click.echo(f"  ✗ a hole: nobody found {hole} in {seeds} seeds")
    for h in false:
        click.echo(f"  ✗ the code as it is was objected to in {h.found} of {h.seeds} seeds, first {h.first}")
    return FAIL if holes or false else PASS


def _hunts(plan: Plan, mutants: tuple[str, ...], seeds: int, enough: int, jobs: int) -> Iterator[Hunt]:
    """One after the other, each on all processes: a mutant that has been found enough is left."""
    pool = processes(jobs, HASH_SEED)
    try:
        for number, mutant in enumerate(mutants, 1):
            _tell(f"[{number}/{len(mutants)}] {mutant}")
            whole = Hunt(mutant)
            parts = [range(s, min(s + BATCH, seeds + 1)) for s in range(1, seeds + 1, BATCH)]
            rounds = [parts] if not enough else [parts[i : i + jobs] for i in range(0, len(parts), jobs)]
            for some in rounds:
                for future in as_completed([pool.submit(hunt, plan, mutant, part, enough) for part in some]):
                    whole.add(future.result())
                if enough and whole.found >= enough:
                    break
            _tell("")
            click.echo(_line(whole))
            yield whole
    finally:
        pool.shutdown(cancel_futures=True)


def _line(h: Hunt) -> str:
    by = ", ".join(f"{checker} {count}" for checker, count in h.by.most_common())
    mark = "✓" if bool(h.found) is (h.mutant != UNHARMED) else "✗"
    return f"{mark} {h.mutant:28} {h.found:5} of {h.seeds:5} seeds  {by}"


def _tell(what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()
