"""Providers' addresses, keys and formats, checked before the first request."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from pydantic import SecretStr
from scripted import KEY

from flexiai.errors import ConfigurationError
from flexiai.providers import build_provider, new_session
from flexiai.providers.address import headers_of, secret_of, url_of
from flexiai.providers.anthropic import Anthropic
from flexiai.providers.openai import OpenAI
from flexiai.types import ProviderConfig, RequestConfig


def config(**fields: object) -> ProviderConfig:
    return ProviderConfig.model_validate({"name": "p", "model": "m", "api_key": KEY, **fields})


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"name": "openai"}, OpenAI),
        ({"name": "anthropic"}, Anthropic),
        ({"name": "local"}, OpenAI),
        ({"name": "local", "wire": "anthropic"}, Anthropic),
        ({"name": "anthropic", "wire": "openai"}, OpenAI),
    ],
)
def test_the_name_implies_the_format_unless_it_is_set(fields: dict[str, object], kind: type) -> None:
    async def scene() -> None:
        async with new_session(RequestConfig()) as session:
            assert isinstance(build_provider(config(**fields), RequestConfig(), session), kind)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (None, "https://api.example/v1/chat"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat"),
        ("https://host", "https://host/chat"),
        ("https://host/a?api-version=1", "https://host/a/chat?api-version=1"),
    ],
)
def test_requests_go_below_the_base_url(base_url: str | None, url: str) -> None:
    assert str(url_of(config(base_url=base_url), "https://api.example/v1", "chat")) == url


@pytest.mark.parametrize(
    "base_url",
    ["host", "ftp://host", "http://", "http://user:hunter2@host", "http://host:x", "http://host/#part", "//h"],
)
def test_a_base_url_that_cannot_work_is_refused_by_name_without_being_shown(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match="base_url of provider p") as refused:
        url_of(config(base_url=base_url), "https://api.example", "chat")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("key", ["sk-1\n", "sk 1", "sk-1\r\nX-Evil: 1", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="api_key of provider p") as refused:
        secret_of(config(api_key=SecretStr(key)))
    assert key not in str(refused.value)


@pytest.mark.parametrize("headers", [{"X-Evil": "1\r\nX: 2"}, {"X Y": "1"}, {"": "1"}, {"X": "schlüssel"}])
def test_a_header_that_http_cannot_carry_is_refused_without_being_shown(headers: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="a header of provider p") as refused:
        headers_of(config(headers=headers))
    assert not any(value in str(refused.value) for value in headers.values() if value != "1")


def test_an_empty_key_is_none() -> None:
    assert secret_of(config(api_key=SecretStr(""))) is None
    assert secret_of(config(api_key=None)) is None


def test_no_repr_of_a_provider_shows_its_key() -> None:
    async def scene() -> None:
        async with new_session(RequestConfig()) as session:
            for name in ("openai", "anthropic"):
                settings = config(name=name, headers={"X-Own": KEY})
                provider = build_provider(settings, RequestConfig(), session)
                assert KEY not in repr(settings)
                assert KEY not in repr(provider)
                assert KEY not in repr(vars(provider))

    asyncio.run(scene())


def test_the_session_keeps_no_cookies_and_minds_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")

    async def scene() -> None:
        async with new_session(RequestConfig(connect_timeout_s=2.5)) as session:
            assert isinstance(session.cookie_jar, aiohttp.DummyCookieJar)
            assert not session.trust_env
            assert session.timeout.sock_connect == 2.5
            assert session.timeout.total is None
            assert session.connector is not None
            assert session.connector.limit == 0, "a provider that hangs must not take another one's connections"
            assert session.connector.limit_per_host == 1000

    asyncio.run(scene())
