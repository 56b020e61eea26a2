"""From settings to the parts of a client.

Rules
-----
* Settings that cannot work are refused before anything is started, with a message that says what would work.
* What is not needed is not imported: no aiohttp where every provider is custom, no redis without it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING

from flexiai.core.breaker import Breaker
from flexiai.core.routing import in_order
from flexiai.errors import ConfigurationError
from flexiai.events import Event
from flexiai.sync.bus import Bus
from flexiai.sync.port import NoSync, SyncPort
from flexiai.types import ProviderConfig, RequestConfig, SyncConfig

if TYPE_CHECKING:
    from flexiai.providers.base import Provider


def checked(providers: Sequence[ProviderConfig], custom: Mapping[str, Provider]) -> tuple[ProviderConfig, ...]:
    """The providers in the order in which they are asked; ConfigurationError if they cannot work."""
    names = Counter(provider.name for provider in providers)
    if not names:
        raise ConfigurationError("no providers: pass at least one ProviderConfig")
    if twice := [name for name, count in names.items() if count > 1]:
        raise ConfigurationError(f"provider names must be unique: {', '.join(twice)} is given more than once")
    if unknown := [name for name in custom if name not in names]:
        raise ConfigurationError(f"custom provider {unknown[0]!r} has no ProviderConfig: pass one with that name")
    for provider in providers:
        if provider.name not in custom:
            _check_key(provider)
    return in_order(providers)


def _check_key(provider: ProviderConfig) -> None:
    if provider.api_key is None or not provider.api_key.get_secret_value().strip():
        variable = "".join(c if c.isalnum() else "_" for c in provider.name).upper() + "_API_KEY"
        raise ConfigurationError(
            f"provider {provider.name!r} has no api_key: pass ProviderConfig(api_key=…), for instance from the"
            f" environment variable {variable}; a server that wants no key takes any word"
        )


def sync_of(
    config: SyncConfig | None,
    bus: Bus | None,
    breakers: Mapping[str, Breaker],
    *,
    emit: Callable[[Event], None],
    worker: str,
    rng: Random,
) -> SyncPort:
    """The line to the other workers; `bus` is used instead of the one that `config` names."""
    if config is None:
        config = SyncConfig(enabled=bus is not None)
    if not config.enabled:
        return NoSync()
    from flexiai.sync.replicator import Replicator  # noqa: PLC0415 - only where there is a fleet

    bus = bus if bus is not None else _bus_of(config)
    return Replicator(bus=bus, breakers=breakers, config=config, emit=emit, worker=worker, rng=rng)


def _bus_of(config: SyncConfig) -> Bus:
    if config.backend == "memory":
        from flexiai.sync.memory import MemoryBus, MemoryStore  # noqa: PLC0415 - only where it is asked for

        return MemoryBus(MemoryStore(now=lambda: asyncio.get_running_loop().time()))
    from flexiai.sync.redis import RedisBus  # noqa: PLC0415 - redis is not imported where it is not used

    return RedisBus(config)


async def open_providers(
    configs: Sequence[ProviderConfig], custom: Mapping[str, Provider], request: RequestConfig, stack: AsyncExitStack
) -> dict[str, Provider]:
    """Every provider by its name; `stack` closes them: a custom one, too, if it has an `aclose`."""
    providers = dict(custom)
    for provider in custom.values():
        if (aclose := getattr(provider, "aclose", None)) is not None:
            stack.push_async_callback(aclose)
    built = [config for config in configs if config.name not in custom]
    if built:
        from flexiai.providers import build_provider, new_session  # noqa: PLC0415 - aiohttp only where it is used

        session = await stack.enter_async_context(new_session(request))
        providers |= {config.name: build_provider(config, request, session) for config in built}
    return providers
