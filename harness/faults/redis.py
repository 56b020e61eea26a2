"""What breaks at Redis, or on the way to it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers
from harness.units import Duration, Fraction, PositiveDuration

PROCESS = frozenset({"kill", "restart", "pause", "failover"})
"""The faults of the process itself: no two of them can be at once, and nobody can ask it for anything meanwhile."""

ANSWERS_ERRORS = frozenset({"readonly", "oom", "loading", "noauth"})
"""The faults that make it answer errors: no two of them can be at once."""

REFUSES_WRITES = frozenset({"readonly", "oom"})
"""Those of them under which reads and subscriptions go on."""

Direction = Literal["both", "to_redis", "from_redis"]


class RedisKill(Fault):
    """Killed (SIGKILL); with `for`, started again afterwards, empty."""

    of, name = "redis", "kill"
    cause = "out of memory, a node lost, a failover without a replica"
    example = "{at: 20s, for: 5s, target: redis, inject: kill}"
    rules_out = PROCESS
    forgets = True


class RedisRestart(Fault):
    """Shut down in good order, and started again after `for`, with what it held or without."""

    of, name = "redis", "restart"
    cause = "a maintenance, an upgrade, with a snapshot on its disk or without"
    example = "{at: 20s, for: 2s, target: redis, inject: restart, data: persisted}"
    needs_for = True
    rules_out = PROCESS
    forgets = True  # with `persisted` too: what was written while it went down
    data: Literal["empty", "persisted"] = "empty"


class RedisPause(Fault):
    """Frozen (SIGSTOP): connections stay open, nothing is answered."""

    of, name = "redis", "pause"
    cause = "a long fork, swap, a stalled disk, a frozen virtual machine"
    example = "{at: 20s, for: 5s, target: redis, inject: pause}"
    needs_for = True
    rules_out = PROCESS


class RedisFailover(Fault):
    """Its replica hears no more; after `for` it is lost, and the replica takes its place without what came since."""

    of, name = "redis", "failover"
    cause = "asynchronous replication: Sentinel or Cluster promotes a replica that lags behind"
    example = "{at: 20s, for: 3s, target: redis, inject: failover}"
    needs_for = True
    rules_out = PROCESS
    forgets = True


class RedisPartition(Fault):
    """Cannot be reached from some workers, or cannot reach them. Bytes are held until it heals, or dropped: the
    connections are then lost with them."""

    of, name = "redis", "partition"
    cause = "a network partition between an availability zone and Redis; a firewall's table that forgot a connection"
    example = '{at: 20s, for: 10s, target: redis, inject: partition, workers: "2 of 12"}'
    needs_for = True
    rules_out = frozenset({"partition"})
    workers: Workers = ALL
    direction: Direction = "both"
    bytes_: Literal["held", "dropped"] = Field("held", alias="bytes")


class RedisLatency(Fault):
    """Further away, for some workers: each direction takes `add` longer, and up to `spread` more, drawn each time."""

    of, name = "redis", "latency"
    cause = "a congested link, a Redis in another region"
    example = "{at: 20s, for: 10s, target: redis, inject: latency, add: 100ms, spread: 50ms}"
    rules_out = frozenset({"latency"})
    add: PositiveDuration
    spread: Duration = 0.0
    workers: Workers = ALL


class RedisReset(Fault):
    """The connections of some workers are reset, once; new ones are taken."""

    of, name = "redis", "reset"
    cause = "a load balancer's idle timeout, a proxy that restarts, CLIENT KILL"
    example = '{at: 20s, target: redis, inject: reset, workers: "2 of 12"}'
    instant = True
    rules_out = PROCESS
    workers: Workers = ALL


class RedisRefuse(Fault):
    """Refuses some workers: their connections are reset, and so are new ones."""

    of, name = "redis", "refuse"
    cause = "a security group changed, maxclients reached"
    example = '{at: 20s, for: 10s, target: redis, inject: refuse, workers: "2 of 12"}'
    rules_out = frozenset({"refuse"})
    workers: Workers = ALL


class RedisSubscribersKilled(Fault):
    """Disconnects every subscriber, and nobody else (CLIENT KILL TYPE pubsub)."""

    of, name = "redis", "subscribers_killed"
    cause = "an operator, an idle timeout of subscriptions alone"
    example = "{at: 20s, target: redis, inject: subscribers_killed}"
    instant = True
    rules_out = PROCESS


class RedisOverflow(Fault):
    """Disconnects every subscriber at its output buffer's limit (client-output-buffer-limit), by a huge message."""

    of, name = "redis", "overflow"
    cause = "slow subscribers, a neighbour that publishes too much"
    example = "{at: 20s, target: redis, inject: overflow}"
    instant = True
    rules_out = PROCESS


class RedisFlush(Fault):
    """Loses all it holds (FLUSHALL)."""

    of, name = "redis", "flush"
    cause = "an operator's mistake, eviction"
    example = "{at: 20s, target: redis, inject: flush}"
    instant = True
    rules_out = PROCESS
    forgets = True


class RedisDropMessages(Fault):
    """Loses published messages on their way to some workers; all else arrives."""

    of, name = "redis", "drop_messages"
    cause = "pub/sub delivers at most once: messages fall into every gap of a subscription"
    example = '{at: 20s, for: 10s, target: redis, inject: drop_messages, share: 50%, workers: "6 of 12"}'
    rules_out = frozenset({"drop_messages"})
    share: Fraction = 1.0
    workers: Workers = ALL


class RedisReadonly(Fault):
    """Refuses writes (READONLY); reads and subscriptions go on."""

    of, name = "redis", "readonly"
    cause = "a failover that the clients' address did not follow: they talk to a replica"
    example = "{at: 20s, for: 5s, target: redis, inject: readonly}"
    needs_for = True
    rules_out = PROCESS | ANSWERS_ERRORS


class RedisOom(Fault):
    """Refuses writes that need memory (OOM); reads and subscriptions go on."""

    of, name = "redis", "oom"
    cause = "maxmemory reached under noeviction"
    example = "{at: 20s, for: 5s, target: redis, inject: oom}"
    needs_for = True
    rules_out = PROCESS | ANSWERS_ERRORS


class RedisLoading(Fault):
    """Answers LOADING to every command."""

    of, name = "redis", "loading"
    cause = "a restart with a large data set"
    example = "{at: 20s, for: 5s, target: redis, inject: loading}"
    needs_for = True
    rules_out = PROCESS | ANSWERS_ERRORS


class RedisNoAuth(Fault):
    """Its connections are ended, and new ones are answered NOAUTH."""

    of, name = "redis", "noauth"
    cause = "the password was rotated before the workers had the new one"
    example = "{at: 20s, for: 5s, target: redis, inject: noauth}"
    needs_for = True
    rules_out = PROCESS | ANSWERS_ERRORS


KINDS: tuple[type[Fault], ...] = (
    RedisKill,
    RedisRestart,
    RedisPause,
    RedisFailover,
    RedisPartition,
    RedisLatency,
    RedisReset,
    RedisRefuse,
    RedisSubscribersKilled,
    RedisOverflow,
    RedisFlush,
    RedisDropMessages,
    RedisReadonly,
    RedisOom,
    RedisLoading,
    RedisNoAuth,
)
