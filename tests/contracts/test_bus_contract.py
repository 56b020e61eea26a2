"""Memory and Redis keep the promises of `flexiai.sync.bus`, and Lua decides as the core does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, decide, reseed
from flexiai.core.evidence import VOTE_GRACE_MS, Evidence, Report, Terms, hear, judge
from flexiai.sync import scripts
from flexiai.sync.bus import Bus, Hold, Round
from flexiai.sync.codec import told
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.redis import NOTED, RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_server import RedisServer
from tests.contracts.bus_contract import Rule, each_rule, sit
from tests.contracts.redis_twins import SimWire, free_sim

Step = tuple[Proposal, int, int, int] | tuple[Report, Terms, int, int] | Circuit

_prefixes = itertools.count()


def settings_for(server: RedisServer, prefix: str) -> SyncConfig:
    return SyncConfig(redis_host="127.0.0.1", redis_port=server.port, prefix=prefix, operation_timeout_s=5.0)


def test_what_memory_decides_and_tells_is_of_one_moment() -> None:
    seconds = itertools.count()
    bus = MemoryBus(MemoryStore(lambda: float(next(seconds))))  # a second later at each look
    opened = Proposal(0, State.OPEN, Cause.CONSECUTIVE_FAILURES, "w", 0.0, 30_000)
    verdict = asyncio.run(bus.propose("p", opened, 0.0))
    assert verdict.told.left_s == 30.0


@each_rule
def test_memory(rule: Rule) -> None:
    async def exam() -> None:
        store = MemoryStore(asyncio.get_running_loop().time)
        await sit(rule, lambda: MemoryBus(store))

    asyncio.run(exam())


@pytest.mark.real
@each_rule
def test_redis(rule: Rule, any_redis: RedisServer) -> None:
    config = settings_for(any_redis, f"contract-{next(_prefixes)}")

    async def exam() -> None:
        await sit(rule, lambda: RedisBus(config))

    asyncio.run(exam())


# --- Lua decides as the core does -----------------------------------------------------------------------------------

_states = st.sampled_from([State.OPEN, State.CLOSED])
_causes = st.sampled_from(list(Cause))
_workers = st.text(max_size=6)
_small = st.integers(0, 3)
_since = st.integers(0, 5)
_modes = st.sampled_from(Mode)
_notes = st.sampled_from(["", "deploy", 'a "b" / é'])
_T0_MS = 1_763_888_400_000

_proposals = st.builds(
    Proposal,
    base=_small,
    state=_states,
    reason=_causes,
    worker=_workers,
    seen_at=st.just(0.0),
    open_for_ms=_small,
    failure_count=_small,
    rounds=_small,
    forced=st.booleans(),
    quorum=st.integers(1, 3),
    mode=_modes,
    held_for_ms=_small,
    note=_notes,
)
_circuits = st.builds(
    Circuit,
    epoch=st.integers(1, 4),
    state=_states,
    reason=_causes,
    worker=_workers,
    since_ms=_since.map(lambda ms: _T0_MS + ms),
    open_for_ms=_small,
    failure_count=_small,
    rounds=_small,
    mode=_modes,
    held_at_ms=_since.map(lambda ms: _T0_MS + ms),
    held_for_ms=_small,
    note=_notes,
)
_reports = st.builds(
    Report,
    base=_small | st.just(_T0_MS),
    worker=st.sampled_from(["a", "b", "ü v:c"]),
    failed_ms=st.lists(st.integers(0, 6), max_size=3).map(lambda ages: tuple(sorted(ages, reverse=True))),
    ok_ms=st.none() | st.integers(0, 6),
    open_for_ms=_small,
    rounds=_small,
)
_terms = st.builds(Terms, threshold=st.integers(1, 4), window_ms=st.integers(1, 8), quorum=st.integers(1, 3))
_ways = st.integers(-3, 3)
_steps = st.lists(
    st.one_of(
        # proposal, its age, time that passes before, time on its way (below 0: as told, it was sent later than now)
        st.tuples(_proposals, st.integers(0, 3), st.integers(0, 3), _ways),
        st.tuples(_reports, _terms, st.integers(0, 3), _ways),
        st.tuples(_reports, _terms, st.integers(0, 3), _ways),
        _circuits,
    ),
    min_size=1,
    max_size=12,
)


class Frozen:
    """The very scripts, with a clock that the test sets: ages can then be equal to the millisecond."""

    def __init__(self, server: RedisServer | None) -> None:
        """On that server, or on a simulated one."""
        self.key = f"frozen-{next(_prefixes)}"
        self.client = redis.Redis(host="127.0.0.1", port=server.port, protocol=2) if server else None
        self.wire = SimWire(free_sim()[0])

    def ask(self, *words: str | int) -> Any:
        return self.client.execute_command(*words) if self.client else parsed(self.wire.ask(*words))

    def run(
        self, script: scripts.Script, now_ms: int, *arguments: str | int, keys: tuple[str, ...] = ()
    ) -> tuple[int, Circuit, int, bool]:
        """Status, record, failures that stand, and whether a streak was told of."""
        frozen = f"{{'{now_ms // 1000}', '{now_ms % 1000 * 1000 + 999}'}}"
        text = script.text.replace("redis.call('TIME')", frozen)
        assert frozen in text
        text = text.replace("redis.call('PEXPIRE', key, ", "tostring(")  # the server's own clock goes on
        text = text.replace("redis.call('PUBLISH', ARGV[3], ", "redis.call('SET', KEYS[3], ")
        words = ("EVAL", text, 1 + len(keys), self.key, *keys, "p", "channel", *arguments)
        status, raw, at_ms, *failures = self.ask(*words)
        assert at_ms == now_ms
        begun = bool(self.ask("DEL", f"{self.key}:streak"))
        return status, told("p", raw, at_ms).circuit, *(failures or [0]), begun

    @property
    def _keys(self) -> tuple[str, str]:
        return (f"{self.key}:evidence", f"{self.key}:streak")

    def report(self, r: Report, terms: Terms, now_ms: int, sent_ms: int = 0) -> tuple[int, Circuit, int, bool]:
        return self.run(
            scripts.REPORT, now_ms, "streaks", 0, r.base, r.worker, -1 if r.ok_ms is None else r.ok_ms, r.open_for_ms, r.rounds,
            terms.threshold, terms.window_ms, terms.quorum, sent_ms, *r.failed_ms, keys=self._keys,
        )  # fmt: skip

    def forget(self) -> None:
        self.ask("DEL", self.key, *self._keys)
        if self.client:
            self.client.close()

    def propose(
        self, p: Proposal, age_ms: int, now_ms: int, latest_ms: int = 0, sent_ms: int = 0
    ) -> tuple[int, Circuit, int, bool]:
        return self.run(
            scripts.TRANSITION, now_ms, latest_ms, p.base, p.state.value, p.reason.value, p.worker, age_ms,
            p.open_for_ms, p.failure_count, p.rounds, int(p.forced), p.mode.value, p.held_for_ms, p.note,
            p.quorum, VOTE_GRACE_MS, sent_ms, keys=self._keys,
        )  # fmt: skip

    def restore(self, c: Circuit, now_ms: int) -> tuple[int, Circuit, int, bool]:
        return self.run(
            scripts.RESTORE, now_ms, c.epoch, c.state.value, c.reason.value, c.worker, c.since_ms,
            c.open_for_ms, c.failure_count, c.rounds, c.mode.value, c.held_at_ms, c.held_for_ms, c.note,
        )  # fmt: skip


@pytest.mark.real
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_lua_and_core_give_the_same_verdicts(any_redis: RedisServer, steps: list[Step]) -> None:
    agree(Frozen(any_redis), steps)


@settings(max_examples=150, deadline=None)
@given(steps=_steps)
def test_simulated_lua_and_core_give_the_same_verdicts(steps: list[Step]) -> None:
    agree(Frozen(None), steps)


def agree(store: Frozen, steps: list[Step]) -> None:
    now_ms, held, evidence = _T0_MS, Circuit(), Evidence()
    for step in steps:
        noted, failures, begun = False, 0, False
        if isinstance(step, Circuit):
            new = reseed(held, step)
            answer = store.restore(step, now_ms)
        else:
            now_ms += step[2]
            way_ms, sent_ms = max(0, step[3]), now_ms - step[3]
            if isinstance(step[0], Report):
                report = replace(step[0], base=held.epoch if step[0].base == _T0_MS else step[0].base)
                evidence, new, begun = hear(evidence, held, report, step[1], now_ms, way_ms=way_ms)
                stands = report.base == held.epoch and held.state is State.CLOSED
                failures = new.failure_count if new else evidence.count if stands else 0
                answer = store.report(report, step[1], now_ms, sent_ms)
            else:
                evidence, new, noted = judge(evidence, held, step[0], step[1], now_ms, way_ms=way_ms)
                answer = store.propose(step[0], step[1], now_ms, sent_ms=sent_ms)
        held = new or held
        assert answer == (NOTED if noted else int(new is not None), held, failures, begun)
    store.forget()


def parsed(reply: bytes) -> Any:
    """A reply of integers, strings and arrays of them."""
    lines = iter(reply.split(b"\r\n"))

    def value() -> Any:
        line = next(lines)
        kind, rest = line[:1], line[1:]
        assert kind in (b":", b"$", b"*"), reply
        if kind == b"*":
            return [value() for _ in range(int(rest))]
        return int(rest) if kind == b":" else next(lines)

    return value()


@pytest.mark.real
@pytest.mark.parametrize("rubbish", ["", "no json", "[1]", "null", '"x"', '{"epoch":"9"}', '{"epoch":9.5e999}', "{}"])
def test_rubbish_in_the_store_gives_way_to_the_first_proposal(any_redis: RedisServer, rubbish: str) -> None:
    store = Frozen(any_redis)
    store.ask("HSET", store.key, "p", rubbish)
    proposal = Proposal(base=3, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0)
    assert store.propose(proposal, 0, _T0_MS) == (1, decide(Circuit(), proposal, 0, _T0_MS), 0, False)
    store.forget()


def test_without_a_time_of_sending_ages_count_from_the_arrival() -> None:
    store = Frozen(None)
    report = Report(0, "w", failed_ms=(5,), ok_ms=None, open_for_ms=100)
    assert store.report(report, Terms(threshold=1, window_ms=1000), _T0_MS)[1].since_ms == _T0_MS - 5
    store.forget()
    proposal = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0)
    assert store.propose(proposal, 5, _T0_MS)[1].since_ms == _T0_MS - 5
    store.forget()


@pytest.mark.real
def test_a_proposal_that_comes_too_late_changes_nothing(any_redis: RedisServer) -> None:
    store = Frozen(any_redis)
    proposal = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, forced=True)
    assert store.propose(proposal, 0, _T0_MS, latest_ms=_T0_MS - 1) == (-1, Circuit(), 0, False)
    assert store.ask("EXISTS", store.key) == 0
    assert store.propose(proposal, 0, _T0_MS, latest_ms=_T0_MS)[0] == 1
    store.forget()


# --- leases: the same random words to memory and to Redis, the same answers ------------------------------------------

_words = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "renew", "release"]),
        st.sampled_from(["a:1", "a:2", "b:1", "b:2", "c", ":x:1"]),
        st.builds(Round, epoch=st.integers(1, 2), succeeded=st.integers(0, 2)),
    ),
    max_size=25,
)


@pytest.mark.real
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=_words)
def test_memory_and_redis_agree_about_leases(any_redis: RedisServer, words: list[tuple[str, str, Round]]) -> None:
    config = settings_for(any_redis, f"leases-{next(_prefixes)}")

    async def answers(bus: Bus) -> list[Round | Hold | None]:
        verbs: dict[str, Callable[[str, Round], Awaitable[Round | Hold | None]]] = {
            "acquire": lambda token, _: bus.acquire("p", token, 600.0),
            "renew": lambda token, so_far: bus.renew("p", token, 600.0, so_far),
            "release": lambda token, so_far: bus.release("p", token, 600.0, so_far),
        }
        said = [await verbs[verb](token, so_far) for verb, token, so_far in words]
        await bus.aclose()
        return said

    async def both() -> None:
        memory = MemoryBus(MemoryStore(asyncio.get_running_loop().time))
        assert await answers(memory) == await answers(RedisBus(config))

    asyncio.run(both())


def test_the_reseeded_epoch_does_not_depend_on_who_asks_first() -> None:
    a = Circuit(4, State.OPEN, Cause.FAILURE_RATE, "a", 10, 20)
    b = replace(a, worker="b", since_ms=11)
    assert reseed(a, b) == reseed(b, a) == replace(b, epoch=5)
