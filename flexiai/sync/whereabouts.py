"""Where the primary is that moves: what the sentinels say, or the nodes of a cluster.

Rules
-----
* All are asked at once, and more than half must have answered; after half an operation's time those that have count.
  One that is dead, slow, or cut off with a primary of the past then neither delays nor misleads us.
* The sentinels' highest epoch wins, then what most say.
* An answer holds until something goes wrong at that place (`doubt`), the sentinels' for SURE_FOR_S at most: a primary
  that was cut off together with us does not tell us that it has been replaced.
* If nobody answers, the last place stands.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio.connection import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from flexiai.sync.target import Place
from flexiai.sync.watch import end

SURE_FOR_S = 5.0
MOST_ASKED = 7
Connect = Callable[[Place], Connection]
Moved = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one of those asked said. `others`: who else may be asked next time."""

    primary: Place
    epoch: int = 0
    others: tuple[Place, ...] = ()


class Guide:
    """How one of those who know is asked; each raises RedisError or OSError when it knows nothing."""

    sure_for_s = float("inf")

    async def ask(self, connection: Connection, at: Place) -> Vote:
        """Ask on a connection that is open."""
        raise NotImplementedError


class SentinelGuide(Guide):
    """Sentinels, about the primary of a service."""

    sure_for_s = SURE_FOR_S

    def __init__(self, service: str) -> None:
        self._service = service

    async def ask(self, connection: Connection, at: Place) -> Vote:
        """SENTINEL MASTER."""
        flat = await _said(connection, "SENTINEL", "MASTER", self._service)
        told = dict(zip(flat[::2], flat[1::2], strict=False))
        return Vote(Place(told[b"ip"].decode(), int(told[b"port"])), int(told.get(b"config-epoch", 0)))


class ClusterGuide(Guide):
    """Nodes of a cluster, about the owner of a slot."""

    def __init__(self, slot: int) -> None:
        self._slot = slot

    async def ask(self, connection: Connection, at: Place) -> Vote:
        """CLUSTER SLOTS."""
        owner: Place | None = None
        nodes: list[Place] = []
        for first, last, *servers in await _said(connection, "CLUSTER", "SLOTS"):
            here = [Place((server[0] or b"").decode() or at.host, int(server[1])) for server in servers]
            owner = here[0] if first <= self._slot <= last else owner
            nodes += here
        if owner is None:
            raise RedisConnectionError(f"no node of the cluster serves slot {self._slot}")
        return Vote(owner, others=tuple(dict.fromkeys(nodes)))


class Whereabouts:
    """Where the primary is, as far as we know. `moved` is awaited when it is somewhere else than it was."""

    def __init__(self, guide: Guide, seeds: Sequence[Place], connect: Connect, moved: Moved, budget_s: float) -> None:
        """`connect` makes a connection, not yet open, to one of those to ask; asking takes at most `budget_s`."""
        self._guide = guide
        self._seeds = tuple(seeds)
        self._connect = connect
        self._on_moved = moved
        self._budget_s = budget_s
        self._others: tuple[Place, ...] = ()
        self._place: Place | None = None
        self._sure_until = 0.0
        self._asking = asyncio.Lock()

    async def now(self) -> Place:
        """Where it is; RedisError when nobody has ever said so. Asks if that is in doubt."""
        if (place := self._certain) is not None:
            return place
        async with self._asking:
            if (place := self._certain) is None:
                await self.heard(place := await self._ask())
            return place

    def doubt(self) -> None:
        """Something went wrong there: ask again before the next use."""
        self._sure_until = 0.0

    async def heard(self, place: Place) -> None:
        """It is there; somebody who must know has said so."""
        if self._place is not None and place != self._place:
            await self._on_moved()
        self._place = place
        self._sure_until = _time() + self._guide.sure_for_s

    @property
    def _certain(self) -> Place | None:
        return self._place if _time() < self._sure_until else None

    async def _ask(self) -> Place:
        votes, trouble = await self._votes()
        if votes:
            self._others = max((vote.others for vote in votes), key=len)
            counts = Counter(vote.primary for vote in votes)
            return max(votes, key=lambda vote: (vote.epoch, counts[vote.primary])).primary
        if self._place is not None:
            return self._place
        raise RedisConnectionError("; ".join(trouble) or "nobody said in time where it is")

    async def _votes(self) -> tuple[list[Vote], list[str]]:
        """What was answered in time; and what went wrong elsewhere."""
        asked = list(dict.fromkeys([*self._seeds, *self._others]))[:MOST_ASKED]
        pending = {asyncio.create_task(self._vote(place), name=f"ask-{place}") for place in asked}
        everybody, votes, trouble = set(pending), list[Vote](), list[str]()
        until = _time() + self._budget_s
        try:
            while pending and len(votes) <= len(asked) // 2:
                done, pending = await asyncio.wait(
                    pending, timeout=max(0.0, until - _time()), return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for task in done:
                    (votes if isinstance(said := task.result(), Vote) else trouble).append(said)  # type: ignore[arg-type]
        finally:
            await end(*everybody)
        return votes, trouble

    async def _vote(self, place: Place) -> Vote | str:
        """One vote, or what went wrong."""
        connection = self._connect(place)
        try:
            connect: Any = connection.connect  # untyped in redis-py
            await connect()
            return await self._guide.ask(connection, place)
        except (RedisError, OSError, LookupError, TypeError, ValueError) as error:
            return f"{place}: {str(error) or type(error).__name__}"
        finally:
            await connection.disconnect(nowait=True)


async def _said(connection: Connection, *words: str) -> Any:
    await connection.send_command(*words)
    return await connection.read_response(disable_decoding=True)


def _time() -> float:
    return asyncio.get_running_loop().time()
