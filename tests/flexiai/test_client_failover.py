"""A request, tried on one provider after another."""

from __future__ import annotations

import asyncio
import logging

import pytest

from flexiai import BreakerConfig, InvalidRequestError, NoProviderAvailable, RequestConfig
from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome, Trouble
from flexiai.errors import ProviderError
from flexiai.events import AttemptEnded, AttemptStarted, Event, RequestEnded, RequestStarted, Transition
from tests.flexiai.client_parts import HELLO, Fleet, fleet, forever, run, status


async def ask(f: Fleet, request_id: str | None = "r") -> str:
    return (await f.client.chat.completions.create(messages=HELLO, request_id=request_id)).provider


async def refused(f: Fleet) -> NoProviderAvailable:
    with pytest.raises(NoProviderAvailable) as caught:
        await ask(f)
    return caught.value


def test_the_best_provider_answers_and_each_step_is_an_event() -> None:
    f = fleet([], [])

    async def main() -> None:
        async with f.client:
            assert await ask(f) == "a"

    run(main())
    assert f.kinds() == [
        "WorkerStarted",
        "WorkerReady",
        "RequestStarted",
        "AttemptStarted",
        "AttemptEnded",
        "RequestEnded",
        "WorkerStopped",
    ]
    (ended,) = f.only(RequestEnded)
    assert (ended.result, ended.provider, ended.attempts) == ("ok", "a", 1)
    assert not f.providers[1].asked


@pytest.mark.parametrize(
    ("raised", "outcome", "trouble"),
    [
        (status(503), Outcome.FAILURE, Trouble.STATUS),
        (status(529), Outcome.FAILURE, Trouble.STATUS),
        (status(429), Outcome.RATE_LIMITED, Trouble.STATUS),
        (status(401), Outcome.MISCONFIGURED, Trouble.STATUS),
        (ProviderError("refused", provider="a", trouble=Trouble.CONNECT), Outcome.FAILURE, Trouble.CONNECT),
        (KeyError("a secret"), Outcome.FAILURE, Trouble.OTHER),
        (TimeoutError(), Outcome.FAILURE, Trouble.OTHER),
        (asyncio.CancelledError(), Outcome.FAILURE, Trouble.OTHER),
    ],
)
def test_a_providers_failure_fails_over(raised: BaseException, outcome: Outcome, trouble: Trouble) -> None:
    f = fleet([raised], [])
    assert run(ask(f)) == "b"
    first, second = f.only(AttemptEnded)
    assert (first.provider, first.outcome, first.trouble) == ("a", outcome, trouble)
    assert (second.provider, second.outcome) == ("b", Outcome.SUCCESS)
    assert "secret" not in repr(f.events)


@pytest.mark.parametrize("code", [400, 404, 413, 422])
def test_the_callers_own_error_goes_to_the_caller_and_moves_no_breaker(code: int) -> None:
    f = fleet([status(code)] * 20, [])

    async def main() -> None:
        for _ in range(20):
            with pytest.raises(InvalidRequestError) as caught:
                await ask(f)
            assert caught.value.status == code

    run(main())
    assert not f.providers[1].asked
    assert not f.only(Transition)
    assert {e.result for e in f.only(RequestEnded)} == {"rejected"}


def unsupported(name: str) -> InvalidRequestError:
    message = f"{name} cannot be asked for the option seed"
    return InvalidRequestError(message, provider=name, trouble=Trouble.UNSUPPORTED, status=400, code="unsupported")


def test_a_provider_without_a_word_for_the_request_is_passed_over_and_its_breaker_is_not_moved() -> None:
    f = fleet([unsupported("a")] * 20, [])

    async def main() -> None:
        assert {await ask(f) for _ in range(20)} == {"b"}

    run(main())
    assert not f.only(Transition)
    assert {e.result for e in f.only(RequestEnded)} == {"ok"}


@pytest.mark.parametrize(
    ("a", "b", "named"), [(status(503), unsupported("b"), "b"), (unsupported("a"), status(503), "a")]
)
def test_what_the_only_provider_left_has_no_word_for_is_the_callers_own_error(
    a: ProviderError, b: ProviderError, named: str
) -> None:
    f = fleet([a], [b])

    async def main() -> None:
        with pytest.raises(InvalidRequestError, match=f"{named} cannot be asked for the option seed") as caught:
            await ask(f)
        assert (caught.value.provider, caught.value.status, caught.value.code) == (named, 400, "unsupported")

    run(main())
    assert [e.provider for e in f.only(AttemptEnded)] == ["a", "b"]
    assert {e.result for e in f.only(RequestEnded)} == {"rejected"}


