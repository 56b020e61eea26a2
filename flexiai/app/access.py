"""Who may come in: operators with the admin token, callers with an API key.

Rules
-----
* Without an admin token operators are let in from this very host alone: a loopback peer, and no sign that somebody else
  stands behind it. A forwarding header is a proxy's (`X-Forwarded-…`, `…-Client-IP` and the like), an Origin a web
  page's: then the peer is not who asks.
* Without API keys everybody may chat.
* Credentials are compared in constant time, as digests: neither their content nor their length shows in the time.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256
from ipaddress import ip_address

from pydantic import SecretStr
from starlette.types import Scope

from flexiai.app.refused import NoKey, NotFromHere, NoToken
from flexiai.app.settings import Doors

_not_the_peers_own = re.compile(
    rb"(x-)?(original-)?forwarded(-.*)?|(.*-)?(client|real|connecting)-?ip(v6)?|via|origin"
).fullmatch
_BEARER = b"bearer "

Headers = Iterable[tuple[bytes, bytes]]


class Access:
    """The doors of one worker."""

    def __init__(self, doors: Doors) -> None:
        self._admin = _digests([doors.admin_token] if doors.admin_token else [])
        self._keys = _digests(doors.api_keys)

    def check_caller(self, headers: Headers) -> None:
        """NoKey unless whoever sent `headers` may chat."""
        if self._keys and not _is_one_of(self._keys, headers):
            raise NoKey()

    def check_operator(self, scope: Scope) -> None:
        """NoToken or NotFromHere unless whoever sent this request may operate."""
        if self._admin:
            if not _is_one_of(self._admin, scope["headers"]):
                raise NoToken()
        elif not _from_this_host(scope):
            raise NotFromHere()


def _digests(secrets: Iterable[SecretStr]) -> tuple[bytes, ...]:
    return tuple(sha256(secret.get_secret_value().encode()).digest() for secret in secrets)


def _is_one_of(digests: tuple[bytes, ...], headers: Headers) -> bool:
    given = sha256(_bearer(headers)).digest()
    return sum(hmac.compare_digest(given, digest) for digest in digests) > 0  # all are compared, whichever fits


def _bearer(headers: Headers) -> bytes:
    for name, value in headers:
        if name == b"authorization" and value[: len(_BEARER)].lower() == _BEARER:
            return value[len(_BEARER) :].strip()
    return b""


def _from_this_host(scope: Scope) -> bool:
    client = scope.get("client")
    if client is None or any(_not_the_peers_own(name) for name, _ in scope["headers"]):
        return False
    return _is_loopback(client[0])


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
