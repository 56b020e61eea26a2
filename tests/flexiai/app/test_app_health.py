"""What a worker says of itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from asgi_driver import Answer, ask, started
from fleets import Answers, Fails, service

from flexiai.app.health import SyncHealth, overall
from flexiai.core.breaker import Breaker, Permit
from flexiai.core.outcome import Outcome
from flexiai.errors import SyncError
from flexiai.status import available
from flexiai.sync.bus import Told
from flexiai.sync.memory import MemoryBus, MemoryStore
from flexiai.sync.port import SyncStatus
from flexiai.types import BreakerConfig, SyncConfig

ONE_FAILURE = BreakerConfig(failure_threshold=1, reset_timeout_s=30, reset_jitter=0)


def after(fleet: dict[str, Any], *asked: tuple[str, str], chats: int = 0, **more: Any) -> list[Answer]:
    """The answers to `asked` after `chats` chat requests."""

    async def run() -> list[Answer]:
        async with started(service(fleet, breaker=ONE_FAILURE, **more)) as app:
            for _ in range(chats):
                await ask(app, "POST", "/chat/direct", {"message": "x"})
            answers = [await ask(app, method, path) for method, path in asked]
            return [answer for answer in answers if answer is not None]

    return asyncio.run(run())


def test_health_has_the_guides_fields() -> None:
    (answer,) = after({"openai": Answers("openai")}, ("GET", "/health"))
    assert answer.status == 200
    told = answer.json
    assert told["status"] == "healthy"
    assert told["worker_id"] == os.getpid()
    assert told["redis_connected"] is False
    assert told["sync_enabled"] is False
    guides = {"name": "openai", "available": True, "circuit_state": "CLOSED", "failure_count": 0}
    assert told["providers"][0].items() >= guides.items()


def test_metrics_have_the_guides_fields_and_what_was_counted() -> None:
    fleet = {"openai": Fails("openai", 503), "anthropic": Answers("anthropic")}
    (answer,) = after(fleet, ("GET", "/metrics"), chats=2)
    told = answer.json
    assert told["worker_id"] == os.getpid()
    assert told["redis_status"] == "disabled"
    assert told["sync_enabled"] is False
    assert datetime.fromisoformat(told["timestamp"]).utcoffset() is not None
    openai, anthropic = told["circuit_breakers"]["openai"], told["circuit_breakers"]["anthropic"]
    assert (openai["state"], openai["failure_count"], openai["success_count"]) == ("OPEN", 1, 0)
    assert (openai["attempts"], openai["outcomes"], openai["transitions"]) == (1, {"failure": 1}, {"OPEN": 1})
    assert (anthropic["state"], anthropic["failure_count"], anthropic["success_count"]) == ("CLOSED", 0, 2)
    assert told["requests"] == {"ok": 2}


def test_a_worker_with_one_of_two_providers_is_degraded_and_ready() -> None:
    fleet = {"openai": Fails("openai", 503), "anthropic": Answers("anthropic")}
    health, ready, providers = after(
        fleet, ("GET", "/health"), ("GET", "/health/ready"), ("GET", "/providers"), chats=1
    )
    assert (health.status, health.json["status"]) == (200, "degraded")
    assert (ready.status, ready.json["status"]) == (200, "ready")
    openai, anthropic = providers.json["providers"]
    assert (openai["available"], openai["circuit_state"], openai["reason"]) == (False, "OPEN", "consecutive_failures")
    assert 29 < openai["retry_in_s"] <= 30
    assert (anthropic["available"], anthropic["retry_in_s"]) == (True, None)


def test_a_worker_without_an_available_provider_is_alive_and_not_ready() -> None:
    asked = ("GET", "/health"), ("GET", "/health/ready"), ("GET", "/health/live")
    health, ready, live = after({"openai": Fails("openai", 503)}, *asked, chats=1)
    assert (health.status, health.json["status"]) == (503, "unhealthy")
    assert (ready.status, ready.json["status"]) == (503, "no_available_provider")
    assert (live.status, live.json["worker_id"]) == (200, os.getpid())


def test_a_reset_closes_the_circuit_at_once() -> None:
    asked = ("POST", "/providers/openai/reset"), ("GET", "/health/ready")
    reset, ready = after({"openai": Fails("openai", 503)}, *asked, chats=1)
    assert reset.status == 200
    assert reset.json["provider"]["circuit_state"] == "CLOSED"
    assert reset.json["provider"]["failure_count"] == 0
    assert ready.status == 200


def test_a_reset_reaches_the_other_workers() -> None:
    async def run() -> list[str]:
        store = MemoryStore(asyncio.get_running_loop().time)
        first, second = (
            service({"openai": Fails("openai", 503)}, breaker=ONE_FAILURE, bus=MemoryBus(store)) for _ in range(2)
        )
        async with started(first), started(second):
            await ask(first, "POST", "/chat/direct", {"message": "x"})
            told = [await circuit_state(second, until="OPEN")]
            await ask(first, "POST", "/providers/openai/reset")
            return [*told, await circuit_state(second, until="CLOSED")]

    async def circuit_state(app: Any, until: str) -> str:
        async with asyncio.timeout(10):
            while True:
                answer = await ask(app, "GET", "/providers")
                assert answer is not None
                if answer.json["providers"][0]["circuit_state"] == until:
                    return until
                await asyncio.sleep(0)

    assert asyncio.run(run()) == ["OPEN", "CLOSED"]


def test_a_reset_of_an_unknown_provider_names_the_known_ones() -> None:
    (answer,) = after({"openai": Answers("openai")}, ("POST", "/providers/opnai/reset"))
    assert (answer.status, answer.json["error"]) == (404, "unknown_provider")
    assert "openai" in answer.json["message"]


def test_an_unknown_path_is_answered_in_json() -> None:
    (answer,) = after({"openai": Answers("openai")}, ("GET", "/nowhere"))
    assert (answer.status, answer.json["error"]) == (404, "not_found")


def test_before_its_start_and_after_its_end_a_worker_serves_nothing_and_lives() -> None:
    async def run() -> list[tuple[int, str]]:
        app = service({"openai": Answers("openai")})
        told = []
        for _ in range(2):
            for method, path in (
                ("GET", "/health/ready"),
                ("POST", "/chat/direct"),
                ("GET", "/health"),
                ("GET", "/health/live"),
            ):
                answer = await ask(app, method, path, {"message": "x"})
                assert answer is not None
                told.append((answer.status, path))
            async with started(app):
                pass
        return told

    statuses = {status for status, path in asyncio.run(run()) if path != "/health/live"}
    assert statuses == {503}


def test_the_schema_describes_every_endpoint() -> None:
    (answer,) = after({"openai": Answers("openai")}, ("GET", "/openapi.json"))
    paths = set(answer.json["paths"])
    chat = {"/chat", "/chat/direct", "/v1/chat/completions", "/v1/models", "/v1/models/{name}"}
    assert paths == chat | {
        "/health",
        "/health/ready",
        "/health/live",
        "/metrics",
        "/providers",
        "/providers/{name}/reset",
        "/providers/{name}/open",
        "/providers/{name}/drain",
    }
    assert answer.json["components"]["schemas"].keys() >= {
        "DirectChat",
        "FullChat",
        "ChatReply",
        "FullChatReply",
        "ErrorReply",
        "Question",
        "Completion",
        "ErrorBody",
    }


def test_a_provider_is_available_while_its_breaker_admits_or_a_probe_is_due() -> None:
    breaker = Breaker("openai", ONE_FAILURE, "w")
    assert available(breaker, 0.0)
    permit = breaker.admit(0.0)
    assert isinstance(permit, Permit)
    breaker.record(permit, Outcome.FAILURE, 0.0)
    assert not available(breaker, 29.9)
    assert available(breaker, 30.0)
    breaker.grant_probe(30.0)
    assert available(breaker, 30.0)
    probe = breaker.admit(30.0)
    assert isinstance(probe, Permit)
    assert not available(breaker, 30.0)


def test_a_half_open_provider_is_not_available_while_every_slot_of_its_round_is_taken() -> None:
    breaker = Breaker("openai", ONE_FAILURE.model_copy(update={"half_open_max_calls": 2}), "w")
    breaker.force_open(0.0, 1.0)
    breaker.grant_probe(1.0)
    first = breaker.admit(1.0)
    assert isinstance(first, Permit)
    breaker.record(first, Outcome.SUCCESS, 1.0)
    assert (breaker.free_probes, available(breaker, 1.0)) == (1, True)
    assert isinstance(breaker.admit(1.0), Permit)
    assert (breaker.free_probes, available(breaker, 1.0)) == (0, False)


@pytest.mark.parametrize(
    ("availability", "status", "expected"),
    [
        ([True, True], SyncStatus(enabled=True, connected=True), "healthy"),
        ([True, True], SyncStatus(enabled=False), "healthy"),
        ([True, True], SyncStatus(enabled=True, connected=False), "degraded"),
        ([True, False], SyncStatus(enabled=True, connected=True), "degraded"),
        ([False, False], SyncStatus(enabled=True, connected=True), "unhealthy"),
        ([True, True], SyncStatus(enabled=True, connected=True, deaf=True), "unhealthy"),
    ],
)
def test_the_overall_status_follows_the_rules(availability: list[bool], status: SyncStatus, expected: str) -> None:
    assert overall(availability, SyncHealth.of(status)) == expected


@pytest.mark.parametrize(
    ("accept", "path", "prometheus"),
    [
        ("", "/metrics", False),
        ("*/*", "/metrics", False),
        ("application/json", "/metrics", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "/metrics", False),
        ("application/json, text/plain, */*", "/metrics", False),
        ("text/plain;q=0.5, application/json", "/metrics", False),
        ("application/json;q=0.5, text/plain;q=0.9", "/metrics", True),
        ("text/plain;q=0", "/metrics", False),
        ("text/plain;q=many", "/metrics", False),
        ("TEXT/Plain ; version=0.0.4", "/metrics", True),
        ("text/plain", "/metrics", True),
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "/metrics", True),
        ("*/*", "/metrics?format=prometheus", True),
        ("text/plain", "/metrics?format=json", False),
    ],
)
def test_metrics_are_json_unless_prometheus_asks(accept: str, path: str, prometheus: bool) -> None:
    async def run() -> Answer | None:
        async with started(service({"openai": Answers("openai")})) as app:
            return await ask(app, "GET", path, headers={"Accept": accept})

    answer = asyncio.run(run())
    assert answer is not None
    assert answer.headers["content-type"].startswith("text/plain" if prometheus else "application/json")
    assert (b"# TYPE flexiai_requests_total counter" in answer.body) is prometheus


def test_prometheus_gets_the_guides_metrics() -> None:
    fleet = {"openai": Fails("openai", 503), "anthropic": Answers("anthropic")}
    (answer,) = after(fleet, ("GET", "/metrics?format=prometheus"), chats=2)
    lines = answer.body.decode().splitlines()
    assert 'flexiai_requests_total{provider="anthropic",status="success"} 2' in lines
    assert 'flexiai_response_seconds_count{provider="anthropic"} 2' in lines
    assert 'flexiai_circuit_state{provider="openai"} 1' in lines
    assert 'flexiai_circuit_state{provider="anthropic"} 0' in lines


def test_errors_are_counted_by_their_names() -> None:
    breaker = BreakerConfig(failure_threshold=1)

    async def run() -> list[str]:
        app = service({"openai": Fails("openai", 503)}, breaker=breaker)
        async with started(app):
            await ask(app, "POST", "/chat/direct", {"message": "x"})
            await ask(app, "POST", "/chat/direct", b"{")
            await ask(app, "POST", "/v1/chat/completions", b"{")
            answer = await ask(app, "GET", "/metrics?format=prometheus")
            return answer.body.decode().splitlines() if answer else []

    lines = asyncio.run(run())
    assert 'flexiai_errors_total{error="no_provider_available"} 1' in lines
    assert 'flexiai_errors_total{error="invalid_request"} 2' in lines
    assert 'flexiai_requests_total{provider="unknown",status="error"} 1' in lines


class LostBus(MemoryBus):
    """A store that cannot be reached any more once it is `lost`."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(now=lambda: asyncio.get_running_loop().time()))
        self.lost: Exception | None = None

    async def read(self) -> dict[str, Told]:
        if self.lost is not None:
            raise self.lost
        return await super().read()


