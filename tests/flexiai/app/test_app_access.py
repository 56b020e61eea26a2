"""Who may come in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgi_driver import Answer, ask, started
from fleets import Answers, Hangs, service
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from flexiai.app.access import Access
from flexiai.app.refused import NoKey, NotFromHere
from flexiai.app.settings import Doors, Limits

TOKEN = "a-token-of-operators"
KEY = "a-key-for-the-callers"


def reset(doors: Doors, **more: Any) -> Answer:
    async def run() -> Answer | None:
        async with started(service({"openai": Answers("openai")}, doors=doors)) as app:
            return await ask(app, "POST", "/providers/openai/reset", **more)

    answer = asyncio.run(run())
    assert answer is not None
    return answer


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_this_host_operates(peer: str) -> None:
    assert reset(Doors(), peer=(peer, 1)).status == 200


@pytest.mark.parametrize("peer", [("10.0.0.1", 1), ("::2", 1), ("testclient", 1), ("", 0), None])
def test_without_a_token_nobody_else_does(peer: Any) -> None:
    answer = reset(Doors(), peer=peer)
    assert (answer.status, answer.json["error"]) == (403, "forbidden")
    assert "FLEXIAI_ADMIN_TOKEN" in answer.json["message"]


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Original-Forwarded-For",
        "Forwarded",
        "X-Real-IP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "True-Client-IP",
        "CF-Connecting-IP",
        "CF-Connecting-IPv6",
        "Via",
        "Origin",
    ],
)
def test_a_peer_that_speaks_for_another_is_not_this_host(name: str) -> None:
    assert reset(Doors(), headers={name: "127.0.0.1"}).status == 403


@pytest.mark.parametrize("name", ["Host", "User-Agent", "Accept", "X-Request-ID", "Traceparent", "Original-Message"])
def test_what_any_client_sends_speaks_for_nobody_else(name: str) -> None:
    assert reset(Doors(), headers={name: "127.0.0.1"}).status == 200


@pytest.mark.parametrize("given_token", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN])
def test_with_a_token_it_is_wanted_of_everybody(given_token: str) -> None:
    answer = reset(Doors(admin_token=SecretStr(TOKEN)), headers={"Authorization": given_token})
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert TOKEN.encode() not in answer.body


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_one_operates_from_anywhere(scheme: str) -> None:
    doors = Doors(admin_token=SecretStr(TOKEN))
    headers = {"Authorization": f"{scheme} {TOKEN}", "X-Forwarded-For": "10.0.0.9"}
    assert reset(doors, headers=headers, peer=("10.0.0.1", 1)).status == 200


@pytest.mark.parametrize("doing", ["reset", "open", "drain"])
@pytest.mark.parametrize("doors", [Doors(), Doors(admin_token=SecretStr(TOKEN))])
def test_every_operators_endpoint_is_guarded(doing: str, doors: Doors) -> None:
    async def run() -> tuple[Answer | None, Any]:
        app = service({"openai": Answers("openai")}, doors=doors)
        async with started(app):
            answer = await ask(app, "POST", f"/providers/openai/{doing}", b"{}", peer=("10.0.0.1", 1))
            return answer, app.desk.worker.client.breakers["openai"].state

    answer, state = asyncio.run(run())
    assert answer is not None
    assert answer.status == (401 if doors.admin_token else 403)
    assert state.value == "CLOSED"


def test_every_endpoint_that_changes_something_is_guarded_or_a_chat() -> None:
    app = service({"openai": Answers("openai")})
    changing = {path for path, methods in app.openapi()["paths"].items() if methods.keys() - {"get"}}
    assert changing == {
        "/chat",
        "/chat/direct",
        "/v1/chat/completions",
        "/providers/{name}/reset",
        "/providers/{name}/open",
        "/providers/{name}/drain",
    }


def test_a_callers_key_is_no_operators_token() -> None:
    doors = Doors(admin_token=SecretStr(TOKEN), api_keys=(SecretStr(KEY),))
    assert reset(doors, headers={"Authorization": f"Bearer {KEY}"}).status == 401


@given(st.binary(max_size=60))
def test_no_header_but_the_right_one_opens(value: bytes) -> None:
    access = Access(Doors(api_keys=(SecretStr(KEY),)))
    with pytest.raises(NoKey):
        access.check_caller([(b"authorization", value)])
    access.check_caller([(b"authorization", f"Bearer {KEY}".encode())])


@given(st.text(max_size=20))
def test_no_peers_name_but_a_loopback_address_is_this_host(name: str) -> None:
    with pytest.raises(NotFromHere):
        Access(Doors()).check_operator({"headers": [], "client": (f"x{name}", 1)})


@pytest.mark.parametrize("path", ["/chat", "/chat/direct"])
def test_chat_wants_a_key_where_keys_are_configured(path: str) -> None:
    async def run() -> list[Answer | None]:
        doors = Doors(api_keys=(SecretStr(KEY),))
        async with started(service({"openai": Answers("openai")}, doors=doors)) as app:
            wrong = await ask(app, "POST", path, {"message": "x"})
            right = await ask(app, "POST", path, {"message": "x"}, {"Authorization": f"Bearer {KEY}"})
            free = await ask(app, "GET", "/health/ready")
            return [wrong, right, free]

    answers = asyncio.run(run())
    assert [answer.status for answer in answers if answer] == [401, 200, 200]
    assert answers[0] is not None
    assert answers[0].json["error"] == "unauthorized"


@pytest.mark.parametrize("path", ["/chat/direct", "/v1/chat/completions"])
def test_one_request_too_many_is_told_so_before_it_is_read(path: str) -> None:
    async def run() -> tuple[Answer | None, Answer | None]:
        provider, gone = Hangs(), asyncio.Event()
        async with started(service({"openai": provider}, limits=Limits(max_concurrency=1))) as app:
            first = asyncio.create_task(ask(app, "POST", "/chat/direct", {"message": "x"}, gone=gone))
            await provider.asked.wait()
            second = await ask(app, "POST", path, b"not even JSON")
            gone.set()
            await first
            third = await ask(app, "POST", path, b"not even JSON")
            return second, third

    refused, after = asyncio.run(run())
    assert refused is not None
    assert refused.status == 503
    assert (refused.headers["retry-after"], refused.headers["x-flexiai-max-concurrency"]) == ("1", "1")
    assert b"overloaded" in refused.body
    assert after is not None
    assert after.status in (400, 422), "the place is free again"


def test_secrets_do_not_show_in_what_holds_them() -> None:
    doors = Doors(admin_token=SecretStr(TOKEN), api_keys=(SecretStr(KEY),))
    shown = repr(doors) + repr(Access(doors)) + repr(vars(Access(doors)))
    assert TOKEN not in shown
    assert KEY not in shown
