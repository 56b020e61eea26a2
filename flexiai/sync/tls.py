"""TLS to Redis: certificates are read once, at the start, and the server's name is verified.

redis-py would read the system's certificates again for each connection, on the event loop: some 20 ms each time.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import Connection

from flexiai.errors import ConfigurationError

TLS_OPTIONS = frozenset(
    {
        "ssl_ca_certs",
        "ssl_ca_path",
        "ssl_cert_reqs",
        "ssl_certfile",
        "ssl_check_hostname",
        "ssl_ciphers",
        "ssl_keyfile",
        "ssl_password",
    }
)
_NO = ("0", "f", "false", "n", "no")


def tls_context(options: Mapping[str, str]) -> ssl.SSLContext:
    """The context for redis-py's `ssl_*` options; ConfigurationError for a file that cannot be used.

    Trusted are the named CAs alone, or the system's if none is named. `ssl_cert_reqs=none` verifies nothing.
    """
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path"))
    except (OSError, ssl.SSLError) as error:
        raise _unusable("redis_tls_ca_file", error) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.get("ssl_cert_reqs") == "none" or options.get("ssl_check_hostname", "").lower() in _NO:
        context.check_hostname = False
    if options.get("ssl_cert_reqs") == "none":
        context.verify_mode = ssl.CERT_NONE
    _present_ourselves(context, options)
    return context


def _present_ourselves(context: ssl.SSLContext, options: Mapping[str, str]) -> None:
    if certificate := options.get("ssl_certfile"):
        try:
            context.load_cert_chain(certificate, options.get("ssl_keyfile"), password=options.get("ssl_password", ""))
        except (OSError, ssl.SSLError, ValueError) as error:
            raise _unusable("redis_tls_cert_file with redis_tls_key_file", error) from None
    if ciphers := options.get("ssl_ciphers"):
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError as error:
            raise _unusable("ssl_ciphers", error) from None


def _unusable(setting: str, error: Exception) -> ConfigurationError:
    said = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
    return ConfigurationError(f"{setting} cannot be used: {said}")


class TcpConnection(Connection):
    """A connection by TCP, and by TLS if it is given a context. Closing it waits for nobody."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._tls = tls

    def _connection_arguments(self) -> dict[str, Any]:
        return {**super()._connection_arguments(), **({"ssl": self._tls} if self._tls is not None else {})}

    async def disconnect(self, nowait: bool = False, *args: Any, **options: Any) -> None:
        """Closed at once: the other side may be gone for good."""
        await super().disconnect(True, *args, **options)
