"""The vendors' own SDKs are the oracle: same server, same answer, same class of error, same Retry-After."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest

from flexiai.chat import ChatChunk, ChatCompletion, ChatRequest
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import ProviderError
from flexiai.providers import build_provider, new_session
from flexiai.types import ProviderConfig, RequestConfig
from tests.provider_process import ProviderProcess, provider_process

pytestmark = pytest.mark.real

WIRES = ("openai", "anthropic")
STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529)
HI = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi there, you."})
TIMEOUT_S = 10.0  # no test comes near, however slow the machine
HANG_S = 0.2  # how long a provider that hangs is waited for

OUTCOME_OF_CLASS: tuple[tuple[str, Outcome], ...] = (  # of both SDKs; the first that an error is an instance of counts
    ("PaymentRequiredError", Outcome.MISCONFIGURED),
    ("AuthenticationError", Outcome.MISCONFIGURED),
    ("PermissionDeniedError", Outcome.MISCONFIGURED),
    ("RateLimitError", Outcome.RATE_LIMITED),
    ("RequestTimeoutError", Outcome.FAILURE),
    ("InternalServerError", Outcome.FAILURE),
    ("APITimeoutError", Outcome.FAILURE),
    ("APIConnectionError", Outcome.FAILURE),
    ("APIResponseValidationError", Outcome.FAILURE),
    ("BadRequestError", Outcome.NEUTRAL),
    ("NotFoundError", Outcome.MISCONFIGURED),  # nobody here named a model but the configuration
    ("ConflictError", Outcome.FAILURE),  # both SDKs try again
    ("ContentTooLargeError", Outcome.NEUTRAL),
    ("UnprocessableEntityError", Outcome.NEUTRAL),
    ("JSONDecodeError", Outcome.FAILURE),  # a body that is not JSON leaves both SDKs as this
)
OPENAI_HAS_NO_CLASS_FOR = {402: Outcome.MISCONFIGURED, 408: Outcome.FAILURE, 413: Outcome.NEUTRAL}


def outcome_of(error: Exception) -> Outcome:
    """What an SDK's error means to whoever catches it by its class."""
    classes = {kind.__name__ for kind in type(error).__mro__}
    for name, outcome in OUTCOME_OF_CLASS:
        if name in classes:
            return outcome
    assert isinstance(error, openai.APIStatusError), repr(error)
    return OPENAI_HAS_NO_CLASS_FOR[error.status_code]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    with provider_process(tmp_path_factory.mktemp("provider"), name="vendor") as process:
        yield process


@pytest.fixture(autouse=True)
def _healed(server: ProviderProcess) -> Iterator[None]:
    yield
    server.heal_all()


class Both:
    """Our provider and the vendor's SDK, set to the same server."""

    def __init__(self, wire: str, ours: Any, sdk: Any, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._wire = wire
        self._ours = ours
        self._sdk = sdk

    async def ask_ours(self, **fields: Any) -> ChatCompletion:
        answer: ChatCompletion = await self._ours.complete(
            ChatRequest(messages=HI, **fields), timeout_s=self._timeout_s
        )
        return answer

    async def ask_sdk(self, max_tokens: int = 100, **fields: Any) -> Any:
        if self._wire == "openai":
            return await self._sdk.chat.completions.create(
                model="m-1", messages=list(HI), max_tokens=max_tokens, **fields
            )
        system, hi = HI
        return await self._sdk.messages.create(
            model="m-1", system=system["content"], messages=[hi], max_tokens=max_tokens, **fields
        )

    async def stream_ours(self, **fields: Any) -> list[ChatChunk]:
        return [chunk async for chunk in self._ours.stream(ChatRequest(messages=HI, **fields))]

    async def failures(self) -> tuple[ProviderError, Exception]:
        """What each makes of the same failure."""
        with pytest.raises(ProviderError) as ours:
            await self.ask_ours()
        with pytest.raises(Exception) as theirs:  # noqa: PT011 - which class it is, is the question
            await self.ask_sdk()
        return ours.value, theirs.value


@asynccontextmanager
async def both(wire: str, server: ProviderProcess, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Both]:
    settings = RequestConfig()
    base = server.openai_url if wire == "openai" else server.url
    config = ProviderConfig.model_validate(
        {"name": wire, "api_key": "k", "model": "m-1", "base_url": base, "wire": wire}
    )
    kind = openai.AsyncOpenAI if wire == "openai" else anthropic.AsyncAnthropic
    async with (
        new_session(settings) as session,
        kind(api_key="k", base_url=base, max_retries=0, timeout=timeout_s) as sdk,
    ):
        yield Both(wire, build_provider(config, settings, session), sdk, timeout_s)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("fields", "finish_reason"), [({}, "stop"), ({"max_tokens": 3}, "length"), ({"stop": "m-1"}, "stop")]
)
def test_the_same_answer(server: ProviderProcess, wire: str, fields: dict[str, Any], finish_reason: str) -> None:
    async def scene() -> tuple[ChatCompletion, Any]:
        async with both(wire, server) as asked:
            theirs = dict(fields)
            if wire == "anthropic" and "stop" in theirs:
                theirs["stop_sequences"] = [theirs.pop("stop")]
            options = {k: v for k, v in fields.items() if k == "stop"}
            max_tokens = fields.get("max_tokens", 100)
            return await asked.ask_ours(max_tokens=max_tokens, options=options), await asked.ask_sdk(**theirs)

    ours, theirs = asyncio.run(scene())
    (choice,) = ours.choices
    assert choice.finish_reason == finish_reason
    assert ours.model == theirs.model == "m-1"
    if wire == "openai":
        assert choice.message.content == theirs.choices[0].message.content
        assert choice.finish_reason == theirs.choices[0].finish_reason
        assert ours.usage.prompt_tokens == theirs.usage.prompt_tokens == 5
        assert ours.usage.total_tokens == theirs.usage.total_tokens
        assert ours.created in (theirs.created, theirs.created - 1)
    else:
        assert choice.message.content == theirs.content[0].text
        assert ours.usage.prompt_tokens == theirs.usage.input_tokens == 5
        assert ours.usage.completion_tokens == theirs.usage.output_tokens


