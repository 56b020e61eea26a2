"""When a provider has failed too often, and for how long it is then left alone.

Rules
-----
* It opens at `failure_threshold` consecutive failures; or when, of at least `min_calls` calls in the window, a share of
  `failure_rate` failed or a share of `slow_call_rate` was slow (docs/failover.md, section 1). The first that holds, in
  this order, is the cause.
* It stays open for `reset_timeout_s`, times `reset_growth` for each failed probe round, at most `max_reset_timeout_s`,
  spread by ±`reset_jitter` of itself. The chance is drawn elsewhere and passed in.
* A Retry-After is kept exactly, up to `max_retry_after_s`; one of zero seconds asks for nothing.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from flexiai.core.ramp import RampRules
from flexiai.core.window import Window


class BreakerRules(RampRules, Protocol):
    """The settings of a breaker; `flexiai.types.BreakerConfig` explains each."""

    @property
    def failure_threshold(self) -> int: ...
    @property
    def window_s(self) -> float: ...
    @property
    def failure_rate(self) -> float | None: ...
    @property
    def min_calls(self) -> int: ...
    @property
    def slow_call_duration_s(self) -> float: ...
    @property
    def slow_call_rate(self) -> float | None: ...
    @property
    def reset_timeout_s(self) -> float: ...
    @property
    def reset_growth(self) -> float: ...
    @property
    def reset_jitter(self) -> float: ...
    @property
    def max_reset_timeout_s(self) -> float: ...
    @property
    def half_open_max_calls(self) -> int: ...
    @property
    def max_retry_after_s(self) -> float: ...
    @property
    def misconfigured_for_s(self) -> float: ...


class Health:
    """What the calls since the breaker closed say about a provider.

    failures_in_a_row  how many; failed_at: when, the last `failure_threshold` of them
    ok_at              when it last worked, in this life of the breaker or before; None: never
    """

    __slots__ = ("_calls", "_failed", "_rules", "_slow", "failed_at", "failures_in_a_row", "ok_at")

    def __init__(self, rules: BreakerRules) -> None:
        self._rules = rules
        self._calls = Window(rules.window_s)
        self._failed = Window(rules.window_s)
        self._slow = Window(rules.window_s)
        self.failures_in_a_row = 0
        self.failed_at: deque[float] = deque(maxlen=rules.failure_threshold)
        self.ok_at: float | None = None

    def note(self, now: float, failed: bool, took_s: float) -> None:
        """Count a call that ended at `now` after `took_s` seconds."""
        self._calls.add(now)
        if took_s >= self._rules.slow_call_duration_s:
            self._slow.add(now)
        if failed:
            self._failed.add(now)
            self.failures_in_a_row += 1
            self.failed_at.append(now)
        else:
            self.failures_in_a_row = 0
            self.failed_at.clear()
            self.ok_at = now

    def verdict(self, now: float) -> Cause | None:
        """Why the breaker must open, or None."""
        rules = self._rules
        if self.failures_in_a_row >= rules.failure_threshold:
            return Cause.CONSECUTIVE_FAILURES
        calls = self._calls.total(now)
        if calls < rules.min_calls:
            return None
        if rules.failure_rate is not None and self._failed.total(now) >= rules.failure_rate * calls:
            return Cause.FAILURE_RATE
        if rules.slow_call_rate is not None and self._slow.total(now) >= rules.slow_call_rate * calls:
            return Cause.SLOW_RATE
        return None

    def clear(self) -> None:
        """A new life: nothing was seen."""
        self.failures_in_a_row = 0
        self.failed_at.clear()
        for window in (self._calls, self._failed, self._slow):
            window.clear()


def open_time_s(rules: BreakerRules, rounds: int, jitter: float) -> float:
    """How long a breaker stays open after `rounds` failed probe rounds; `jitter` in [0, 1) spreads it."""
    try:
        grown = rules.reset_timeout_s * rules.reset_growth**rounds
    except OverflowError:
        grown = rules.max_reset_timeout_s
    spread = 1 + rules.reset_jitter * (2 * jitter - 1)
    return min(rules.max_reset_timeout_s, min(rules.max_reset_timeout_s, grown) * spread)


def asked_for_s(rules: BreakerRules, outcome: Outcome, retry_after_s: float) -> float:
    """How long a provider's Retry-After is heeded; 0: not at all, the answer being no failure of its own."""
    if outcome not in (Outcome.RATE_LIMITED, Outcome.FAILURE):
        return 0.0
    return max(0.0, min(retry_after_s, rules.max_retry_after_s))
