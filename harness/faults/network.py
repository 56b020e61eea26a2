"""What breaks between some workers and all that they talk to: Redis and every provider."""

from __future__ import annotations

from pydantic import Field, model_validator

from harness.faults.base import Fault
from harness.faults.choice import ALL, Workers
from harness.units import PositiveDuration


class NetworkPartition(Fault):
    """Some workers reach nothing: bytes are held, in both directions, until it heals."""

    of, name = "network", "partition"
    cause = "a host that lost its switch, an availability zone cut off"
    example = '{at: 20s, for: 10s, target: network, inject: partition, workers: "1 of 12"}'
    needs_for = True
    rules_out = frozenset({"partition", "swizzle"})
    workers: Workers = ALL


class NetworkSwizzle(Fault):
    """Workers are cut off one after the other, and let go one after the other, in an order of its own."""

    of, name = "network", "swizzle"
    cause = "a rolling reconfiguration of switches; the order of failures and recoveries that no test thinks of"
    example = '{at: 20s, for: 12s, target: network, inject: swizzle, workers: "4 of 12"}'
    needs_for = planned = True
    rules_out = frozenset({"partition", "swizzle"})
    workers: Workers = ALL


class NetworkLatency(Fault):
    """Everything is further away: each way takes longer, log-normal by `median` and `p99`."""

    of, name = "network", "latency"
    cause = "a congested uplink, a detour"
    example = '{at: 20s, for: 10s, target: network, inject: latency, median: 20ms, p99: 200ms, workers: "2 of 12"}'
    rules_out = frozenset({"latency"})
    median: PositiveDuration
    p99: PositiveDuration
    workers: Workers = ALL

    @model_validator(mode="after")
    def _ordered(self) -> NetworkLatency:
        if self.p99 < self.median:
            raise ValueError("p99 must not be less than the median")
        return self


class NetworkBandwidth(Fault):
    """Ways are narrow: so many bytes a second each way (in simulation to Redis alone, where there are bytes)."""

    of, name = "network", "bandwidth"
    cause = "a saturated link, a traffic shaper"
    example = '{at: 20s, for: 10s, target: network, inject: bandwidth, bytes_per_s: 20000, workers: "2 of 12"}'
    rules_out = frozenset({"bandwidth"})
    bytes_per_s: int = Field(ge=100)
    workers: Workers = ALL


KINDS: tuple[type[Fault], ...] = (NetworkPartition, NetworkSwizzle, NetworkLatency, NetworkBandwidth)