@pytest.mark.parametrize("wire", WIRES)
def test_the_same_class_of_error_for_every_status(server: ProviderProcess, wire: str) -> None:
    async def scene() -> None:
        async with both(wire, server) as asked:
            for status in STATUSES:
                server.put(0, inject="error", status=status)
                ours, theirs = await asked.failures()
                assert (ours.outcome, ours.status) == (outcome_of(theirs), status), status
                assert getattr(theirs, "status_code", None) == status

    asyncio.run(scene())


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("inject", ["hang", "refuse", "malformed", "truncated"])
def test_the_same_class_of_error_when_there_is_no_answer(server: ProviderProcess, wire: str, inject: str) -> None:
    async def scene() -> tuple[ProviderError, Exception]:
        async with both(wire, server, HANG_S if inject == "hang" else TIMEOUT_S) as asked:
            server.put(0, inject=inject)
            return await asked.failures()

    ours, theirs = asyncio.run(scene())
    assert ours.outcome is outcome_of(theirs) is Outcome.FAILURE
    assert ours.status is None


@pytest.mark.parametrize("wire", WIRES)
def test_an_error_inside_a_200_that_the_sdks_let_pass_is_a_failure_to_us(server: ProviderProcess, wire: str) -> None:
    async def scene() -> tuple[ProviderError, Any]:
        async with both(wire, server) as asked:
            server.put(0, inject="error_body", status=529, message="Overloaded")
            with pytest.raises(ProviderError) as ours:
                await asked.ask_ours()
            return ours.value, await asked.ask_sdk()

    ours, theirs = asyncio.run(scene())
    assert ours.outcome is Outcome.FAILURE
    assert "Overloaded" in str(ours)
    assert not getattr(theirs, "choices", None)
    assert not getattr(theirs, "content", None)


@pytest.mark.parametrize("wire", WIRES)
def test_a_rate_limit_tells_how_long(server: ProviderProcess, wire: str) -> None:
    async def scene() -> tuple[ProviderError, Any]:
        async with both(wire, server) as asked:
            server.put(0, inject="rate_limit", retry_after=8.0)
            return await asked.failures()

    ours, theirs = asyncio.run(scene())
    assert ours.retry_after_s == float(theirs.response.headers["retry-after"]) == 8


@pytest.mark.parametrize("wire", WIRES)
def test_the_same_words_from_an_error(server: ProviderProcess, wire: str) -> None:
    async def scene() -> tuple[ProviderError, Any]:
        async with both(wire, server) as asked:
            code = "insufficient_quota" if wire == "openai" else "billing_error"
            server.put(0, inject="error", status=429, code=code, message="You exceeded your quota.")
            return await asked.failures()

    ours, theirs = asyncio.run(scene())
    assert ours.outcome is Outcome.MISCONFIGURED
    said = theirs.body.get("error", theirs.body)
    assert (said["type"], said["message"]) == (ours.code, "You exceeded your quota.")
    assert "You exceeded your quota." in str(ours)


