"""Settings from the environment and `.env`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flexiai.app.settings import AppSettings, Limits, load_settings
from flexiai.errors import ConfigurationError
from flexiai.types import BreakerConfig, RequestConfig, SyncConfig

SECRET = "sk-very-secret"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("OPENAI_", "ANTHROPIC_", "REDIS_", "FLEXIAI_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> AppSettings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        loaded(monkeypatch, **variables)
    return str(error.value)


def test_the_guides_env_file_makes_the_guides_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(
        "OPENAI_API_KEY=your-openai-key\nANTHROPIC_API_KEY=your-anthropic-key\n"
        "REDIS_HOST=redis.internal\nREDIS_PORT=6380\nREDIS_DB=2\n"
    )
    settings = load_settings()
    told = [
        (p.name, p.model, p.priority, p.api_key.get_secret_value() if p.api_key else None) for p in settings.providers
    ]
    assert told == [
        ("openai", "gpt-4o-mini", 1, "your-openai-key"),
        ("anthropic", "claude-3-5-haiku-20241022", 2, "your-anthropic-key"),
    ]
    assert settings.sync == SyncConfig(redis_host="redis.internal", redis_port=6380, redis_db=2)


def test_the_process_wins_over_the_file_and_empty_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("OPENAI_API_KEY=from-file\nREDIS_HOST=from-file\nREDIS_DB=3\n")
    settings = loaded(monkeypatch, REDIS_HOST="from-process", REDIS_DB="", REDIS_PASSWORD="", ANTHROPIC_API_KEY="")
    assert (settings.sync.redis_host, settings.sync.redis_db, settings.sync.redis_password) == ("from-process", 3, None)
    assert [p.name for p in settings.providers] == ["openai"]


def test_no_provider_at_all_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused(monkeypatch)
    assert "OPENAI_API_KEY" in message
    assert "ANTHROPIC_API_KEY" in message
    assert ".env" in message


def test_models_and_addresses_are_the_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, OPENAI_API_KEY="k", OPENAI_MODEL="m", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert [(p.model, p.base_url) for p in settings.providers] == [("m", "http://127.0.0.1:9/v1")]


@pytest.mark.parametrize(
    ("prefix", "config", "told"),
    [
        ("BREAKER", BreakerConfig, "breaker"),
        ("REQUEST", RequestConfig, "request"),
        ("SYNC", SyncConfig, "sync"),
    ],
)
def test_every_field_has_its_variable(
    monkeypatch: pytest.MonkeyPatch,
    prefix: str,
    config: type[BreakerConfig | RequestConfig | SyncConfig],
    told: str,
) -> None:
    words = {
        "backend": "memory",
        "evidence": "worker",
        "enabled": "false",
        "failure_rate": "0.25",
        "slow_call_rate": "0.25",
        "ramp_from": "0.25",
        "ramp_shape": "exponential",
    }
    large = {"max_reset_timeout_s": "400", "reset_jitter": "0.5"}
    redis = {
        "redis_tls": "false",
        "redis_sentinels": "a:1,b",
        "redis_cluster": "false",
    }
    elsewhere = {name for name in config.model_fields if name.startswith("redis_tls_")} | {"redis_url"}
    given = {name: {**words, **large, **redis}.get(name, "3") for name in config.model_fields if name not in elsewhere}
    settings = loaded(
        monkeypatch, OPENAI_API_KEY="k", **{f"FLEXIAI_{prefix}__{name.upper()}": value for name, value in given.items()}
    )
    assert getattr(settings, told) == config.model_validate(given)


def test_none_turns_off_what_may_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert loaded(monkeypatch, OPENAI_API_KEY="k", FLEXIAI_BREAKER__FAILURE_RATE="none").breaker.failure_rate is None


def test_a_sync_variable_wins_over_the_guides_name_for_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, OPENAI_API_KEY="k", REDIS_HOST="a", REDIS_DB="1", FLEXIAI_SYNC__REDIS_HOST="b")
    assert (settings.sync.redis_host, settings.sync.redis_db) == ("b", 1)


def test_every_way_to_redis_has_the_guides_kind_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"OPENAI_API_KEY": "k", "REDIS_SENTINELS": "a:1, b", "REDIS_SENTINEL_SERVICE": "m", "REDIS_TLS": "true"}
    sync = loaded(monkeypatch, **given, REDIS_TLS_CA_FILE="ca.crt", REDIS_SENTINEL_PASSWORD="p").sync
    assert (sync.redis_sentinels, sync.redis_sentinel_service, sync.redis_tls) == (("a:1", "b"), "m", True)
    assert sync.redis_tls_ca_file == Path("ca.crt")
    assert "redis_sentinels and redis_cluster" in refused(monkeypatch, **given, REDIS_CLUSTER="1")
    assert "REDIS_SENTINELS__0: must be a host" in refused(monkeypatch, OPENAI_API_KEY="k", REDIS_SENTINELS="a:x")


def test_a_fleet_of_ones_own_replaces_the_vendors_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """[{"name": "slow", "model": "m", "priority": 2, "base_url": "http://127.0.0.1:9", "wire": "anthropic"},
               {"name": "fast", "model": "n", "priority": 1, "api_key_env": "FAST_KEY"}]"""
    settings = loaded(monkeypatch, OPENAI_API_KEY="k", FAST_KEY=SECRET, FLEXIAI_PROVIDERS=text)
    fast, slow = settings.providers
    assert (fast.name, fast.api_key.get_secret_value() if fast.api_key else None) == ("fast", SECRET)
    assert (slow.name, slow.wire, slow.api_key) == ("slow", "anthropic", None)


def test_a_key_may_be_named_in_the_file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text(f"MY_KEY={SECRET}\n")
    (provider,) = loaded(
        monkeypatch, FLEXIAI_PROVIDERS='[{"name": "a", "model": "m", "api_key_env": "MY_KEY"}]'
    ).providers
    assert provider.api_key is not None
    assert provider.api_key.get_secret_value() == SECRET


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"REDIS_PORT": "abc"}, "REDIS_PORT"),
        ({"REDIS_PORT": "70000"}, "REDIS_PORT"),
        ({"REDIS_DB": "-1"}, "REDIS_DB"),
        ({"FLEXIAI_BREAKER__FAILURE_THRESHOLD": "0"}, "FLEXIAI_BREAKER__FAILURE_THRESHOLD"),
        ({"FLEXIAI_BREAKER__RESET_TIMOUT_S": "5"}, "FLEXIAI_BREAKER__RESET_TIMOUT_S: is not known"),
        ({"FLEXIAI_BREAKER__RESET_TIMEOUT_S": "600"}, "max_reset_timeout_s must not be less than reset_timeout_s"),
        ({"FLEXIAI_BREAKER": "{" + SECRET}, "FLEXIAI_BREAKER: must be a JSON object"),
        ({"FLEXIAI_BREAKER": '"' + SECRET + '"'}, "FLEXIAI_BREAKER"),
        ({"FLEXIAI_SYNC__PREFIX": SECRET + " "}, "FLEXIAI_SYNC__PREFIX"),
        ({"FLEXIAI_LOG_LEVEL": SECRET}, "FLEXIAI_LOG_LEVEL"),
        ({"FLEXIAI_PROVIDERS": "[" + SECRET}, "FLEXIAI_PROVIDERS: Invalid JSON"),
        (
            {"FLEXIAI_PROVIDERS": f'[{{"name": "a", "modell": "m", "api_key": "{SECRET}"}}]'},
            "FLEXIAI_PROVIDERS[0].modell",
        ),
        ({"FLEXIAI_PROVIDERS": '[{"name": "a b", "model": "m"}]'}, "FLEXIAI_PROVIDERS[0].name"),
        (
            {"FLEXIAI_PROVIDERS": '[{"name": "a", "model": "m"}, {"name": "a", "model": "n"}]'},
            "two providers are called a",
        ),
        ({"FLEXIAI_PROVIDERS": '[{"name": "a", "model": "m", "api_key_env": "UNSET"}]'}, "UNSET"),
        ({"FLEXIAI_PROVIDERS": f'[{{"name": "a", "model": "m", "api_key_env": "{SECRET}"}}]'}, "[0].api_key_env"),
        ({"FLEXIAI_PROVIDERS": "[]"}, "no LLM provider is configured"),
        ({"FLEXIAI_JOURNAL_DIR": "missing-folder"}, "FLEXIAI_JOURNAL_DIR: missing-folder is not a directory"),
    ],
)
def test_what_is_wrong_is_named_and_no_value_repeated(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], named: str
) -> None:
    message = refused(monkeypatch, OPENAI_API_KEY=SECRET, **variables)
    assert named in message
    assert SECRET not in message


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused(monkeypatch, OPENAI_API_KEY="k", REDIS_PORT="abc", FLEXIAI_REQUEST__RETRIES="-1")
    assert "REDIS_PORT" in message
    assert "FLEXIAI_REQUEST__RETRIES" in message


def test_a_variable_that_looks_like_ours_and_is_not_is_remarked_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, OPENAI_API_KEY="k", FLEXIAI_BRAKER__WINDOW_S="1", FLEXIAI_LOG_LEVEL="WARNING")
    assert settings.remarks == ("FLEXIAI_BRAKER__WINDOW_S is not a setting of FlexiAI",)
    assert settings.log_level == "warning"


def test_no_secret_shows_in_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(monkeypatch, OPENAI_API_KEY=SECRET, REDIS_PASSWORD=SECRET, REDIS_URL=f"redis://:{SECRET}@h")
    assert SECRET not in repr(settings)


def test_doors_and_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch,
        OPENAI_API_KEY="k",
        FLEXIAI_ADMIN_TOKEN="a-token-of-operators",
        FLEXIAI_API_KEYS="first-key-of-callers, second-key-of-callers",
        FLEXIAI_MAX_CONCURRENCY="64",
        FLEXIAI_MAX_BODY_BYTES="65536",
        FLEXIAI_DRAIN_S="5",
        FLEXIAI_SHUTDOWN_GRACE_S="20",
        FLEXIAI_OTHER_MODELS="PASS",
        FLEXIAI_LOG_FORMAT="json",
    )
    assert settings.doors.admin_token is not None
    assert settings.doors.admin_token.get_secret_value() == "a-token-of-operators"
    assert [k.get_secret_value() for k in settings.doors.api_keys] == ["first-key-of-callers", "second-key-of-callers"]
    assert settings.limits == Limits(64, 65536, 5.0, 20.0)
    assert (settings.other_models, settings.log_format) == ("pass", "json")
    assert "key-of-callers" not in repr(settings)
    assert "a-token" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLEXIAI_ADMIN_TOKEN", "short-secret"),
        ("FLEXIAI_API_KEYS", "long-enough-a-secret,short"),
        ("FLEXIAI_API_KEYS", "long-enough-a-secret,"),
        ("FLEXIAI_MAX_CONCURRENCY", "0"),
        ("FLEXIAI_MAX_BODY_BYTES", "10"),
        ("FLEXIAI_DRAIN_S", "-1"),
        ("FLEXIAI_SHUTDOWN_GRACE_S", "0"),
        ("FLEXIAI_OTHER_MODELS", "guess"),
        ("FLEXIAI_LOG_FORMAT", "xml"),
    ],
)
def test_wrong_doors_and_limits_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    message = refused(monkeypatch, OPENAI_API_KEY="k", **{name: value})
    assert name in message
    assert "secret" not in message
