"""Whom we believe about where the primary is: scripted sentinels and cluster nodes that know, err, or say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from flexiai.sync.target import Place
from flexiai.sync.whereabouts import ClusterGuide, Guide, SentinelGuide, Whereabouts
from tests.flexiai.sync.scripted import Answer, scripted

OLD, NEW = Place("127.0.0.1", 1111), Place("127.0.0.1", 2222)


def sentinel(primary: Place, epoch: int) -> Answer:
    """One that names a primary."""
    words = ["name", "m", "ip", primary.host, "port", str(primary.port), "flags", "master", "config-epoch", str(epoch)]
    reply = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
    return lambda asked: reply if asked == ["SENTINEL", "MASTER", "m"] else b"-ERR what?\r\n"


def node(owner: Place) -> Answer:
    """One that names the owner of all slots; its host is left out: the one that was asked."""
    reply = b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:%d\r\n$1\r\nx\r\n" % owner.port
    return lambda asked: reply if asked == ["CLUSTER", "SLOTS"] else b"-ERR what?\r\n"


def silent(asked: list[str]) -> None:
    """One that is frozen."""


def ignorant(asked: list[str]) -> bytes:
    return b"-ERR No such master with that name\r\n"


def latest(says: list[Answer]) -> Answer:
    """Whatever `says[0]` is at the time."""

    def answer(words: list[str]) -> bytes | None:
        return says[0](words)

    return answer


class Scene:
    """Whereabouts over some scripted servers, with a record of moves."""

    def __init__(self, guide: Guide, ports: list[int], budget_s: float) -> None:
        self.moves = 0
        seeds = [Place("127.0.0.1", port) for port in ports]
        self.where = Whereabouts(guide, seeds, self._connect, self._moved, budget_s)

    def _connect(self, place: Place) -> Connection:
        return Connection(host=place.host, port=place.port, protocol=2, driver_info=None, retry=Retry(NoBackoff(), 0))

    async def _moved(self) -> None:
        self.moves += 1


def play(guide: Guide, answers: list[Answer], budget_s: float = 5.0) -> Callable[[], Place]:
    """Where the primary is by these."""

    async def scene() -> Place:
        async with AsyncExitStack() as stack:
            ports = [await stack.enter_async_context(scripted(answer)) for answer in answers]
            return await Scene(guide, ports, budget_s).where.now()

    return lambda: asyncio.run(scene())


@pytest.mark.parametrize("stale_at", [0, 1, 2])
def test_the_highest_epoch_wins_over_a_sentinel_of_the_past(stale_at: int) -> None:
    answers = [sentinel(NEW, 7), sentinel(NEW, 7)]
    answers.insert(stale_at, sentinel(OLD, 6))
    assert play(SentinelGuide("m"), answers)() == NEW


def test_one_of_the_past_and_a_frozen_one_do_not_mislead() -> None:
    assert play(SentinelGuide("m"), [sentinel(OLD, 6), silent, sentinel(NEW, 7)])() == NEW


def test_a_frozen_one_delays_nobody_who_has_a_majority() -> None:
    assert play(SentinelGuide("m"), [silent, sentinel(NEW, 1), sentinel(NEW, 1)], budget_s=600.0)() == NEW


def test_without_a_majority_those_count_that_answered_in_time() -> None:
    assert play(SentinelGuide("m"), [silent, silent, sentinel(NEW, 1)], budget_s=0.2)() == NEW


def test_the_owner_that_most_nodes_name_wins_over_one_that_names_itself() -> None:
    answers = [node(OLD), node(NEW), node(NEW)]
    assert play(ClusterGuide(5), answers)().port == NEW.port


@pytest.mark.parametrize("answers", [[ignorant, ignorant], [silent], [silent, ignorant]])
def test_when_nobody_knows_that_is_an_error(answers: list[Answer]) -> None:
    with pytest.raises(RedisError):
        play(SentinelGuide("m"), answers, budget_s=0.2)()


def test_an_answer_holds_until_it_is_in_doubt_and_a_move_is_told_once() -> None:
    asked = 0
    says = [sentinel(OLD, 1)]

    def counted(words: list[str]) -> bytes | None:
        nonlocal asked
        asked += 1
        return says[0](words)

    async def scene() -> None:
        async with scripted(counted) as port:
            play = Scene(SentinelGuide("m"), [port], 5.0)
            assert [await play.where.now() for _ in range(3)] == [OLD] * 3
            assert asked == 1
            says[0] = sentinel(NEW, 2)
            assert await play.where.now() == OLD
            play.where.doubt()
            assert await asyncio.gather(*(play.where.now() for _ in range(5))) == [NEW] * 5
            assert (asked, play.moves) == (2, 1)
            says[0] = ignorant  # type: ignore[assignment]
            play.where.doubt()
            assert await play.where.now() == NEW  # nobody knows better
            assert play.moves == 1

    asyncio.run(scene())


def test_what_sentinels_said_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SentinelGuide, "sure_for_s", 0.0)
    says = [sentinel(OLD, 1)]

    async def scene() -> None:
        async with scripted(latest(says)) as port:
            play = Scene(SentinelGuide("m"), [port], 5.0)
            assert await play.where.now() == OLD
            says[0] = sentinel(NEW, 2)
            assert await play.where.now() == NEW

    asyncio.run(scene())


def test_nodes_that_a_cluster_has_named_are_asked_when_the_seed_is_gone() -> None:
    async def scene() -> None:
        async with AsyncExitStack() as stack:
            says: list[Answer] = [silent]
            other = await stack.enter_async_context(scripted(latest(says)))
            says[0] = node(Place("", other))
            async with scripted(latest(says)) as seed:
                play = Scene(ClusterGuide(5), [seed], 5.0)
                assert (await play.where.now()).port == other
            says[0] = node(NEW)
            play.where.doubt()
            assert (await play.where.now()).port == NEW.port

    asyncio.run(scene())