def test_a_stream_can_be_read_by_openais_sdk(server: ProviderProcess) -> None:
    async def scene() -> tuple[str, list[str | None], int]:
        async with both("openai", server) as asked:
            stream = await asked.ask_sdk(stream=True, stream_options={"include_usage": True})
            chunks = [chunk async for chunk in stream]
            text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
            reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
            return text, reasons, chunks[-1].usage.completion_tokens

    text, reasons, tokens = asyncio.run(scene())
    assert text == "vendor answers as m-1 to 5 words."
    assert [r for r in reasons if r] == ["stop"]
    assert tokens == 7


def test_a_stream_can_be_read_by_anthropics_sdk(server: ProviderProcess) -> None:
    async def scene() -> Any:
        async with (
            both("anthropic", server) as asked,
            asked._sdk.messages.stream(model="m-1", max_tokens=100, messages=[HI[1]]) as stream,
        ):
            return await stream.get_final_message()

    message = asyncio.run(scene())
    assert message.content[0].text == "vendor answers as m-1 to 3 words."
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == 7


def test_openais_sdk_makes_the_same_of_a_stream(server: ProviderProcess) -> None:
    async def scene() -> tuple[list[ChatChunk], list[Any]]:
        async with both("openai", server) as asked:
            options = {"stream_options": {"include_usage": True}}
            theirs = await asked.ask_sdk(stream=True, **options)
            return await asked.stream_ours(max_tokens=100, options=options), [chunk async for chunk in theirs]

    def told(chunk: Any) -> tuple[Any, ...]:
        choices = [(c.index, c.delta.role, c.delta.content, c.finish_reason) for c in chunk.choices]
        return choices, chunk.usage and chunk.usage.total_tokens, chunk.model, chunk.object

    ours, theirs = asyncio.run(scene())
    assert [told(c) for c in ours] == [told(c) for c in theirs]


def test_anthropics_sdk_makes_the_same_of_a_stream(server: ProviderProcess) -> None:
    async def scene() -> tuple[list[ChatChunk], Any]:
        async with both("anthropic", server) as asked:
            system, hi = HI
            asking = asked._sdk.messages.stream(model="m-1", max_tokens=100, system=system["content"], messages=[hi])
            async with asking as stream:
                return await asked.stream_ours(max_tokens=100), await stream.get_final_message()

    ours, theirs = asyncio.run(scene())
    assert "".join(c.choices[0].delta.content or "" for c in ours) == theirs.content[0].text
    assert theirs.stop_reason == "end_turn"
    assert ours[-1].choices[0].finish_reason == "stop"
    assert ours[-1].usage is not None
    assert ours[-1].usage.prompt_tokens == theirs.usage.input_tokens == 5
    assert ours[-1].usage.completion_tokens == theirs.usage.output_tokens


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("inject", "trouble"),
    [("malformed", Trouble.MALFORMED), ("truncated", Trouble.DISCONNECT), ("error_body", Trouble.ERROR_BODY)],
)
def test_a_stream_that_breaks_is_a_failure(server: ProviderProcess, wire: str, inject: str, trouble: Trouble) -> None:
    async def scene() -> ProviderError:
        async with both(wire, server) as asked:
            server.put(0, inject=inject)
            with pytest.raises(ProviderError) as raised:
                await asked.stream_ours()
            return raised.value

    error = asyncio.run(scene())
    assert (error.trouble, error.outcome) == (trouble, Outcome.FAILURE)


@pytest.mark.parametrize("wire", WIRES)
def test_a_stream_can_break(server: ProviderProcess, wire: str) -> None:
    async def scene() -> None:
        async with both(wire, server) as asked:
            server.put(0, inject="malformed")
            stream = await asked.ask_sdk(stream=True)
            async for _ in stream:
                pass

    with pytest.raises((openai.APIError, anthropic.APIError, json.JSONDecodeError)):
        asyncio.run(scene())


def test_both_sdks_can_list_the_models(server: ProviderProcess) -> None:
    async def scene() -> list[str]:
        async with both("openai", server) as a, both("anthropic", server) as b:
            return [(await a._sdk.models.list()).data[0].id, (await b._sdk.models.list()).data[0].id]

    assert asyncio.run(scene()) == ["vendor-model", "vendor-model"]
