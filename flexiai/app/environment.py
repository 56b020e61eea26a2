"""The environment variables of a worker, read from the process and from `.env`, and what is wrong with them.

Rules
-----
* A variable of the process wins over the same one in `.env`; an empty one counts as unset.
* Each field here is one variable by its own name; `FLEXIAI_BREAKER__FAILURE_THRESHOLD` is a field within one, and
  `none` there means "off" for what may be off.
* A message about a wrong variable names it and says what would work, and never repeats its value: it may be a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from flexiai.errors import ConfigurationError
from flexiai.types import BreakerConfig, RequestConfig, Seconds, SyncConfig

MIN_TOKEN = 16  # characters of what lets somebody in: fewer can be guessed


def _none_is_off(given: object) -> object:
    if not isinstance(given, Mapping):
        return given
    return {name: None if value == "none" else value for name, value in given.items()}


def _lower(given: object) -> object:
    return given.lower() if isinstance(given, str) else given


Off = BeforeValidator(_none_is_off)
LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]
LogFormat = Annotated[Literal["guide", "json"], BeforeValidator(_lower)]
OtherModels = Annotated[Literal["refuse", "configured", "pass"], BeforeValidator(_lower)]


Token = Annotated[SecretStr, Field(min_length=MIN_TOKEN)]


class Environment(BaseSettings):
    """Every variable that a worker reads. `flexiai_providers` stays text: it is parsed where its errors are told."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    openai_api_key: SecretStr | None = None
    openai_model: str = "gpt-4o-mini"
    openai_base_url: str | None = None
    anthropic_api_key: SecretStr | None = None
    anthropic_model: str = "claude-3-5-haiku-20241022"
    anthropic_base_url: str | None = None
    redis_host: str | None = None
    redis_port: int | None = Field(None, ge=1, le=65535)
    redis_db: int | None = Field(None, ge=0)
    redis_username: str | None = None
    redis_password: SecretStr | None = None
    redis_url: SecretStr | None = None
    redis_tls: bool | None = None
    redis_tls_ca_file: Path | None = None
    redis_tls_cert_file: Path | None = None
    redis_tls_key_file: Path | None = None
    redis_sentinels: str | None = None
    redis_sentinel_service: str | None = None
    redis_sentinel_username: str | None = None
    redis_sentinel_password: SecretStr | None = None
    redis_cluster: bool | None = None
    flexiai_providers: SecretStr | None = None
    flexiai_breaker: Annotated[BreakerConfig, Off] = BreakerConfig()
    flexiai_request: Annotated[RequestConfig, Off] = RequestConfig()
    flexiai_sync: Annotated[SyncConfig, Off] = SyncConfig()
    flexiai_journal_dir: Path | None = None
    flexiai_log_level: LogLevel = "info"
    flexiai_log_format: LogFormat = "guide"
    flexiai_traces: bool = False
    flexiai_admin_token: Token | None = None
    flexiai_api_keys: SecretStr | None = None
    flexiai_other_models: OtherModels = "refuse"
    flexiai_metrics_dir: Path | None = None
    flexiai_max_concurrency: int | None = Field(None, ge=1)
    flexiai_max_body_bytes: int = Field(4 * 1024 * 1024, ge=1024)
    flexiai_drain_s: float = Field(0.0, ge=0, le=3600)
    flexiai_shutdown_grace_s: Seconds | None = None


def read_environment(env_file: Path | None) -> Environment:
    """The variables of this process and of `env_file`; ConfigurationError names each wrong one."""
    try:
        return Environment(_env_file=env_file)
    except ValidationError as error:
        raise ConfigurationError("; ".join(complaints(error))) from None
    except SettingsError as error:
        raise ConfigurationError(f"{_named_in(error)}: must be a JSON object") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{env_file}: is not UTF-8 text") from None


def complaints(error: ValidationError, root: str | None = None) -> list[str]:
    """What is wrong, one sentence for each wrong variable, without its value.

    `root` is the variable that holds the JSON in which the errors are; None: their locations name variables.
    """
    return [f"{_place(e['loc'], root)}: {_meaning(e['type'], e['msg'])}" for e in error.errors()]


def unknown_variables(env_file: Path | None) -> list[str]:
    """Names that begin with FLEXIAI_ and are no variable of ours: most likely misspelt."""
    known = {name for name in Environment.model_fields if name.startswith("flexiai_")}
    given = {name.lower() for name in variables(env_file) if name.lower().startswith("flexiai_")}
    return sorted(name.upper() for name in given if name.split("__")[0] not in known)


def variables(env_file: Path | None) -> dict[str, str]:
    """All variables by their exact names, empty ones left out."""
    from_file = dotenv_values(env_file) if env_file is not None and env_file.is_file() else {}
    return {name: value for name, value in {**from_file, **os.environ}.items() if value}


def _place(loc: tuple[int | str, ...], root: str | None) -> str:
    if root is None:
        return "__".join(str(part).upper() for part in loc)
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)


def _meaning(kind: str, message: str) -> str:
    return "is not known; is it misspelt?" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def _named_in(error: SettingsError) -> str:
    field = re.search(r'field "(\w+)"', str(error))
    return field[1].upper() if field else "a FLEXIAI_* variable"
