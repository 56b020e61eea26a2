"""The simulated Redis: RESP in, RESP out, in virtual time. It needs bytes, a clock and a way to call later: no I/O."""

from harness.sim.redis.core import NEEDS_MEMORY, WRITES, Denial, Stats
from harness.sim.redis.server import Costs, SimRedis

__all__ = ["NEEDS_MEMORY", "WRITES", "Costs", "Denial", "SimRedis", "Stats"]