def test_an_open_breaker_is_skipped_and_the_attempt_says_so() -> None:
    f = fleet([status(503)], [], breaker=BreakerConfig(failure_threshold=1))

    async def main() -> None:
        assert [await ask(f), await ask(f)] == ["b", "b"]

    run(main())
    assert len(f.providers[0].asked) == 1
    assert f.only(AttemptStarted)[-1].skipped == ("a",)
    (opened,) = f.only(Transition)
    assert (opened.frm, opened.to, opened.cause) == (State.CLOSED, State.OPEN, Cause.CONSECUTIVE_FAILURES)


def test_when_nobody_can_answer_the_error_tells_what_each_said_and_when_to_come_back() -> None:
    f = fleet([status(429, retry_after_s=20)], [status(503, retry_after_s=7)])

    async def main() -> None:
        first, second = await refused(f), await refused(f)
        assert [(s.provider, s.reason) for s in first.said] == [("a", "rate_limited"), ("b", "failure")]
        assert [(s.provider, s.reason) for s in second.said] == [("a", "retry_after"), ("b", "retry_after")]
        assert 0 < second.retry_after_s <= first.retry_after_s <= 7
        assert isinstance(first.__cause__, ProviderError)

    run(main())
    assert [(e.result, e.attempts) for e in f.only(RequestEnded)] == [("failed", 2), ("failed", 0)]


def test_one_request_probes_when_the_time_has_come_and_its_success_closes() -> None:
    f = fleet([status(401)], [], breaker=BreakerConfig(failure_threshold=1, ramp_s=0))

    async def main() -> None:
        assert await ask(f) == "b"
        f.client.breakers["a"].open_until = 0.0
        assert [await ask(f), await ask(f)] == ["a", "a"]

    run(main())
    assert [(t.to, t.cause) for t in f.only(Transition)] == [
        (State.OPEN, Cause.MISCONFIGURED),
        (State.HALF_OPEN, Cause.PROBE_GRANTED),
        (State.CLOSED, Cause.PROBE_SUCCEEDED),
    ]
    assert [a.probe for a in f.only(AttemptStarted)] == [False, False, True, False]


def test_an_attempt_that_hangs_is_a_timeout_of_its_provider() -> None:
    f = fleet([forever], [], request=RequestConfig(attempt_timeout_s=0.01))
    assert run(ask(f)) == "b"
    ended = f.only(AttemptEnded)[0]
    assert (ended.outcome, ended.trouble) == (Outcome.FAILURE, Trouble.TIMEOUT)


def test_a_provider_that_turns_its_cancellation_into_an_error_still_timed_out() -> None:
    async def sulk() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            raise RuntimeError from None

    f = fleet([sulk], [], request=RequestConfig(attempt_timeout_s=0.01))
    assert run(ask(f)) == "b"
    assert f.only(AttemptEnded)[0].trouble is Trouble.TIMEOUT


def test_one_deadline_covers_all_attempts_and_a_curtailed_one_says_nothing_of_its_provider() -> None:
    async def most_of_it() -> None:
        await asyncio.sleep(0.2)
        raise status(503)

    f = fleet([most_of_it], [forever], [], request=RequestConfig(deadline_s=0.3, attempt_timeout_s=0.25))
    error = run(refused(f))
    ended = f.only(AttemptEnded)
    assert ended[0].outcome is Outcome.FAILURE
    assert (ended[1].provider, ended[1].outcome, ended[1].trouble) == ("b", Outcome.NEUTRAL, Trouble.DEADLINE)
    assert [s.reason for s in error.said] == [ended[0].outcome.value, "deadline", "deadline"]
    assert f.client.breakers["b"].failure_count == 0
    assert not f.providers[2].asked


def test_a_first_attempt_that_takes_the_whole_deadline_is_its_providers_failure() -> None:
    f = fleet([forever], [], request=RequestConfig(deadline_s=0.01, attempt_timeout_s=30))
    run(refused(f))
    assert f.only(AttemptEnded)[0].outcome is Outcome.FAILURE


def test_retries_ask_the_same_provider_again_but_only_after_a_plain_failure() -> None:
    f = fleet([status(500), status(502)], [status(429)], [], request=RequestConfig(retries=1))
    assert run(ask(f)) == "c"
    assert [a.provider for a in f.only(AttemptStarted)] == ["a", "a", "b", "c"]


def test_a_retry_asks_the_breaker_first() -> None:
    breaker = BreakerConfig(failure_threshold=1)
    f = fleet([status(500)], [], request=RequestConfig(retries=5), breaker=breaker)
    assert run(ask(f)) == "b"
    assert [a.provider for a in f.only(AttemptStarted)] == ["a", "b"]


def test_a_provider_that_was_skipped_is_looked_at_again_before_the_next_attempt() -> None:
    f = fleet([status(503)], [], [], breaker=BreakerConfig(failure_threshold=1))

    async def mend_a_and_fail() -> None:
        f.client.reset("a")
        raise status(503)

    async def main() -> None:
        assert await ask(f) == "b"
        f.providers[1].script = [mend_a_and_fail]
        assert await ask(f) == "a"

    run(main())
    assert [(a.provider, a.skipped) for a in f.only(AttemptStarted)][-2:] == [("b", ("a",)), ("a", ())]


