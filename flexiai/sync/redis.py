"""The fleet's store in Redis: every operation one script, one round trip, one deadline.

Rules
-----
* No operation outlives `operation_timeout_s` (but for our own standstill, `Limit`), and nothing is retried in here:
  whoever calls knows better when.
* Whatever goes wrong is a `SyncError` that names the server and never shows a password.
* A command says until when it counts, in the store's own time: bytes that a partition held back and delivers after
  their sender has given up must not pass for fresh evidence, nor take a lease for nobody.
* What tells ages (a proposal, a report) says when it was sent, in the store's time: they count from then, however long
  it is on its way. The time of sending is told no earlier than it was, so that nothing passes for older than it is.
* A script is asked for by its hash, and sent in full where the script cache has lost it.

Keys and messages are described in `codec`; which way a command goes, in `way`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import NoScriptError

from flexiai.core.circuit import Circuit, Proposal
from flexiai.core.evidence import VOTE_GRACE_MS, Report, Terms
from flexiai.errors import SyncError
from flexiai.sync import codec, scripts
from flexiai.sync.address import Address
from flexiai.sync.bus import Hold, Round, Told, Verdict
from flexiai.sync.codec import Malformed, log_malformed
from flexiai.sync.redis_subscription import RedisSubscription
from flexiai.sync.scripts import Script
from flexiai.sync.target import target_of
from flexiai.sync.way import way_to
from flexiai.types import SyncConfig

Keys = tuple[str, ...]
LATE, ACCEPTED, NOTED = -1, 1, 2


class RedisBus:
    """One worker's way to Redis: a few connections for commands, one for each subscription."""

    def __init__(self, config: SyncConfig) -> None:
        """Nothing is connected yet; ConfigurationError for a URL that is none, or a certificate that cannot be used."""
        target = target_of(config)
        self._address = Address(target)
        self._timeout_s = config.operation_timeout_s
        self._keys = _Keys(config.prefix, one_slot=target.kind == "cluster")
        self._way = way_to(target, self._timeout_s, self._keys.records)
        self._store_ahead_s: float | None = None  # the store's clock minus ours, as of its last answer
        self._store_ahead_most_s = math.inf  # it is no more than that, by the answer that was soonest on its way there

    @asynccontextmanager
    async def subscribe(self, providers: tuple[str, ...]) -> AsyncIterator[RedisSubscription]:
        """Subscribed to the channels of `providers`, and confirmed by Redis, on entry."""
        channels = {self._keys.channel(p).encode(): (p, codec.told_by_notice) for p in providers} | {
            self._keys.streaks(p).encode(): (p, codec.streak_by_notice) for p in providers
        }
        subscription = RedisSubscription(self._way.connection(), channels, self._address, self._now_ms)
        try:
            await subscription.open(self._timeout_s)
            yield subscription
        finally:
            await subscription.close()

    async def read(self) -> dict[str, Told]:
        """All records, in one round trip; one that is not a record is as good as absent."""
        asked_at = _now()
        now_ms, flat = await self._listed(2, scripts.READ, (self._keys.records,))
        self._hear_clock(now_ms, asked_at)
        records: dict[str, Told] = {}
        for name, raw in zip(flat[::2], flat[1::2], strict=True):
            provider = name.decode(errors="replace")
            try:
                records[provider] = codec.told(provider, raw, now_ms)
            except Malformed as error:
                log_malformed(self._keys.records, provider, error)
        return records

    async def propose(self, provider: str, proposal: Proposal, age_s: float) -> Verdict:
        """Compare, store and publish (transition.lua)."""
        return await self._transition(
            scripts.TRANSITION,
            provider,
            (self._keys.records, self._keys.evidence(provider)),
            self._latest_ms(),
            proposal.base,
            proposal.state.value,
            proposal.reason.value,
            proposal.worker,
            round(age_s * 1000),
            proposal.open_for_ms,
            proposal.failure_count,
            proposal.rounds,
            int(proposal.forced),
            proposal.mode.value,
            proposal.held_for_ms,
            proposal.note,
            proposal.quorum,
            VOTE_GRACE_MS,
            self._sent_ms(),
        )

    async def report(self, provider: str, report: Report, terms: Terms) -> Verdict:
        """Tell how this worker fares (report.lua)."""
        asked_at = _now()
        status, raw, now_ms, failures = await self._listed(
            4,
            scripts.REPORT,
            (self._keys.records, self._keys.evidence(provider)),
            provider,
            self._keys.channel(provider),
            self._keys.streaks(provider),
            self._latest_ms(),
            report.base,
            report.worker,
            -1 if report.ok_ms is None else report.ok_ms,
            report.open_for_ms,
            report.rounds,
            terms.threshold,
            terms.window_ms,
            terms.quorum,
            self._sent_ms(),
            *report.failed_ms,
        )
        self._hear_clock(now_ms, asked_at)
        self._in_time(status)
        return Verdict(status == ACCEPTED, self._told(provider, raw, now_ms), failures=failures)

    async def restore(self, provider: str, circuit: Circuit) -> Verdict:
        """Write back what the store has lost (restore.lua)."""
        return await self._transition(
            scripts.RESTORE,
            provider,
            (self._keys.records,),
            circuit.epoch,
            circuit.state.value,
            circuit.reason.value,
            circuit.worker,
            circuit.since_ms,
            circuit.open_for_ms,
            circuit.failure_count,
            circuit.rounds,
            circuit.mode.value,
            circuit.held_at_ms,
            circuit.held_for_ms,
            circuit.note,
        )

    async def acquire(self, provider: str, token: str, ttl_s: float) -> Round | None:
        """Take the probe lease if nobody has it (acquire.lua)."""
        keys = (self._keys.lease(provider),)
        ttl_ms, latest_ms, asked_at = round(ttl_s * 1000), self._latest_ms(), _now()
        status, now_ms, *so_far = await self._listed(2, scripts.ACQUIRE, keys, token, ttl_ms, latest_ms)
        self._hear_clock(now_ms, asked_at)
        return Round(*so_far) if self._in_time(status) == ACCEPTED else None

    async def renew(self, provider: str, token: str, ttl_s: float, so_far: Round) -> Hold:
        """Keep the probe lease, if it is still ours (renew.lua)."""
        reply = await self._lease(scripts.RENEW, provider, token, ttl_s, so_far)
        if reply not in tuple(Hold):
            raise self._no_redis()
        return Hold(reply)

    async def release(self, provider: str, token: str, ttl_s: float, so_far: Round) -> None:
        """Give the probe lease back, if it is still ours (release.lua)."""
        await self._lease(scripts.RELEASE, provider, token, ttl_s, so_far)

    async def aclose(self) -> None:
        """Close every connection; SyncError if that takes longer than an operation may."""
        async with self._address.bounded(self._timeout_s):
            await self._way.aclose()

    async def _lease(self, script: Script, provider: str, token: str, ttl_s: float, so_far: Round) -> Any:
        ttl_ms = round(ttl_s * 1000)
        return await self._run(script, (self._keys.lease(provider),), token, ttl_ms, so_far.epoch, so_far.succeeded)

    async def _transition(self, script: Script, provider: str, keys: Keys, *arguments: str | int) -> Verdict:
        channel, asked_at = self._keys.channel(provider), _now()
        status, raw, now_ms = await self._listed(3, script, keys, provider, channel, *arguments)
        self._hear_clock(now_ms, asked_at)
        self._in_time(status)
        return Verdict(status == ACCEPTED, self._told(provider, raw, now_ms), noted=status == NOTED)

    def _told(self, provider: str, raw: bytes, now_ms: int) -> Told:
        try:
            return codec.told(provider, raw, now_ms)
        except Malformed as error:
            raise SyncError(f"Redis at {self._address} holds no record that we understand: {error}") from None

    async def _listed(self, size: int, script: Script, keys: Keys, *arguments: str | int) -> list[Any]:
        """The script's reply, a list of at least `size`; SyncError if it is none: no script of ours has run there."""
        reply = await self._run(script, keys, *arguments)
        if not isinstance(reply, list) or len(reply) < size:
            raise self._no_redis()
        return reply

    def _no_redis(self) -> SyncError:
        return SyncError(f"Redis at {self._address} does not answer as Redis does")

    async def _run(self, script: Script, keys: Keys, *arguments: str | int) -> Any:
        """The script's reply, as redis-py has parsed it: lists, integers, bytes."""
        async with self._address.bounded(self._timeout_s):
            try:
                return await self._way.execute("EVALSHA", script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return await self._way.execute("EVAL", script.text, len(keys), *keys, *arguments)

    def _hear_clock(self, now_ms: int, asked_at: float) -> None:
        self._store_ahead_s = now_ms / 1000 - _now()
        most_s = (now_ms + 1) / 1000 - asked_at
        was_set_forward = self._store_ahead_s > self._store_ahead_most_s
        self._store_ahead_most_s = most_s if was_set_forward else min(most_s, self._store_ahead_most_s)

    def _now_ms(self) -> float | None:
        """The store's time by now; early by as long as its last answer was on its way. None before the first one."""
        ahead_s = self._store_ahead_s
        return None if ahead_s is None else (_now() + ahead_s) * 1000

    def _sent_ms(self) -> int:
        """The store's time by now, or a little later; 0 while we do not know that clock."""
        most_s = self._store_ahead_most_s
        return 0 if most_s == math.inf else math.ceil((_now() + most_s) * 1000)

    def _latest_ms(self) -> int:
        """Until when a command sent now counts, in store time; 0 while we do not know that clock.

        Twice the timeout: the last answer's clock may be that much older than its arrival.
        """
        if self._store_ahead_s is None:
            return 0
        return round((_now() + self._store_ahead_s + 2 * self._timeout_s) * 1000)

    def _in_time(self, status: int) -> int:
        if status == LATE:
            raise SyncError(f"Redis at {self._address} says that our command came too late: its clock has moved on")
        return status


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Keys:
    """Names in Redis, each after the fleet's prefix. `one_slot`: a cluster keeps all keys of a fleet together.

    A fleet then has one server, hence one clock, and a script may touch any of its keys. Channels have no slot.
    """

    def __init__(self, prefix: str, *, one_slot: bool = False) -> None:
        name = (f"{prefix.removesuffix(':')}:" if prefix else "") + "circuit_breaker"
        self._base = "{" + name + "}" if one_slot else name
        self._channels = name
        self.records = f"{self._base}:records"

    def channel(self, provider: str) -> str:
        return f"{self._channels}:state:{provider}"

    def streaks(self, provider: str) -> str:
        return f"{self._channels}:streak:{provider}"

    def evidence(self, provider: str) -> str:
        return f"{self._base}:evidence:{provider}"

    def lease(self, provider: str) -> str:
        return f"{self._base}:lease:{provider}"
