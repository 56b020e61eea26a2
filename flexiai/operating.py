"""What an operator may say: for how long, and why.

Rules
-----
* A hold has a limit, at most a day: what somebody has forgotten ends by itself.
* A reason is one line of printable text of at most NOTE_LENGTH characters, whatever was given: it goes into the fleet's
  record, into logs and onto pages.
"""

from __future__ import annotations

from flexiai.errors import ConfigurationError

NOTE_LENGTH = 200
LONGEST_S = 86_400.0


def noted(reason: str | None) -> str:
    """`reason` as it is told: white space made single spaces, what cannot be printed left out, the rest cut off."""
    words = "".join(c if c.isprintable() else " " for c in reason or "").split()
    return " ".join(words)[:NOTE_LENGTH].rstrip()


def limited(for_s: float) -> float:
    """`for_s` as seconds; ConfigurationError unless it is above 0 and at most a day."""
    if not 0 < for_s <= LONGEST_S:
        raise ConfigurationError(f"for_s must be more than 0 and at most {LONGEST_S:.0f} seconds, not {for_s:g}")
    return float(for_s)