def test_a_provider_refused_twice_says_so_once() -> None:
    f = fleet([status(503)], [status(503)] * 2, [], breaker=BreakerConfig(failure_threshold=1))

    async def main() -> None:
        assert await ask(f) == "c"
        f.providers[2].script = [status(503)]
        error = await refused(f)
        assert [s.provider for s in error.said] == ["a", "b", "c"]

    run(main())


def test_the_retry_budget_bounds_further_attempts() -> None:
    breaker = BreakerConfig(failure_threshold=1000, failure_rate=None)
    request = RequestConfig(retry_budget=0.0, budget_window_s=3600)
    f = fleet([status(500)] * 30, [], request=request, breaker=breaker)

    async def main() -> None:
        assert [await ask(f) for _ in range(10)] == ["b"] * 10
        error = await refused(f)
        assert [s.reason for s in error.said] == ["failure", "retry_budget"]

    run(main())


def test_who_has_no_word_for_a_request_was_not_asked_and_costs_nothing_of_the_budget() -> None:
    f = fleet([unsupported("a")] * 30, [], request=RequestConfig(retry_budget=0.0, budget_window_s=3600))

    async def main() -> None:
        assert [await ask(f) for _ in range(30)] == ["b"] * 30

    run(main())


def test_a_burst_that_hangs_together_fails_over_together() -> None:
    f = fleet([forever] * 40, [], request=RequestConfig(attempt_timeout_s=0.01))

    async def main() -> None:
        assert await asyncio.gather(*(ask(f) for _ in range(40))) == ["b"] * 40

    run(main())


def test_a_listener_that_raises_breaks_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(event: Event) -> None:
        raise RuntimeError("broken listener")

    later: list[Event] = []
    f = fleet([], listeners=[broken, later.append])
    with caplog.at_level(logging.ERROR, logger="flexiai"):
        assert run(ask(f)) == "a"
    assert later == f.events
    (record,) = caplog.records
    assert record.exc_info is not None


def test_a_request_without_an_id_gets_one_from_the_clients_own_chance() -> None:
    ids = []
    for _ in range(2):
        f = fleet([])
        run(ask(f, None))
        ids.append(f.only(RequestStarted)[0].request)
        assert f.providers[0].asked[0].request_id == ids[-1]
    assert ids[0] == ids[1]


def test_what_the_caller_asked_reaches_the_provider() -> None:
    f = fleet([])

    async def main() -> None:
        await f.client.chat.completions.create(
            messages=HELLO, model="big", temperature=0.3, max_tokens=7, request_id="r", top_p=0.5
        )

    run(main())
    (chat,) = f.providers[0].asked
    assert (chat.messages, chat.model, chat.temperature, chat.max_tokens) == (tuple(HELLO), "big", 0.3, 7)
    assert chat.options == {"top_p": 0.5}


def test_a_provider_that_was_skipped_and_has_closed_meanwhile_is_asked_before_worse_ones() -> None:
    f = fleet([], [], [])
    a = f.client.breakers["a"]

    async def a_closes_while_b_fails() -> None:
        a.reset(0.0)
        raise status(503)

    f.providers[1].script.append(a_closes_while_b_fails)

    async def main() -> None:
        async with f.client:
            a.force_open(asyncio.get_running_loop().time(), 60.0)
            assert await ask(f) == "a"

    run(main())
    assert [e.provider for e in f.only(AttemptStarted)] == ["b", "a"]
    assert [e.skipped for e in f.only(AttemptStarted)] == [("a",), ()]
    assert not f.providers[2].asked


def test_a_drained_provider_is_asked_if_all_others_fail_and_the_attempt_says_so() -> None:
    f = fleet([], [status(503)])

    async def main() -> None:
        async with f.client:
            f.client.breakers["a"].drain(asyncio.get_running_loop().time(), 60.0)
            assert [await ask(f), await ask(f)] == ["a", "b"]

    run(main())
    first, last, other = f.only(AttemptStarted)
    assert (first.provider, first.skipped, first.skipped_for, first.last_resort) == ("b", ("a",), ("drain",), False)
    assert (last.provider, last.skipped, last.last_resort) == ("a", (), True)
    assert (other.provider, other.last_resort) == ("b", False)


def test_nobody_is_asked_more_often_than_retries_allow() -> None:
    f = fleet([status(503)] * 9, [status(503)] * 9, request=RequestConfig(retries=2))
    run(refused(f))
    assert [e.provider for e in f.only(AttemptStarted)] == ["a"] * 3 + ["b"] * 3
