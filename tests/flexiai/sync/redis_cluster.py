"""A Redis Cluster of our own: three nodes that own the slots, and one that follows the owner of a given slot."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from random import SystemRandom
from typing import Any

from harness.real.redis_replicas import until
from harness.real.redis_server import HOST, RedisServer

SLOTS = 16_384
OWNERS = 3
NODE_TIMEOUT_MS = 1000


@dataclass(frozen=True, slots=True)
class Cluster:
    """`owners[i]` owned the i-th third of the slots at first; `heir` follows one of them."""

    owners: list[RedisServer]
    heir: RedisServer
    followed: RedisServer

    @property
    def nodes(self) -> list[RedisServer]:
        return [*self.owners, self.heir]

    def owner(self, slot: int) -> RedisServer:
        """Who owned it at first."""
        return self.owners[slot * OWNERS // SLOTS]

    async def caught_up(self) -> None:
        """The heir holds what its owner holds."""

        async def level() -> bool:
            ours = await self.followed.ask("INFO", "replication")
            theirs = await self.heir.ask("INFO", "replication")
            return bool(ours["master_repl_offset"] == theirs["slave_repl_offset"])

        await until(level, "the heir has caught up")

    async def deposed(self) -> None:
        """The owner has woken and follows its heir."""

        async def follows() -> bool:
            return bool((await self.followed.ask("INFO", "replication"))["role"] == "slave")

        await until(follows, "the old owner follows its heir")

    async def move_slot(self, slot: int, source: RedisServer, target: RedisServer, *, finish: bool = True) -> None:
        """As `redis-cli --cluster reshard` does it; `finish` False: keys have moved, the slot is on its way."""
        ids = {server: await _id(server) for server in (source, target)}
        await target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
        await source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
        while keys := await source.ask("CLUSTER", "GETKEYSINSLOT", slot, 10):
            await source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *(key.decode() for key in keys))
        if finish:
            for server in (target, source, *(s for s in self.owners if s not in (source, target))):
                await server.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[target])


@asynccontextmanager
async def running_cluster(binary: Path, follow_slot: int) -> AsyncIterator[Cluster]:
    """A cluster while the context is open; the owner of `follow_slot` has a replica."""
    async with AsyncExitStack() as stack:
        nodes = [RedisServer(port=port, binary=binary, options=_OPTIONS) for port in _free_ports(OWNERS + 1)]
        for node in nodes:
            stack.push_async_callback(node.stop)
            await node.start()
        *owners, heir = nodes
        cluster = Cluster(owners, heir, owners[follow_slot * OWNERS // SLOTS])
        await asyncio.gather(*(_own(owner, number) for number, owner in enumerate(owners)))
        for node, other in combinations(nodes, 2):
            await node.ask("CLUSTER", "MEET", HOST, other.port)
        followed = await _id(cluster.followed)
        await until(lambda: _knows(heir, followed), "the heir knows whom to follow")
        await heir.ask("CLUSTER", "REPLICATE", followed)
        for node in nodes:
            await until(lambda node=node: _is_whole(node, heir.port), "the cluster is whole")  # type: ignore[misc]
        await until(lambda: _is_fed(heir), "the heir is fed")
        yield cluster


_OPTIONS = (
    "--cluster-enabled",
    "yes",
    "--cluster-node-timeout",
    str(NODE_TIMEOUT_MS),
    "--cluster-require-full-coverage",
    "no",
    "--repl-ping-replica-period",
    "1",
    "--repl-diskless-sync-delay",
    "0",
)


async def _own(owner: RedisServer, number: int) -> None:
    first, last = -(-number * SLOTS // OWNERS), -(-(number + 1) * SLOTS // OWNERS) - 1
    await owner.ask("CLUSTER", "ADDSLOTS", *range(first, last + 1))
    await owner.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)


async def _id(server: RedisServer) -> str:
    name: bytes = await server.ask("CLUSTER", "MYID")
    return name.decode()


async def _knows(server: RedisServer, node: str) -> bool:
    return node in str(await server.ask("CLUSTER", "NODES"))


async def _is_whole(server: RedisServer, heir_port: int) -> bool:
    slots: list[Any] = await server.ask("CLUSTER", "SLOTS")
    info: bytes = await server.ask("CLUSTER", "INFO")
    ports = {node[1] for _, _, *nodes in slots for node in nodes}
    return len(ports) == OWNERS + 1 and heir_port in ports and b"cluster_state:ok" in info


async def _is_fed(server: RedisServer) -> bool:
    return bool((await server.ask("INFO", "replication"))["master_link_status"] == "up")


def _free_ports(count: int) -> list[int]:
    """Ports with their cluster bus ports (10,000 higher) free."""
    ports: list[int] = []
    rng = SystemRandom()
    while len(ports) < count:
        port = rng.randrange(12_000, 22_000)
        if port not in ports and all(_is_free(number) for number in (port, port + 10_000)):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
