"""A campaign on many machines: the processes of a Dask cluster (`pip install 'flexiai[cluster]'` there and here).

A worker that dies takes nothing with it: the scheduler gives its batches to others, and a batch has one result. Every
worker must run the same code as this process.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from harness import rundir
from harness.rundir import code_fingerprint
from harness.world import Unsupported, WorldError

WAIT_S = 30.0
"""How long to wait for the scheduler, and for a first worker."""


class ClusterExecutor(Executor):
    """A cluster's processes as an executor. `slots`: batches that it can run at once, as it is now."""

    def __init__(self, address: str) -> None:
        """Connect. Unsupported without the package; WorldError for a cluster that is not there or runs other code."""
        try:
            from distributed import Client
        except ImportError:
            raise Unsupported("a cluster needs the package distributed: pip install 'flexiai[cluster]'") from None
        try:
            self._client: Any = Client(address, timeout=WAIT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise WorldError(f"there is no Dask scheduler at {address}: {error}") from error
        try:
            self._client.wait_for_workers(1, timeout=WAIT_S)
            self._check_code()
            self._inner: Any = self._client.get_executor(pure=False)
        except TimeoutError as error:
            self._client.close()
            raise WorldError(f"the cluster at {address} has no workers: {error}") from error
        except WorldError:
            self._client.close()
            raise
        self._futures: set[Future[Any]] = set()

    @property
    def slots(self) -> int:
        """Batches that run at once."""
        return sum(self._client.nthreads().values()) or 1

    def submit(self, work: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """Begin some work on some worker."""
        future: Future[Any] = self._inner.submit(work, *args, **named)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave the cluster, which goes on."""
        if cancel_futures:
            for future in list(self._futures):
                future.cancel()
        self._inner.shutdown(wait=wait and not cancel_futures)
        self._client.close()

    def _check_code(self) -> None:
        ours = code_fingerprint()
        others = {worker for worker, code in self._client.run(rundir.code_fingerprint).items() if code != ours}
        if others:
            raise WorldError(f"these workers run other code than this process: {', '.join(sorted(others))}")
