"""An operator's words through the clients, and what a client says of its providers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai import AsyncFlexiAI, BreakerConfig, ConfigurationError, FlexiAI, ProviderConfig, SyncConfig
from flexiai.core.circuit import Cause, Mode, State
from flexiai.events import OperatorActed, RecordApplied, Transition
from flexiai.operating import NOTE_LENGTH, limited, noted
from flexiai.sync.memory import MemoryBus, MemoryStore
from tests.flexiai.client_parts import HELLO, Scripted, fleet, run, status


@given(reason=st.text() | st.none())
def test_a_reason_is_one_bounded_printable_line(reason: str | None) -> None:
    note = noted(reason)
    assert len(note) <= NOTE_LENGTH
    assert note.isprintable()
    assert note == note.strip()
    assert noted(note) == note


@pytest.mark.parametrize("for_s", [0.0, -1.0, 86_401.0, float("nan"), float("inf")])
def test_a_hold_has_a_limit(for_s: float) -> None:
    with pytest.raises(ConfigurationError):
        limited(for_s)


def test_status_says_why_a_provider_is_not_asked() -> None:
    f = fleet([status(503)], [], breaker=BreakerConfig(failure_threshold=1))

    async def main() -> None:
        async with f.client:
            before = f.client.status().providers[0]
            assert (before.state, before.reporter, before.since_s, before.by) == (State.CLOSED, "", None, "worker")
            await f.client.chat.completions.create(messages=HELLO)
            opened = f.client.status().providers[0]
            assert (opened.state, opened.reason, opened.by) == (State.OPEN, Cause.CONSECUTIVE_FAILURES, "worker")
            assert (opened.reporter, opened.mode, opened.note, opened.available) == ("w", Mode.NORMAL, "", False)
            assert opened.since_s is not None
            assert 0 <= opened.since_s < 10
            assert opened.until_s is not None
            assert 0 < opened.until_s <= 33
            f.client.force_open("a", for_s=60, reason="a deploy")
            f.client.drain("b", for_s=30)
            a, b = f.client.status().providers
            assert (a.reason, a.by, a.mode, a.note) == (Cause.FORCED_OPEN, "operator", Mode.OPEN, "a deploy")
            assert a.held_for_s is not None
            assert 59 < a.held_for_s <= 60
            assert (b.state, b.by, b.mode, b.available) == (State.CLOSED, "operator", Mode.DRAIN, True)
            f.client.reset("a", "mended")
            a = f.client.status().providers[0]
            assert (a.state, a.by, a.mode, a.note, a.held_for_s) == (
                State.CLOSED,
                "operator",
                Mode.NORMAL,
                "mended",
                None,
            )

    run(main())
    assert [(e.action, e.provider, e.for_s, e.note) for e in f.only(OperatorActed)] == [
        ("open", "a", 60.0, "a deploy"),
        ("drain", "b", 30.0, ""),
        ("reset", "a", 0.0, "mended"),
    ]


def test_an_unknown_provider_is_a_key_error() -> None:
    f = fleet([])

    async def main() -> None:
        async with f.client:
            with pytest.raises(KeyError):
                f.client.force_open("x", for_s=1)

    run(main())


def test_one_workers_word_reaches_the_others_and_those_who_join_later() -> None:
    async def main() -> None:
        store = MemoryStore(asyncio.get_running_loop().time)
        applied = asyncio.Event()

        def client(name: str) -> AsyncFlexiAI:
            return AsyncFlexiAI(
                providers=[ProviderConfig(name="a", model="m")],
                custom={"a": Scripted("a")},
                sync=SyncConfig(backend="memory"),
                bus=MemoryBus(store),
                worker=name,
                listeners=[lambda e: applied.set() if isinstance(e, RecordApplied) and e.worker == "two" else None],
            )

        async with client("one") as one, client("two") as two:
            one.force_open("a", for_s=60, reason="a deploy")
            await applied.wait()
            async with client("three") as three:
                for told in (two, three):
                    (a,) = told.status().providers
                    assert (a.state, a.mode, a.note, a.reporter) == (State.OPEN, Mode.OPEN, "a deploy", "one")
                    assert a.told

    run(main())


def test_the_blocking_client_has_the_same_words() -> None:
    seen: list[object] = []
    with FlexiAI(
        providers=[ProviderConfig(name="a", model="m")], custom={"a": Scripted("a")}, listeners=[seen.append]
    ) as client:
        client.force_open("a", for_s=60, reason="x")
        assert client.status().providers[0].mode is Mode.OPEN
        client.drain("a", for_s=60)
        assert client.status().providers[0].mode is Mode.DRAIN
        client.reset("a", "y")
        assert client.status().providers[0].state is State.CLOSED
    assert [(e.frm, e.to, e.cause) for e in seen if isinstance(e, Transition)] == [
        (State.CLOSED, State.OPEN, Cause.FORCED_OPEN),
        (State.OPEN, State.CLOSED, Cause.RESET),
    ]
