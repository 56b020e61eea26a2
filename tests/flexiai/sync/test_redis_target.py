"""What settings and URLs mean, and which of them contradict one another."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from flexiai.errors import ConfigurationError
from flexiai.sync.target import Login, Place, Target, target_of
from flexiai.types import SyncConfig

SENTINELS: dict[str, Any] = {"redis_sentinels": ["a:1", "b"], "redis_sentinel_service": "m"}
PLAIN, SECURE = "redis://h", "rediss://h"


def meant(url: str | None = None, **settings: Any) -> Target:
    given = settings if url is None else settings | {"redis_url": url}
    return target_of(SyncConfig.model_validate(given))


def test_the_parts() -> None:
    target = meant(redis_host="h", redis_port=1, redis_db=2, redis_username="u", redis_password="p")
    assert target == Target("server", (Place("h", 1),), Login("u", "p"), db=2, secrets=("p",))
    assert str(target) == "h:1"


def test_sentinels_and_clusters_by_the_parts() -> None:
    target = meant(
        **SENTINELS, redis_password="p", redis_sentinel_username="g", redis_sentinel_password="q", redis_db=2
    )
    assert (target.kind, target.places, target.service) == ("sentinel", (Place("a", 1), Place("b", 26379)), "m")
    assert (target.login, target.guard, target.db) == (Login(None, "p"), Login("g", "q"), 2)
    assert str(target) == "the primary of m (sentinels a:1, b:26379)"
    assert meant(redis_sentinels="a:1, [::1]:2", redis_sentinel_service="m").places == (Place("a", 1), Place("::1", 2))
    assert meant(redis_cluster=True, redis_host="h").kind == "cluster"


@pytest.mark.parametrize(
    ("url", "kind", "places", "login", "db", "service"),
    [
        ("redis://", "server", ["localhost:6379"], Login(), 0, ""),
        ("redis://h", "server", ["h:6379"], Login(), 0, ""),
        ("redis://u:p%40%2F@h:1/3", "server", ["h:1"], Login("u", "p@/"), 3, ""),
        ("redis://:p@[::1]:1?db=4", "server", ["[::1]:1"], Login(None, "p"), 4, ""),
        ("redis://h?password=p&username=u&socket_timeout=9", "server", ["h:6379"], Login("u", "p"), 0, ""),
        ("unix:///run/redis.sock?db=2", "server", ["/run/redis.sock"], Login(), 2, ""),
        ("unix://u:p@/run/a%20b", "server", ["/run/a b"], Login("u", "p"), 0, ""),
        ("redis+sentinel://u:p@a:1,b/m/2", "sentinel", ["a:1", "b:26379"], Login("u", "p"), 2, "m"),
        ("redis+cluster://u:p@a:1,b", "cluster", ["a:1", "b:6379"], Login("u", "p"), 0, ""),
    ],
)
def test_urls(url: str, kind: str, places: list[str], login: Login, db: int, service: str) -> None:
    target = meant(url)
    assert (target.kind, [*map(str, target.places)], target.db, target.service) == (kind, places, db, service)
    assert (target.login.username or None, target.login.password or None) == (login.username, login.password)
    assert target.tls is None


def test_urls_by_tls_and_with_a_guard() -> None:
    for url in ("rediss://h", "rediss+sentinel://h/m", "rediss+cluster://h"):
        assert meant(url).tls is not None
    assert meant("rediss://h").tls.check_hostname
    assert not meant("rediss://h?ssl_check_hostname=false").tls.check_hostname
    target = meant("redis+sentinel://h/m?sentinel_username=g&sentinel_password=q")
    assert target.guard == Login("g", "q")
    assert target.secrets == ("q",)


def test_a_url_wins_over_the_parts_and_a_plain_one_may_lead_to_a_cluster() -> None:
    target = meant("redis://h/1", redis_host="x", redis_port=9, redis_db=2, redis_password="p")
    assert (str(target), target.db, target.login.password) == ("h:6379", 1, None)
    assert meant("redis://h", redis_cluster=True).kind == "cluster"


@pytest.mark.parametrize(
    "url",
    [
        "h",
        "http://h",
        "redis+raft://h",
        "unix+sentinel:///x/m",
        "unix://",
        "redis://h:port",
        "redis://h:0",
        "redis://h:65536",
        "redis://h/x",
        "redis://h/-1",
        "redis://h?db=x",
        "redis://a,b",
        "redis://[::1",
        "redis+sentinel://h",
        "redis+sentinel://h/m/x",
        "redis+sentinel://h,/m",
        "redis+cluster://h/1",
        "redis://h?flavour=mint",
        "redis://h?retry=x",
    ],
)
def test_what_is_no_url_is_an_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match="redis_url") as caught:
        meant(url)
    assert url not in str(caught.value).replace("unix://,", "") or url == "h"


@given(url=st.text(max_size=30) | st.from_regex(r"(rediss?|unix)(\+(sentinel|cluster))?://[a-z:@\[\],0-9/?=&%-]{0,30}"))
def test_any_text_is_a_target_or_a_configuration_error(url: str) -> None:
    try:
        target = target_of(SyncConfig(redis_url=SecretStr(url)))
    except ConfigurationError:
        return
    assert all(place.host for place in target.places)
    assert (target.kind == "sentinel") == bool(target.service)


@given(username=st.text(min_size=1, max_size=8), password=st.text(min_size=1, max_size=8))
def test_any_login_survives_its_way_through_a_url(username: str, password: str) -> None:
    secret = f"Secret:{password}"
    target = meant(f"redis://{quote(username, safe='')}:{quote(secret, safe='')}@h/0")
    assert target.login == Login(username, secret)
    assert "Secret:" not in repr(target) + str(target)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (SENTINELS | {"redis_cluster": True}, "redis_sentinels and redis_cluster"),
        (SENTINELS | {"redis_url": PLAIN}, "redis_sentinels and redis_url"),
        ({"redis_sentinel_service": "m"}, "needs redis_sentinels"),
        ({"redis_sentinel_password": "p"}, "needs redis_sentinels"),
        ({"redis_sentinel_username": "u"}, "needs redis_sentinels"),
        ({"redis_sentinels": ["a"]}, "needs redis_sentinel_service"),
        ({"redis_sentinels": ["a:b"], "redis_sentinel_service": "m"}, "host:port"),
        ({"redis_sentinels": "redis://a", "redis_sentinel_service": "m"}, "host:port"),
        ({"redis_sentinels": ["a:0"], "redis_sentinel_service": "m"}, "host:port"),
        ({"redis_cluster": True, "redis_db": 1}, "redis_db 0"),
        ({"redis_cluster": True, "redis_url": "unix:///x"}, "one TCP server"),
        ({"redis_cluster": True, "redis_url": "redis+sentinel://h/m"}, "one TCP server"),
        ({"redis_tls": True, "redis_url": PLAIN}, "rediss://"),
        ({"redis_tls": True, "redis_url": "unix:///x"}, "rediss://"),
        ({"redis_tls_ca_file": "ca"}, "needs redis_tls"),
        ({"redis_tls_ca_file": "ca", "redis_url": PLAIN}, "needs redis_tls"),
        ({"redis_tls": True, "redis_tls_cert_file": "c"}, "go together"),
        ({"redis_tls_key_file": "k", "redis_url": SECURE}, "go together"),
    ],
)
def test_contradictions_are_told(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SyncConfig.model_validate(settings)


def test_a_contradiction_shows_no_secret() -> None:
    with pytest.raises(ValidationError) as caught:
        SyncConfig.model_validate({"redis_cluster": True, "redis_url": "unix://:s3cret@/x", "redis_password": "s3cret"})
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"redis_url": SECURE, "redis_tls": True},
        {"redis_url": SECURE, "redis_tls_ca_file": "ca"},
        {"redis_url": "rediss+cluster://h"},
        {"redis_tls": True, "redis_tls_cert_file": "c", "redis_tls_key_file": "k"},
        SENTINELS | {"redis_tls": True, "redis_db": 3},
        {"redis_cluster": True, "redis_url": SECURE},
    ],
)
def test_these_go_together(settings: dict[str, Any]) -> None:
    SyncConfig.model_validate(settings)
