"""The simulated Redis: RESP in, RESP out, in virtual time. It needs bytes, a clock and a way to call later: no I/O."""

from harness.sim.redis.core import Stats
from harness.sim.redis.server import Costs, SimRedis

__all__ = ["Costs", "SimRedis", "Stats"]
