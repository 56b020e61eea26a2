"""What a worker runs with, made of its environment variables.

Rules
-----
* FLEXIAI_PROVIDERS, when set, is the whole fleet; otherwise each of OPENAI_API_KEY and ANTHROPIC_API_KEY that is set
  makes one provider, OpenAI first. No provider at all is an error that says what to set.
* REDIS_* are the guide's names for where Redis is; the same setting as FLEXIAI_SYNC__REDIS_* wins over them.
* FLEXIAI_API_KEYS is a list with commas, spaces around them being no part of a key.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field, SecretStr, TypeAdapter, ValidationError

from flexiai.app.environment import (
    MIN_TOKEN,
    Environment,
    LogFormat,
    LogLevel,
    OtherModels,
    complaints,
    read_environment,
    unknown_variables,
    variables,
)
from flexiai.errors import ConfigurationError
from flexiai.types import BreakerConfig, ProviderConfig, RequestConfig, SyncConfig

ENV_FILE = Path(".env")

NO_PROVIDER = (
    "no LLM provider is configured: set OPENAI_API_KEY or ANTHROPIC_API_KEY (or both), in the environment or in a "
    ".env file in the working directory; FLEXIAI_PROVIDERS names other providers"
)


@dataclass(frozen=True, slots=True)
class Doors:
    """Who may come in. `admin_token` None: operators from this host alone; `api_keys` empty: everybody may chat."""

    admin_token: SecretStr | None = None
    api_keys: tuple[SecretStr, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a worker its callers may take.

    max_concurrency   chat requests under way at a time (None: no bound)
    max_body_bytes    of one request
    drain_s           how long a worker told to end still serves while saying that it is not ready
    shutdown_grace_s  how long requests under way may then take (None: the request deadline)
    """

    max_concurrency: int | None = None
    max_body_bytes: int = 4 * 1024 * 1024
    drain_s: float = 0.0
    shutdown_grace_s: float | None = None


@dataclass(frozen=True, slots=True)
class AppSettings:
    """A worker's settings. `providers` in order of priority; `remarks`: what an operator should be told about them.

    other_models  what a caller of /v1 gets that asks for a model which nobody configured (flexiai/app/models.py)
    metrics_dir   where workers that are scraped as one share their counts (None: found by their supervisor)
    """

    providers: tuple[ProviderConfig, ...]
    sync: SyncConfig = field(default_factory=SyncConfig)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    request: RequestConfig = field(default_factory=RequestConfig)
    journal_dir: Path | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "guide"
    traces: bool = False
    doors: Doors = field(default_factory=Doors)
    limits: Limits = field(default_factory=Limits)
    other_models: OtherModels = "refuse"
    metrics_dir: Path | None = None
    remarks: tuple[str, ...] = ()


class NamedProvider(ProviderConfig):
    """A provider as FLEXIAI_PROVIDERS tells it. `api_key_env` names the variable that holds its key."""

    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


def load_settings(env_file: Path | None = ENV_FILE) -> AppSettings:
    """The settings of this process; ConfigurationError names what is wrong and what to set."""
    env = read_environment(env_file)
    providers = _fleet(env, env_file)
    if not providers:
        raise ConfigurationError(NO_PROVIDER)
    return AppSettings(
        providers=providers,
        sync=_sync(env),
        breaker=env.flexiai_breaker,
        request=env.flexiai_request,
        journal_dir=_writable("FLEXIAI_JOURNAL_DIR", env.flexiai_journal_dir),
        metrics_dir=_writable("FLEXIAI_METRICS_DIR", env.flexiai_metrics_dir),
        log_level=env.flexiai_log_level,
        log_format=env.flexiai_log_format,
        traces=env.flexiai_traces,
        doors=Doors(env.flexiai_admin_token, _api_keys(env.flexiai_api_keys)),
        limits=_limits(env),
        other_models=env.flexiai_other_models,
        remarks=tuple(f"{name} is not a setting of FlexiAI" for name in unknown_variables(env_file)),
    )


def _fleet(env: Environment, env_file: Path | None) -> tuple[ProviderConfig, ...]:
    fleet = _vendors(env) if env.flexiai_providers is None else _named(env.flexiai_providers, variables(env_file))
    return tuple(sorted(fleet, key=lambda provider: provider.priority))


def _vendors(env: Environment) -> list[ProviderConfig]:
    vendors = (
        ("openai", env.openai_api_key, env.openai_model, env.openai_base_url),
        ("anthropic", env.anthropic_api_key, env.anthropic_model, env.anthropic_base_url),
    )
    return [
        ProviderConfig(name=name, api_key=key, model=model, base_url=url, priority=priority)
        for priority, (name, key, model, url) in enumerate(vendors, 1)
        if key is not None
    ]


def _named(text: SecretStr, known: dict[str, str]) -> list[ProviderConfig]:
    try:
        told = TypeAdapter(list[NamedProvider]).validate_json(text.get_secret_value())
    except ValidationError as error:
        raise ConfigurationError("; ".join(complaints(error, "FLEXIAI_PROVIDERS"))) from None
    twice = [name for name, count in Counter(p.name for p in told).items() if count > 1]
    if twice:
        raise ConfigurationError(f"FLEXIAI_PROVIDERS: two providers are called {twice[0]}; names must differ")
    return [_with_key(provider, known) for provider in told]


def _with_key(provider: NamedProvider, known: dict[str, str]) -> ProviderConfig:
    key = provider.api_key
    if provider.api_key_env is not None:
        if provider.api_key_env not in known:
            raise ConfigurationError(f"{provider.api_key_env}: FLEXIAI_PROVIDERS names it as a key, but it is not set")
        key = SecretStr(known[provider.api_key_env])
    return ProviderConfig(**{**provider.model_dump(exclude={"api_key_env"}), "api_key": key})


def _sync(env: Environment) -> SyncConfig:
    parts = {name: getattr(env, name) for name in Environment.model_fields if name.startswith("redis_")}
    given = {name: value for name, value in parts.items() if value is not None}
    own = {name: getattr(env.flexiai_sync, name) for name in env.flexiai_sync.model_fields_set}
    try:
        return SyncConfig.model_validate({**given, **own})
    except ValidationError as error:
        raise ConfigurationError("; ".join(_about_redis(error))) from None


def _about_redis(error: ValidationError) -> list[str]:
    """As `complaints`, of what only the whole shows: it has no variable of its own, and its text names them all."""
    return [complaint.removeprefix(": ") for complaint in complaints(error)]


def _api_keys(listed: SecretStr | None) -> tuple[SecretStr, ...]:
    keys = [key.strip() for key in listed.get_secret_value().split(",")] if listed else []
    if any(len(key) < MIN_TOKEN for key in keys):
        raise ConfigurationError(f"FLEXIAI_API_KEYS: each key must have at least {MIN_TOKEN} characters")
    return tuple(SecretStr(key) for key in keys)


def _limits(env: Environment) -> Limits:
    return Limits(
        max_concurrency=env.flexiai_max_concurrency,
        max_body_bytes=env.flexiai_max_body_bytes,
        drain_s=env.flexiai_drain_s,
        shutdown_grace_s=env.flexiai_shutdown_grace_s,
    )


def _writable(variable: str, folder: Path | None) -> Path | None:
    if folder is not None and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise ConfigurationError(f"{variable}: {folder} is not a directory that this process may write to")
    return folder
