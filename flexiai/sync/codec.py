"""What travels: a record as JSON, in the store's hash and in its notices.

    circuit_breaker:records                    a hash; field: provider, value: the record
    circuit_breaker:state:<provider>           a channel; message: the record and `at_ms`
    circuit_breaker:lease:<provider>           a hash that expires: `holder` (a worker's token), `wanted`

    {"epoch":7,"state":"OPEN","reason":"consecutive_failures","worker":"web-1:4711",
     "since_ms":1763888400123,"open_for_ms":30000,"failure_count":5,"rounds":0,"at_ms":1763888400125}

epoch          grows by one at each transition; the higher one wins
state          OPEN or CLOSED
since_ms       store time (ms since 1970) of the evidence; an OPEN one may be probed at since_ms + open_for_ms
rounds         failed probe rounds since it first opened
at_ms          in notices alone: the store time at which it was published

Rules
-----
* Fields that we do not know are skipped, and a reason that we do not know is read as `sync`: a newer version may be
  rolling out beside us.
* Anything else that is not such a record is `Malformed`: ignored where it came from, never fatal.
"""

from __future__ import annotations

import logging
from typing import Annotated, Literal

import msgspec

from flexiai.core.circuit import Cause, Circuit, State
from flexiai.sync.bus import Told

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
        )


_decoder = msgspec.json.Decoder(_Record)
_CAUSES = {cause.value: cause for cause in Cause}


def told(provider: str, raw: bytes, now_ms: int) -> Told:
    """A stored record as a fact, at the store's time `now_ms`; raises Malformed."""
    circuit = _decode(raw).circuit()
    return Told(provider, circuit, circuit.left_ms(now_ms) / 1000)


def told_by_notice(provider: str, raw: bytes) -> Told:
    """A notice as a fact, at the store's time at which it was published; raises Malformed."""
    record = _decode(raw)
    if record.at_ms is None:
        raise Malformed("a notice without at_ms")
    circuit = record.circuit()
    return Told(provider, circuit, circuit.left_ms(record.at_ms) / 1000)


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
