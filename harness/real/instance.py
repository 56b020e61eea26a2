"""One instance of the app: what `uvicorn flexiai.app:app --workers N` does, with a supervisor for a single worker too.

uvicorn's own command runs a single worker without one: a fault that ends that worker would end the instance, and
nothing would start another in its place.
"""

from __future__ import annotations

import sys

from uvicorn import Config
from uvicorn.supervisors import Multiprocess

from harness.real.ports import HOST

GRACE_S = 5
# The supervisor kills a worker that does not answer it for this long: longer than any pause a scenario asks for.
HEALTHCHECK_S = 600


def main(port: int, workers: int, app: str) -> None:
    """Serve `app` on `port` with `workers` processes until told to end."""
    config = Config(
        app,
        host=HOST,
        port=port,
        workers=workers,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=GRACE_S,
        timeout_worker_healthcheck=HEALTHCHECK_S,
    )
    Multiprocess(config, sockets=[config.bind_socket()]).run()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
