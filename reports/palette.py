"""Colours and symbols, one meaning each, the same in every figure and on the page.

The hues are Okabe and Ito's, which people with any of the common colour-vision deficiencies can tell apart; the breaker
states differ in lightness as well, so that they survive a grey printer. Nothing is said by colour alone: verdicts carry
a word and a symbol, lines and bands a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from flexiai.core.circuit import State

Verdict = Literal["pass", "fail", "unknown"]

INK = "#1f2933"
MUTED = "#5b6875"
RULE = "#d9dee3"
PAPER = "#ffffff"

FAILED = "#D55E00"  # vermillion
UNKNOWN = "#9aa5b1"
REJECTED = "#4b4453"
LEFT = "#c9ced6"
LIMIT = "#b23c00"  # a bound that was expected
FAULT = "#f3ead3"  # the shade behind everything that happened under a fault
FAULT_EDGE = "#b08b2e"

STATES: dict[State, str] = {
    State.CLOSED: "#d3e6ee",
    State.HALF_OPEN: "#F0E442",
    State.OPEN: "#b8480a",
}
STATE_WORDS: dict[State, str] = {State.CLOSED: "closed", State.HALF_OPEN: "half-open", State.OPEN: "open"}

_PROVIDERS = ("#0072B2", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7f7f7f")

VERDICT_COLOURS: dict[Verdict, str] = {"pass": "#00704f", "fail": "#b23c00", "unknown": "#5b6875"}
VERDICT_SYMBOLS: dict[Verdict, str] = {"pass": "✓", "fail": "✗", "unknown": "?"}


def provider_colours(providers: Sequence[str]) -> dict[str, str]:
    """A colour for each provider, given in order of priority; beyond six they share the last, a grey."""
    return {name: _PROVIDERS[min(i, len(_PROVIDERS) - 1)] for i, name in enumerate(providers)}
