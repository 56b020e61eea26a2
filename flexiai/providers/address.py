"""Where a provider lives and with what key, checked before the first request. ConfigurationError names the setting."""

from __future__ import annotations

import re

from yarl import URL

from flexiai.errors import ConfigurationError
from flexiai.types import ProviderConfig

_name_like = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


def secret_of(config: ProviderConfig) -> str | None:
    """The provider's key as it is sent; None if it has none."""
    secret = config.api_key.get_secret_value() if config.api_key is not None else None
    if secret and not (secret.isascii() and secret.isprintable() and " " not in secret):
        raise ConfigurationError(
            f"the api_key of provider {config.name} holds a character that no HTTP header can carry"
        )
    return secret or None


def headers_of(config: ProviderConfig) -> dict[str, str]:
    """The provider's own headers as they are sent."""
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    for name, value in headers.items():
        if not (_name_like(name) and value.isascii() and value.isprintable()):
            raise ConfigurationError(f"a header of provider {config.name} is not one that HTTP can carry")
    return headers


def url_of(config: ProviderConfig, default: str, path: str) -> URL:
    """`path` below the provider's base URL (`default` unless configured); a query in the base URL is kept."""
    try:
        base = URL(config.base_url or default)
    except ValueError:
        base = URL()
    if base.scheme not in ("http", "https") or not base.host or base.user or base.password or base.fragment:
        raise ConfigurationError(
            f"the base_url of provider {config.name} must be http(s)://host[:port][/path], without user or password"
        )
    return base.joinpath(path).with_query(base.query)
