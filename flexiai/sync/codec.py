"""What travels: a record as JSON, in the store's hash and in its notices.

    circuit_breaker:records                    a hash; field: provider, value: the record
    circuit_breaker:state:<provider>           a channel; message: the record and `at_ms`
    circuit_breaker:evidence:<provider>        a hash that expires: who has failed when, who has voted (evidence.lua)
    circuit_breaker:streak:<provider>          a channel; message: that the fleet has begun to fail
    circuit_breaker:lease:<provider>           a hash that expires: `holder` (owner:number), `wanted`, and how far the
                                               round of probes has come: `succeeded` of them, on the record of `epoch`

    {"epoch":1763888400125,"state":"OPEN","reason":"consecutive_failures","worker":"web-1:4711",
     "since_ms":1763888400123,"open_for_ms":30000,"failure_count":5,"rounds":0,
     "mode":"normal","held_at_ms":0,"held_for_ms":0,"note":"","at_ms":1763888400125}

    {"epoch":1763888400125,"failures":1,"workers":1,"since_ms":1763888500120,"at_ms":1763888500121}

epoch          grows at each transition (its store time, or one more than the last); the higher one wins
state          OPEN or CLOSED
since_ms       store time (ms since 1970) of the evidence; an OPEN one may be probed at since_ms + open_for_ms, and a
               CLOSED one has all its traffic back then
rounds         failed probe rounds since it first opened
mode           normal, or what an operator wants until held_at_ms + held_for_ms: open (nobody asks), drain (last resort)
failures       of a streak: how many stand that no success has ended, of how many workers, the first at since_ms
note           the operator's reason for that, or for a reset
at_ms          in notices alone: the store time at which it was published

Rules
-----
* Fields that we do not know are skipped, those that we miss have their defaults; a reason that we do not know is read
  as `sync`, such a mode as `normal`: another version may be rolling out beside us.
* Anything else that is not such a record is `Malformed`: ignored where it came from, never fatal.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated, Literal

import msgspec

from flexiai.core.circuit import Cause, Circuit, Mode, State
from flexiai.sync.bus import Streak, Told

_log = logging.getLogger(__name__)
_Count = Annotated[int, msgspec.Meta(ge=0)]


class Malformed(ValueError):
    """Not a record; the message says why."""


class _Record(msgspec.Struct, frozen=True):
    epoch: _Count
    state: Literal["OPEN", "CLOSED"]
    since_ms: int
    open_for_ms: _Count
    reason: str = Cause.SYNC.value
    worker: str = ""
    failure_count: _Count = 0
    rounds: _Count = 0
    mode: str = Mode.NORMAL.value
    held_at_ms: int = 0
    held_for_ms: _Count = 0
    note: str = ""
    at_ms: int | None = None

    def circuit(self) -> Circuit:
        return Circuit(
            epoch=self.epoch,
            state=State(self.state),
            reason=_cause(self.reason),
            worker=self.worker,
            since_ms=self.since_ms,
            open_for_ms=self.open_for_ms,
            failure_count=self.failure_count,
            rounds=self.rounds,
            mode=_MODES.get(self.mode, Mode.NORMAL),
            held_at_ms=self.held_at_ms,
            held_for_ms=self.held_for_ms,
            note=self.note,
        )


class _Streak(msgspec.Struct, frozen=True):
    epoch: _Count
    failures: _Count
    workers: _Count
    since_ms: int
    at_ms: int


_streak_decoder = msgspec.json.Decoder(_Streak)
_decoder = msgspec.json.Decoder(_Record)
_CAUSES = {cause.value: cause for cause in Cause}
_MODES = {mode.value: mode for mode in Mode}


def told(provider: str, raw: bytes, now_ms: int) -> Told:
    """A stored record as a fact, at the store's time `now_ms`; raises Malformed."""
    return Told.at(provider, _decode(raw).circuit(), now_ms)


def told_by_notice(provider: str, raw: bytes, now_ms: float | None = None) -> Told:
    """A notice as a fact, at the store's time at which it was published; raises Malformed.

    `now_ms`: the store's time by now, if we know it.
    """
    record = _decode(raw)
    if record.at_ms is None:
        raise Malformed("a notice without at_ms")
    told = Told.at(provider, record.circuit(), record.at_ms)
    return told if now_ms is None else replace(told, transit_s=max(0.0, now_ms - record.at_ms) / 1000)


def streak_by_notice(provider: str, raw: bytes, now_ms: float | None = None) -> Streak:
    """A notice that the fleet has begun to fail; raises Malformed. `now_ms`: the store's time by now, if we know it."""
    try:
        streak = _streak_decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None
    since_s = max(0, max(streak.at_ms, now_ms or 0) - streak.since_ms) / 1000
    return Streak(provider, streak.epoch, streak.failures, streak.workers, since_s)


def _decode(raw: bytes) -> _Record:
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(str(error)) from None


def _cause(reason: str) -> Cause:
    return _CAUSES.get(reason, Cause.SYNC)


def log_malformed(where: str, provider: str, error: Malformed) -> None:
    """Say that something in the store is not ours to understand; it is ignored."""
    _log.warning("ignored what is no record of %s in %s: %s", provider, where, error)
