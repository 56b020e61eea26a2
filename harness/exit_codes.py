"""How the command line ends: 0 pass, 1 an invariant or expectation failed, 2 unknown, 3 fidelity outside tolerance,
4 nondeterminism, 64 bad input, 70 harness error, 130 interrupted."""

from __future__ import annotations

PASS, FAIL, UNKNOWN, UNFAITHFUL, NONDETERMINISM, BAD_INPUT, BROKEN, INTERRUPTED = 0, 1, 2, 3, 4, 64, 70, 130
OF_VERDICT = {"pass": PASS, "fail": FAIL, "unknown": UNKNOWN}
GRAVEST_FIRST = (INTERRUPTED, BROKEN, BAD_INPUT, NONDETERMINISM, FAIL, UNFAITHFUL, UNKNOWN, PASS)
"""Of several runs the gravest counts."""
