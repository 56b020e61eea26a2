"""Other people's software to measure beside ours: each in an environment of its own, which only benchmarks make.

Rules
-----
* Environments live in `.bench/` (or where FLEXIAI_BENCH_DIR says), and are made once per pinned version.
* A peer that cannot be installed is not measured, and the table says why: nothing of the project depends on one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BREAKERS = ("pybreaker==1.4.1", "aiobreaker==1.2.0", "purgatory==3.0.1")
LITELLM = ("litellm[proxy]==1.105.0",)
INSTALL_BOUND_S = 900.0
_DIR = Path(os.environ.get("FLEXIAI_BENCH_DIR", Path(__file__).parents[2] / ".bench"))


class Unavailable(Exception):
    """A peer that cannot be had here; the message says why."""


def environment(name: str, requirements: tuple[str, ...]) -> Path:
    """The folder of the programs of an environment that holds `requirements`; Unavailable if it cannot be made."""
    folder = _DIR / "-".join((name, *(r.partition("==")[2] for r in requirements)))
    programs, made = folder / "bin", folder / "made"
    if made.exists():
        return programs
    print(f"  (installing {', '.join(requirements)} into an environment of its own)", flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(programs / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    made.touch()
    return programs


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_BOUND_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not installed within {INSTALL_BOUND_S:g} s") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise Unavailable(f"cannot be installed: {said[-1][:120] if said else done.returncode}")
