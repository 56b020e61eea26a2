"""Memory and Redis keep the promises of `flexiai.sync.bus`, and Lua decides as the core does."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flexiai.core.circuit import Cause, Circuit, Mode, Proposal, State, decide, reseed
from flexiai.sync import scripts
from flexiai.sync.bus import Bus, Round
from flexiai.sync.codec import told
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.redis import RedisBus
from flexiai.types import SyncConfig
from harness.real.redis_server import RedisServer
from tests.contracts.bus_contract import Rule, each_rule, sit

_prefixes = itertools.count()


def settings_for(server: RedisServer, prefix: str) -> SyncConfig:
    return SyncConfig(redis_host="127.0.0.1", redis_port=server.port, prefix=prefix, operation_timeout_s=5.0)


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
_steps = st.lists(
    st.one_of(
        st.tuples(_proposals, st.integers(0, 3), st.integers(0, 3)),  # proposal, its age, time that passes before
        _circuits,
    ),
    min_size=1,
    max_size=12,
)


class FrozenRedis:
    """The very scripts, on a real server, with a clock that the test sets: ages can then be equal to the millisecond."""

    def __init__(self, port: int) -> None:
        self.client = redis.Redis(host="127.0.0.1", port=port, protocol=2)
        self.key = f"frozen-{next(_prefixes)}"

    def run(self, script: scripts.Script, now_ms: int, *arguments: str | int) -> tuple[int, Circuit]:
        frozen = f"{{'{now_ms // 1000}', '{now_ms % 1000 * 1000 + 999}'}}"
        text = script.text.replace("redis.call('TIME')", frozen)
        assert frozen in text
        status, raw, at_ms = self.client.eval(text, 1, self.key, "p", "channel", *arguments)
        assert at_ms == now_ms
        return status, told("p", raw, at_ms).circuit

    def propose(self, p: Proposal, age_ms: int, now_ms: int, latest_ms: int = 0) -> tuple[int, Circuit]:
        return self.run(
            scripts.TRANSITION, now_ms, latest_ms, p.base, p.state.value, p.reason.value, p.worker, age_ms,
            p.open_for_ms, p.failure_count, p.rounds, int(p.forced), p.mode.value, p.held_for_ms, p.note,
        )  # fmt: skip

    def restore(self, c: Circuit, now_ms: int) -> tuple[int, Circuit]:
        return self.run(
            scripts.RESTORE, now_ms, c.epoch, c.state.value, c.reason.value, c.worker, c.since_ms,
            c.open_for_ms, c.failure_count, c.rounds, c.mode.value, c.held_at_ms, c.held_for_ms, c.note,
        )  # fmt: skip


@pytest.mark.real
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps)
def test_lua_and_core_give_the_same_verdicts(
    any_redis: RedisServer, steps: list[tuple[Proposal, int, int] | Circuit]
) -> None:
    store = FrozenRedis(any_redis.port)
    now_ms, held = _T0_MS, Circuit()
    for step in steps:
        if isinstance(step, Circuit):
            new = reseed(held, step)
            answer = store.restore(step, now_ms)
        else:
            proposal, age_ms, passed_ms = step
            now_ms += passed_ms
            new = decide(held, proposal, age_ms, now_ms)
            answer = store.propose(proposal, age_ms, now_ms)
        held = new or held
        assert answer == (int(new is not None), held)
    store.client.delete(store.key)
    store.client.close()


@pytest.mark.real
@pytest.mark.parametrize("rubbish", ["", "no json", "[1]", "null", '"x"', '{"epoch":"9"}', '{"epoch":9.5e999}', "{}"])
def test_rubbish_in_the_store_gives_way_to_the_first_proposal(any_redis: RedisServer, rubbish: str) -> None:
    store = FrozenRedis(any_redis.port)
    store.client.hset(store.key, "p", rubbish)
    proposal = Proposal(base=3, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0)
    assert store.propose(proposal, 0, _T0_MS) == (1, decide(Circuit(), proposal, 0, _T0_MS))
    store.client.close()


@pytest.mark.real
def test_a_proposal_that_comes_too_late_changes_nothing(any_redis: RedisServer) -> None:
    store = FrozenRedis(any_redis.port)
    proposal = Proposal(base=0, state=State.OPEN, reason=Cause.FAILURE_RATE, worker="w", seen_at=0.0, forced=True)
    assert store.propose(proposal, 0, _T0_MS, latest_ms=_T0_MS - 1) == (-1, Circuit())
    assert store.client.hgetall(store.key) == {}
    assert store.propose(proposal, 0, _T0_MS, latest_ms=_T0_MS)[0] == 1
    store.client.close()


# --- leases: the same random words to memory and to Redis, the same answers ------------------------------------------

_words = st.lists(
    st.tuples(
        st.sampled_from(["acquire", "renew", "retain", "release"]),
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

    async def answers(bus: Bus) -> list[Round | bool | None]:
        verbs: dict[str, Callable[[str, Round], Awaitable[Round | bool | None]]] = {
            "acquire": lambda token, _: bus.acquire("p", token, 600.0),
            "renew": lambda token, so_far: bus.renew("p", token, 600.0, so_far),
            "retain": lambda token, so_far: bus.retain("p", token, 600.0, so_far),
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