def health_once(lost: Exception, is_so: Callable[[Any], bool]) -> tuple[Answer, Answer, Answer]:
    """/health, /health/ready and a chat, once the loss of the store shows as it should."""

    async def run() -> tuple[Answer, ...]:
        bus = LostBus()
        sync = SyncConfig(reconcile_interval_s=0.01, reconnect_min_s=0.01, reconnect_max_s=0.02)
        async with started(service({"openai": Answers("openai")}, bus=bus, sync=sync)) as app:
            first = await ask(app, "GET", "/health")
            assert first is not None
            assert first.json["status"] == "healthy"
            assert first.json["sync"]["staleness_s"] >= 0
            bus.lost = lost
            async with asyncio.timeout(10):
                while not is_so((answer := await ask(app, "GET", "/health")).json):
                    await asyncio.sleep(0.001)
            others = [await ask(app, "GET", "/health/ready"), await ask(app, "POST", "/chat/direct", {"message": "x"})]
            return (answer, *others)

    return asyncio.run(run())  # type: ignore[return-value] # each of them answered


def test_a_lost_redis_is_told_and_the_worker_stays_ready() -> None:
    health, ready, chat = health_once(SyncError("gone"), lambda told: not told["redis_connected"])
    assert (health.status, health.json["status"]) == (200, "degraded")
    assert health.json["sync"]["last_error"] == "gone"
    assert health.json["sync"]["staleness_s"] is not None
    assert (ready.status, chat.status) == (200, 200)


def test_a_worker_whose_listener_died_is_unhealthy_and_serves() -> None:
    health, ready, chat = health_once(RuntimeError("a bug"), lambda told: told["sync"]["deaf"])
    assert (health.status, health.json["status"]) == (503, "unhealthy")
    assert (ready.status, chat.status) == (200, 200)


def test_staleness_grows_while_redis_is_lost() -> None:
    health, _, _ = health_once(SyncError("gone"), lambda told: (told["sync"]["staleness_s"] or 0) > 0.2)
    assert health.json["redis_connected"] is False
