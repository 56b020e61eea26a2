"""The rules in effect on the fault proxy, and how much each has affected."""

from __future__ import annotations

from math import exp, log
from random import Random

from harness.real.wire_rules import Action, Rule, Toward

_P99 = 2.3263478740408408  # the standard normal distribution's 99th percentile


class Board:
    """Rules by index. `counts`: how many chunks and connections each rule has affected; kept when it is dropped."""

    def __init__(self) -> None:
        self.rules: dict[int, Rule] = {}
        self.counts: dict[int, int] = {}
        self._rng = Random()

    def applying(self, upstream: str, pid: int | None, action: Action, toward: Toward | None = None) -> list[int]:
        """The indexes of the rules that do `action` to a connection (in one direction)."""
        return [
            index
            for index, rule in self.rules.items()
            if rule.action == action
            and rule.upstream in (None, upstream)
            and (rule.pids is None or pid in rule.pids)
            and (toward is None or rule.toward in (None, toward))
        ]

    def affect(self, upstream: str, pid: int | None, action: Action, toward: Toward | None = None) -> list[Rule]:
        """The rules that do `action` to a connection, each of which is now counted for it."""
        indexes = self.applying(upstream, pid, action, toward)
        for index in indexes:
            self.counts[index] = self.counts.get(index, 0) + 1
        return [self.rules[index] for index in indexes]

    def mutes(self, upstream: str, pid: int | None) -> bool:
        """Whether a message to a subscriber is lost: drawn, and counted if so."""
        for index in self.applying(upstream, pid, "mute"):
            share = self.rules[index].share
            if share >= 1 or self._rng.random() < share:
                self.counts[index] = self.counts.get(index, 0) + 1
                return True
        return False

    def delay_s(self, rule: Rule) -> float:
        """How much longer a chunk takes by a rule, drawn."""
        drawn = self._rng.uniform(0.0, rule.spread_s) if rule.spread_s else 0.0
        if rule.median_s:
            sigma = log(rule.p99_s / rule.median_s) / _P99
            drawn += rule.median_s * exp(self._rng.gauss(0.0, sigma)) if sigma else rule.median_s
        return rule.delay_s + drawn

    def pids(self) -> frozenset[int]:
        """Every process that a rule names."""
        return frozenset(pid for rule in self.rules.values() for pid in rule.pids or ())
