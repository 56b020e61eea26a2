"""The simulated provider: the errors of an HTTP adapter, a ledger with one line a request, evidence of each fault."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from flexiai.chat import ChatRequest
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import ProviderError
from harness.faults import Place, kinds_of
from harness.history import ProviderServed
from harness.scenario import ProviderSpec
from harness.sim.chance import Chance
from harness.sim.line import Line
from harness.sim.provider import SimProvider
from harness.sim.standing import Standing
from tests.harness.sim.simulated import loop_on, network, run_on

HERE: Place = (1, 1)
THERE: Place = (1, 2)


class Case:
    """A provider that takes 100 ms, seen by two workers."""

    def __init__(self) -> None:
        self.ledger: list[ProviderServed] = []
        self.loop = loop_on(network())
        spec = ProviderSpec.model_validate({"name": "acme", "latency": "100ms"})
        self.provider = SimProvider(spec, Chance(1), self.loop.time, self.ledger.append)
        self.here, self.there = self.provider.line(HERE), self.provider.line(THERE)

    def fault(self, inject: str, *places: Place, **fields: Any) -> Standing:
        kind = kinds_of("provider")[inject]
        fault = kind.model_validate({"at": "0s", "target": "provider/acme", "inject": inject, **fields})
        return Standing(0, fault, places)

    async def ask(self, line: Line | None = None, timeout_s: float = 10.0) -> ProviderError | None:
        try:
            answer = await (line or self.here).complete(ChatRequest(messages=(), request_id="r1"), timeout_s=timeout_s)
        except ProviderError as error:
            return error
        assert answer.provider == "acme"
        return None


def test_a_healthy_provider_answers_after_its_latency_and_enters_it() -> None:
    case = Case()
    assert run_on(case.loop, case.ask()) is None
    assert case.ledger == [
        ProviderServed(t=0.1, provider="acme", request="r1", began=0.0, result="ok", status=200, fault=None)
    ]


@pytest.mark.parametrize(("inject", "fields", "status"), [("error", {"status": 503}, 503), ("rate_limit", {}, 429)])
def test_a_faulty_answer_takes_as_long_as_a_good_one(inject: str, fields: dict[str, Any], status: int) -> None:
    case = Case()
    standing = case.fault(inject, **fields)
    case.provider.put(standing)
    error = run_on(case.loop, case.ask())
    assert error is not None
    assert (error.trouble, error.status, standing.touched) == (Trouble.STATUS, status, 1)
    assert [(e.result, e.status, e.fault, e.t) for e in case.ledger] == [("error", status, 0, 0.1)]


def test_retry_after_reaches_the_caller() -> None:
    case = Case()
    case.provider.put(case.fault("rate_limit", retry_after="8s"))
    error = run_on(case.loop, case.ask())
    assert error is not None
    assert error.retry_after_s == 8.0


def test_a_hang_ends_with_the_callers_patience() -> None:
    case = Case()
    case.provider.put(case.fault("hang"))
    error = run_on(case.loop, case.ask(timeout_s=2.0))
    assert error is not None
    assert error.trouble is Trouble.TIMEOUT
    assert [(e.result, e.t) for e in case.ledger] == [("hung", 2.0)]


def test_a_hang_that_heals_is_cut_without_an_answer() -> None:
    case = Case()
    standing = case.fault("hang")
    case.provider.put(standing)
    case.loop.call_later(1.0, case.provider.heal, standing)
    error = run_on(case.loop, case.ask())
    assert error is not None
    assert error.trouble is Trouble.DISCONNECT
    assert [(e.result, e.t) for e in case.ledger] == [("hung", 1.0)]


def test_refusing_cuts_what_is_under_way_and_refuses_what_comes() -> None:
    case = Case()
    standing = case.fault("refuse")

    async def main() -> tuple[ProviderError | None, ProviderError | None]:
        case.loop.call_later(0.05, case.provider.put, standing)
        first = await case.ask()
        return first, await case.ask()

    cut, refused = run_on(case.loop, main())
    assert cut is not None
    assert refused is not None
    assert (cut.trouble, refused.trouble) == (Trouble.DISCONNECT, Trouble.CONNECT)
    assert standing.touched == 2
    assert [(e.result, e.fault) for e in case.ledger] == [("gone", 0)]


def test_latency_is_added() -> None:
    case = Case()
    case.provider.put(case.fault("latency", add="2s"))
    assert run_on(case.loop, case.ask()) is None
    assert case.ledger[0].t == pytest.approx(2.1)
    assert case.ledger[0].fault == 0


def test_a_partition_holds_its_workers_requests_until_it_heals_and_no_others() -> None:
    case = Case()
    standing = case.fault("partition", HERE, workers="1 of 2")

    async def main() -> list[ProviderError | None]:
        case.provider.put(standing)
        case.loop.call_later(1.0, case.provider.heal, standing)
        return await asyncio.gather(case.ask(case.here), case.ask(case.there))

    assert run_on(case.loop, main()) == [None, None]
    assert [round(e.t, 3) for e in case.ledger] == [0.1, 1.1]
    assert standing.touched == 1


def test_a_request_held_back_never_reached_the_ledger() -> None:
    case = Case()
    case.provider.put(case.fault("partition", HERE))
    error = run_on(case.loop, case.ask(timeout_s=1.0))
    assert error is not None
    assert error.trouble is Trouble.TIMEOUT
    assert case.ledger == []


def test_requests_of_a_killed_worker_are_gone() -> None:
    case = Case()

    async def main() -> None:
        task = asyncio.create_task(case.ask())
        await asyncio.sleep(0.05)
        case.here.abandon()
        task.cancel()
        await asyncio.wait([task])

    run_on(case.loop, main())
    assert case.ledger[0].result == "gone"


def test_a_share_touches_about_its_share() -> None:
    case = Case()
    standing = case.fault("error", share="25%")
    case.provider.put(standing)

    async def main() -> list[ProviderError | None]:
        return await asyncio.gather(*(case.ask() for _ in range(400)))

    failed = [error for error in run_on(case.loop, main()) if error is not None]
    assert len(failed) == standing.touched
    assert 60 < len(failed) < 140


class Streams(Case):
    """A provider that takes 100 ms to a stream's first token, and 10 ms to each further one of four."""

    def __init__(self) -> None:
        super().__init__()
        spec = ProviderSpec.model_validate({"name": "acme", "latency": "100ms", "tokens": 4, "token_interval": "10ms"})
        self.provider = SimProvider(spec, Chance(1), self.loop.time, self.ledger.append)
        self.here = self.provider.line(HERE)

    async def hear(self) -> tuple[list[tuple[float, str | None]], ProviderError | None]:
        """When each piece came and what it said, and how it broke off."""
        heard = []
        try:
            async for chunk in self.here.stream(ChatRequest(messages=(), request_id="r1")):
                heard.append((round(self.loop.time(), 4), chunk.choices[0].delta.content))  # noqa: PERF401 - what came before an error
        except ProviderError as error:
            return heard, error
        return heard, None


