"""The one HTTP session of a worker, shared by all its providers."""

from __future__ import annotations

import math

import aiohttp

from flexiai.types import RequestConfig

MAX_CONNECTIONS = 1000  # to one provider, as in the vendors' own SDKs; a provider that hangs takes none from another
KEEP_ALIVE_S = 15.0


def new_session(request: RequestConfig) -> aiohttp.ClientSession:
    """A session for all providers of one worker; the caller closes it. Must be called in a running event loop.

    Cookies are not kept; proxies and credentials from the environment (HTTP_PROXY, .netrc) are not used.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=MAX_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=connect_bound(request),
        trust_env=False,
    )


def connect_bound(request: RequestConfig) -> aiohttp.ClientTimeout:
    """The bound of connecting only: that of the attempt is kept with asyncio.timeout.

    aiohttp rounds its own timeouts from 5 s up to whole seconds (`ceil_threshold`); ours are exact.
    """
    return aiohttp.ClientTimeout(total=None, sock_connect=request.connect_timeout_s, ceil_threshold=math.inf)
