"""Runs every `bench_*` module beside this file (each has `def run() -> list[Figure]`) and prints a table.

Arguments choose modules by a part of their name. The exit code is 1 if a bound was not kept.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from tests.bench.figure import Figure


def main(chosen: list[str]) -> int:
    """Run, print, judge."""
    kept = True
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        if chosen and not any(part in path.stem for part in chosen):
            continue
        print(f"\n{path.stem.removeprefix('bench_').replace('_', ' ')}", flush=True)
        for figure in importlib.import_module(f"tests.bench.{path.stem}").run():
            print(_line(figure), flush=True)
            kept = kept and figure.kept
    return 0 if kept else 1


def _line(figure: Figure) -> str:
    value = f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.4g}"
    judged = "" if figure.bound is None else f"{figure.bound:>10} {'ok' if figure.kept else 'MISSED'}"
    return f"  {figure.name:<58}{value:>12} {figure.unit:<8}{judged:<18} {figure.note}".rstrip()


sys.exit(main(sys.argv[1:]))