def test_a_stream_comes_token_by_token() -> None:
    case = Streams()
    heard, error = run_on(case.loop, case.hear())
    assert heard == [(0.1, None), (0.1, "1 "), (0.11, "2 "), (0.12, "3 "), (0.13, "4 "), (0.13, None)]
    assert error is None
    assert [(e.result, e.status, round(e.t, 4)) for e in case.ledger] == [("ok", 200, 0.13)]


@pytest.mark.parametrize(
    ("inject", "trouble"),
    [("cut", Trouble.DISCONNECT), ("malformed", Trouble.MALFORMED), ("error_body", Trouble.ERROR_BODY)],
)
@pytest.mark.parametrize(("after_tokens", "told"), [(0, 1), (2, 3), (9, 5)])
def test_a_stream_is_broken_after_so_many_tokens(inject: str, trouble: Trouble, after_tokens: int, told: int) -> None:
    case = Streams()
    standing = case.fault(inject, after_tokens=after_tokens)
    case.provider.put(standing)
    heard, error = run_on(case.loop, case.hear())
    assert len(heard) == told
    assert error is not None
    assert (error.trouble, standing.touched) == (trouble, 1)
    assert [(e.result, e.status, e.fault) for e in case.ledger] == [("error", 200, 0)]


@pytest.mark.parametrize("inject", ["cut", "malformed", "error_body"])
def test_a_whole_answer_is_broken_too(inject: str) -> None:
    case = Case()
    case.provider.put(case.fault(inject))
    error = run_on(case.loop, case.ask())
    assert error is not None
    assert error.outcome is Outcome.FAILURE
    assert [(e.result, e.status, e.t) for e in case.ledger] == [("error", 200, 0.1)]


