"""A worker of the app under a profiler: `python -m tests.bench.profiled_app PORT OUT` writes its profile at SIGTERM."""

from __future__ import annotations

import cProfile
import signal
import sys

import uvicorn

from flexiai.app import app

if __name__ == "__main__":
    port, out = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn raises it again once it has shut down
    server = uvicorn.Server(uvicorn.Config(app, port=int(port), access_log=False, log_level="warning"))
    profile = cProfile.Profile()
    profile.enable()
    try:
        server.run()
    finally:
        profile.disable()
        profile.dump_stats(out)
