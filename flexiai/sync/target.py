"""What the settings say about where Redis is and how it lets us in, in one form for all ways to say it.

    redis://[user:password@]host[:port][/db]                   one server; rediss:// by TLS
    unix://[user:password@]/path[?db=0]                        one server on this host
    redis+sentinel://[user:password@]host[:port],…/service[/db]    the primary that these sentinels name; rediss+sentinel://
    redis+cluster://[user:password@]host[:port],…              a cluster that these nodes belong to; rediss+cluster://

Rules
-----
* What a URL says wins over a setting. An option that would change how we wait or retry is skipped: that is not up to
  the URL; one that nobody knows is an error.
* No message repeats what was given: it may hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import SecretStr

from flexiai.errors import ConfigurationError
from flexiai.sync.tls import TLS_OPTIONS, tls_context
from flexiai.types import SyncConfig

REDIS_PORT = 6379
SENTINEL_PORT = 26379

Kind = Literal["server", "sentinel", "cluster"]
_SCHEME = re.compile(r"(redis|rediss|unix)(?:\+(sentinel|cluster))?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+)(?::(\d{1,5}))?")
_KNOWN = {"db", "username", "password", "client_name", "sentinel_username", "sentinel_password", *TLS_OPTIONS}
_OURS = {
    "decode_responses",
    "health_check_interval",
    "legacy_responses",
    "max_connections",
    "protocol",
    "retry_on_timeout",
    "socket_connect_timeout",
    "socket_timeout",
    "timeout",
}
NO_URL = (
    "redis_url is not a redis://, rediss://, unix://, redis+sentinel:// or redis+cluster:// URL with valid options "
    "(a password's special characters must be percent-encoded)"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server listens: a host and a port, or the path of a unix socket."""

    host: str
    port: int = 0

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and self.port else self.host
        return f"{host}:{self.port}" if self.port else host


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are there."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def options(self) -> dict[str, Any]:
        """By redis-py's names."""
        return {"username": self.username, "password": self.password or None}


@dataclass(frozen=True, slots=True)
class Target:
    """A server, or those who know where it is.

    places   the server; or the sentinels; or some nodes of the cluster
    service  the sentinels' name for the primary and its replicas
    login    on the server; `guard`: on the sentinels
    tls      None: without. Both for the server and for the sentinels
    """

    kind: Kind
    places: tuple[Place, ...]
    login: Login
    db: int = 0
    service: str = ""
    guard: Login = Login()
    tls: Any = field(default=None, repr=False)  # an SSLContext
    client_name: str | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        places = ", ".join(map(str, self.places))
        match self.kind:
            case "server":
                return places
            case "sentinel":
                return f"the primary of {self.service} (sentinels {places})"
            case "cluster":
                return f"the cluster of {places}"


def target_of(config: SyncConfig) -> Target:
    """What `config` means; ConfigurationError for a URL that is none, or for a certificate that cannot be used."""
    if config.redis_url is not None:
        return _from_url(config)
    kind: Kind = "sentinel" if config.redis_sentinels else "cluster" if config.redis_cluster else "server"
    places = tuple(_place(host, SENTINEL_PORT) for host in config.redis_sentinels)
    return _target(
        config,
        kind,
        places or (Place(config.redis_host, config.redis_port),),
        login=Login(config.redis_username, _shown(config.redis_password)),
        db=config.redis_db,
        service=config.redis_sentinel_service or "",
        guard=Login(config.redis_sentinel_username, _shown(config.redis_sentinel_password)),
        tls_options={} if config.redis_tls else None,
    )


def _from_url(config: SyncConfig) -> Target:
    try:
        return _parsed(config, _shown(config.redis_url) or "")
    except ValueError:
        raise ConfigurationError(NO_URL) from None


def _parsed(config: SyncConfig, url: str) -> Target:
    parts = urlsplit(url)
    scheme = _SCHEME.fullmatch(parts.scheme)
    if scheme is None or (scheme[1] == "unix" and scheme[2]):
        raise ValueError
    options = _options(parts.query)
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = (unquote(part) for part in user.partition(":"))
    kind: Kind = scheme[2] or ("cluster" if config.redis_cluster else "server")  # type: ignore[assignment]  # _SCHEME
    path = [unquote(part) for part in parts.path.split("/") if part]
    if kind == "sentinel" and not path:
        raise ValueError
    service = path.pop(0) if kind == "sentinel" else ""
    db = int(options.get("db") or (path[0] if path and scheme[1] != "unix" else "0"))
    places = (Place(unquote(parts.path)),) if scheme[1] == "unix" else _places(hosts, kind)
    if db < 0 or (kind == "cluster" and db) or not places[0].host or (kind == "server" and len(places) > 1):
        raise ValueError
    return _target(
        config,
        kind,
        places,
        login=Login(username or options.get("username"), password or options.get("password")),
        db=db,
        service=service,
        guard=Login(options.get("sentinel_username"), options.get("sentinel_password")),
        tls_options=_chosen(options, TLS_OPTIONS) if scheme[1] == "rediss" else None,
        client_name=options.get("client_name"),
    )


def _target(
    config: SyncConfig,
    kind: Kind,
    places: tuple[Place, ...],
    *,
    login: Login,
    guard: Login,
    tls_options: dict[str, str] | None,
    **rest: Any,
) -> Target:
    secrets = (login.password, guard.password, (tls_options or {}).get("ssl_password"))
    return Target(
        kind,
        places,
        login,
        guard=guard,
        tls=None if tls_options is None else tls_context(_files(config) | tls_options),
        secrets=tuple(secret for secret in secrets if secret),
        **rest,
    )


def _files(config: SyncConfig) -> dict[str, str]:
    files = {
        "ssl_ca_certs": config.redis_tls_ca_file,
        "ssl_certfile": config.redis_tls_cert_file,
        "ssl_keyfile": config.redis_tls_key_file,
    }
    return {name: str(path) for name, path in files.items() if path is not None}


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query))
    if options.keys() - _KNOWN - _OURS:
        raise ConfigurationError(f"redis_url has an option that is not known; known are {', '.join(sorted(_KNOWN))}")
    return options


def _chosen(options: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name in names}


def _places(hosts: str, kind: Kind) -> tuple[Place, ...]:
    port = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
    return tuple(_place(unquote(host), port) for host in (hosts or "localhost").split(","))


def _place(text: str, port: int) -> Place:
    found = _HOST.fullmatch(text)
    if found is None or not 0 < (number := int(found[2] or port)) < 65_536:
        raise ValueError
    return Place(found[1].strip("[]"), number)


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None
