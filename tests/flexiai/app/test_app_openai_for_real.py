"""OpenAI's own client, synchronous and over real connections, against uvicorn and a provider server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from uvicorn_process import address_in, listening, read_until, uvicorn

from tests.provider_process import ProviderProcess, provider_process

HELLO: Any = [{"role": "user", "content": "hello"}]
KEY = "sk-of-this-service-1"
pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OpenAI, ProviderProcess, ProviderProcess]]:
    """A client of the service, and the two providers behind that."""
    folder = tmp_path_factory.mktemp("service")
    with (
        provider_process(folder, "--tokens", "4") as first,
        provider_process(folder, "--tokens", "4", name="anthropic") as second,
        uvicorn(
            folder,
            OPENAI_API_KEY="k",
            OPENAI_BASE_URL=first.openai_url,
            ANTHROPIC_API_KEY="k",
            ANTHROPIC_BASE_URL=second.url,
            FLEXIAI_API_KEYS=KEY,
            FLEXIAI_SYNC__ENABLED="false",
            FLEXIAI_BREAKER__FAILURE_THRESHOLD="1000",
            FLEXIAI_BREAKER__FAILURE_RATE="none",
        ) as process,
    ):
        address = listening(address_in(read_until(process, "Uvicorn running on")))
        with OpenAI(api_key=KEY, base_url=f"{address}/v1", max_retries=0) as client:
            yield client, first, second


@pytest.fixture(autouse=True)
def _healed(fleet: tuple[OpenAI, ProviderProcess, ProviderProcess]) -> Iterator[None]:
    yield
    for provider in fleet[1:]:
        provider.heal_all()


def told_in(chunks: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_an_answer(fleet: tuple[OpenAI, ProviderProcess, ProviderProcess]) -> None:
    answer = fleet[0].chat.completions.create(model="gpt-4o-mini", messages=HELLO)
    assert answer.choices[0].message.content
    assert answer.model == "gpt-4o-mini"


def test_a_stream(fleet: tuple[OpenAI, ProviderProcess, ProviderProcess]) -> None:
    stream = fleet[0].chat.completions.create(
        model="flexiai", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert told_in(chunks)
    assert sum(chunk.usage is not None for chunk in chunks) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_the_second_provider_answers_where_the_first_cannot(
    fleet: tuple[OpenAI, ProviderProcess, ProviderProcess], stream: bool
) -> None:
    client, first, second = fleet
    first.put(1, inject="error", status=503)
    headers = {"X-Request-ID": f"second-{stream}"}
    answer: Any = client.chat.completions.create(model="flexiai", messages=HELLO, stream=stream, extra_headers=headers)
    assert told_in(answer) if stream else answer.choices[0].message.content
    assert first.of(f"second-{stream}").status == 503
    assert second.of(f"second-{stream}").result == "ok"


def test_a_stream_that_breaks_raises(fleet: tuple[OpenAI, ProviderProcess, ProviderProcess]) -> None:
    client, first, _ = fleet
    first.put(2, inject="truncated", after_tokens=2)
    got: list[Any] = []
    stream = client.chat.completions.create(model="flexiai", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError, match="broke off"):
        got.extend(stream)  # what came before the error stays
    assert told_in(got)


def test_errors_are_openais(fleet: tuple[OpenAI, ProviderProcess, ProviderProcess]) -> None:
    client, first, second = fleet
    for provider in (first, second):
        provider.put(3, inject="error", status=500)
    with pytest.raises(openai.InternalServerError) as nobody:
        client.chat.completions.create(model="flexiai", messages=HELLO)
    assert (nobody.value.status_code, nobody.value.code) == (503, "no_provider_available")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").chat.completions.create(model="flexiai", messages=HELLO)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=HELLO)


def test_a_caller_that_leaves_a_stream_lets_go_of_the_provider(
    fleet: tuple[OpenAI, ProviderProcess, ProviderProcess],
) -> None:
    client, first, _ = fleet
    first.put(4, inject="stall", add=3600, after_tokens=1)
    headers = {"X-Request-ID": "left"}
    stream = client.chat.completions.create(model="flexiai", messages=HELLO, stream=True, extra_headers=headers)
    assert next(iter(stream)).choices
    stream.close()
    while not any(served.request == "left" for served in first.served()):
        client.models.list()  # the service runs, and so does its provider
    assert first.of("left").result != "ok"
