"""What an operator may do over HTTP, and what comes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgi_driver import Answer, ask, started
from fleets import Answers, service

from flexiai.events import AttemptStarted, Event, OperatorActed

CHAT = {"message": "hello"}


def run(*asked: tuple[str, Any], seen: list[Event] | None = None, **more: Any) -> list[Answer]:
    """The answers to POSTs of (path, body), one after the other."""

    async def all_of_them() -> list[Answer]:
        providers = {"openai": Answers("openai"), "anthropic": Answers("anthropic")}
        async with started(service(providers, seen=seen)) as app:
            answers = [await ask(app, "POST", path, body, **more) for path, body in asked]
        return [answer for answer in answers if answer is not None]

    return asyncio.run(all_of_them())


def test_what_is_forced_open_is_asked_by_nobody_until_it_is_reset() -> None:
    held = ("/providers/openai/open", {"for_s": 600, "reason": "deploy"})
    opened, other, reset, again = run(
        held, ("/chat/direct", CHAT), ("/providers/openai/reset", b""), ("/chat/direct", CHAT)
    )
    told = opened.json["provider"]
    assert (told["circuit_state"], told["reason"], told["available"]) == ("OPEN", "forced_open", False)
    assert 599 < told["retry_in_s"] <= 600
    assert (other.json["provider"], again.json["provider"]) == ("anthropic", "openai")
    assert reset.json["provider"]["circuit_state"] == "CLOSED"


def test_a_drained_provider_is_the_last_resort() -> None:
    seen: list[Event] = []
    drain = [(f"/providers/{name}/drain", {"for_s": 60, "reason": "a\nb\x00c"}) for name in ("openai", "anthropic")]
    *_, first, second = run(drain[0], drain[1], ("/chat/direct", CHAT), ("/chat/direct", CHAT), seen=seen)
    assert (first.json["provider"], second.json["provider"]) == ("openai", "openai")
    assert all(e.last_resort for e in seen if isinstance(e, AttemptStarted))
    acted = [e for e in seen if isinstance(e, OperatorActed)]
    assert [(e.provider, e.action, e.for_s, e.note) for e in acted] == [
        ("openai", "drain", 60.0, "a b c"),
        ("anthropic", "drain", 60.0, "a b c"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"x",
        {},
        {"for_s": 0},
        {"for_s": -1},
        {"for_s": 86_401},
        {"for_s": "soon"},
        {"for_s": 1, "why": "x"},
        b"1" * 20_000,
    ],
)
def test_a_hold_without_a_sound_limit_is_refused(body: Any) -> None:
    seen: list[Event] = []
    (answer,) = run(("/providers/openai/open", body), seen=seen)
    assert (answer.status, answer.json["error"]) == (422, "invalid_request")
    assert not [e for e in seen if isinstance(e, OperatorActed)]


@pytest.mark.parametrize("verb", ["open", "drain", "reset"])
def test_unknown_providers_and_strangers_are_refused_before_anything_is_read(verb: str) -> None:
    (unknown,) = run((f"/providers/nobody/{verb}", {"for_s": 1}))
    assert (unknown.status, unknown.json["error"]) == (404, "unknown_provider")
    (stranger,) = run((f"/providers/openai/{verb}", {"for_s": 1}), peer=("10.0.0.1", 1))
    assert stranger.status == 403