@pytest.mark.parametrize(("after_tokens", "silent_before"), [(0, "1 "), (2, "3 "), (9, None)])
def test_a_stall_is_silence_before_one_token(after_tokens: int, silent_before: str | None) -> None:
    case = Streams()
    standing = case.fault("stall", add="2s", after_tokens=after_tokens)
    case.provider.put(standing)
    heard, error = run_on(case.loop, case.hear())
    waits = {now[1]: round(now[0] - before[0], 2) for before, now in itertools.pairwise(heard)}
    assert error is None
    assert [said for said, wait in waits.items() if wait >= 2.0] == [silent_before]
    assert standing.touched == 1


def test_a_stall_leaves_whole_answers_alone() -> None:
    case = Case()
    standing = case.fault("stall", add="2s")
    case.provider.put(standing)
    assert run_on(case.loop, case.ask()) is None
    assert (standing.touched, case.ledger[0].t) == (0, 0.1)


def test_a_stream_that_is_left_is_gone_and_one_that_is_reset_breaks() -> None:
    case = Streams()
    refuse = case.fault("refuse")

    async def main() -> Any:
        leaving = case.here.stream(ChatRequest(messages=()))
        async for _ in leaving:
            break
        await leaving.aclose()
        cut_off = case.here.stream(ChatRequest(messages=()))
        async for chunk in cut_off:
            if chunk.has_content:
                break
        case.provider.put(refuse)  # while nobody waits for a piece
        with pytest.raises(ProviderError) as caught:
            await anext(cut_off)
        return caught.value.trouble

    assert run_on(case.loop, main()) is Trouble.DISCONNECT
    assert [(e.result, e.fault) for e in case.ledger] == [("gone", None), ("gone", 0)]
    assert case.here.open == {}


def test_who_is_one_too_many_is_turned_away_at_once() -> None:
    case = Case()
    standing = case.fault("capacity", most=2, status=529, retry_after="3s")
    case.provider.put(standing)

    async def three() -> list[ProviderError | None]:
        return await asyncio.gather(case.ask(), case.ask(case.there), case.ask())

    errors = run_on(case.loop, three())
    assert [e and (e.status, e.retry_after_s) for e in errors] == [None, None, (529, 3.0)]
    assert standing.touched == 1
    assert [(e.status, e.fault, e.t) for e in case.ledger] == [(529, 0, 0.0), (200, None, 0.1), (200, None, 0.1)]


def test_who_comes_when_the_others_are_done_is_served() -> None:
    case = Case()
    case.provider.put(case.fault("capacity", most=1))

    async def one_by_one() -> list[ProviderError | None]:
        return [await case.ask(), await case.ask()]

    assert run_on(case.loop, one_by_one()) == [None, None]


@pytest.mark.parametrize("stream", [False, True])
def test_a_reset_loses_the_answer_to_work_that_was_done(stream: bool) -> None:
    case = Streams()
    case.provider.put(case.fault("reset"))
    error = run_on(case.loop, case.hear())[1] if stream else run_on(case.loop, case.ask())
    assert error is not None
    assert error.trouble is Trouble.DISCONNECT
    assert [(e.result, e.fault, e.t) for e in case.ledger] == [("error", 0, 0.1)]


def test_a_latency_that_grows_adds_its_part() -> None:
    case = Case()
    case.provider.put(case.fault("latency", add="1s", grows=True, **{"for": "10s"}))

    async def twice() -> None:
        await case.ask()
        await asyncio.sleep(4.9)
        await case.ask()

    run_on(case.loop, twice())
    assert [round(e.t - e.began, 6) for e in case.ledger] == [0.1, 0.6]


def test_a_latency_spreads() -> None:
    case = Case()
    case.provider.put(case.fault("latency", add="1s", spread="1s"))

    async def often() -> None:
        for _ in range(50):
            await case.ask()

    run_on(case.loop, often())
    took = [e.t - e.began for e in case.ledger]
    assert 1.1 <= min(took) < 1.3
    assert 1.9 < max(took) < 2.1


def test_a_date_is_when_whole_seconds_are_over() -> None:
    case = Case()
    case.provider.put(case.fault("rate_limit", retry_after="1500ms", date=True))
    error = run_on(case.loop, case.ask())
    assert error is not None
    assert error.retry_after_s == pytest.approx(1.9)
