"""The rules in effect on the fault proxy, and how much each has affected."""

from __future__ import annotations

from harness.real.wire_rules import Action, Rule


class Board:
    """Rules by index. `counts`: how many chunks and connections each rule has affected; kept when it is dropped."""

    def __init__(self) -> None:
        self.rules: dict[int, Rule] = {}
        self.counts: dict[int, int] = {}

    def applying(self, upstream: str, pid: int | None, action: Action) -> list[int]:
        """The indexes of the rules that do `action` to a connection."""
        return [
            index
            for index, rule in self.rules.items()
            if rule.action == action and rule.upstream == upstream and (rule.pids is None or pid in rule.pids)
        ]

    def affect(self, upstream: str, pid: int | None, action: Action) -> list[Rule]:
        """The rules that do `action` to a connection, each of which is now counted for it."""
        indexes = self.applying(upstream, pid, action)
        for index in indexes:
            self.counts[index] = self.counts.get(index, 0) + 1
        return [self.rules[index] for index in indexes]

    def pids(self) -> frozenset[int]:
        """Every process that a rule names."""
        return frozenset(pid for rule in self.rules.values() for pid in rule.pids or ())
