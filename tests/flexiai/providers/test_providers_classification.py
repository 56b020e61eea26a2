"""The tables of what a vendor's answer means, row by row against real HTTP answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scripted import Scripted, ask, ask_stream, streaming

from flexiai.core.outcome import Outcome, Trouble, classify
from flexiai.errors import InvalidRequestError, ProviderError
from flexiai.providers.classification import ANTHROPIC, ON_THE_WAY, OPENAI, Vendor, of_exception
from flexiai.providers.classification_page import page

BY_WIRE = {"openai": OPENAI, "anthropic": ANTHROPIC}
STATUSES = {
    400: Outcome.NEUTRAL,
    401: Outcome.MISCONFIGURED,
    402: Outcome.MISCONFIGURED,
    403: Outcome.MISCONFIGURED,
    404: Outcome.MISCONFIGURED,
    408: Outcome.FAILURE,
    409: Outcome.FAILURE,
    413: Outcome.NEUTRAL,
    422: Outcome.NEUTRAL,
    429: Outcome.RATE_LIMITED,
    500: Outcome.FAILURE,
    502: Outcome.FAILURE,
    503: Outcome.FAILURE,
    504: Outcome.FAILURE,
    529: Outcome.FAILURE,
}
PAGE = Path(__file__).parents[3] / "docs" / "classification.md"


def said(wire: str, code: str | None = None, message: str = "no") -> dict[str, Any]:
    """An error body of this vendor's with a code where the vendor puts it."""
    if wire == "openai":
        return {"error": {"message": message, "type": "some_type", "code": code, "param": None}}
    if code is None or code.endswith("_error") or code == "request_too_large":
        return {"type": "error", "error": {"type": code or "some_error", "message": message}}
    return {"type": "error", "error": {"type": "some_error", "message": message, "details": {"error_code": code}}}


def failure(wire: str, body: Any, status: int, **fields: Any) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        ask(wire, Scripted(body, status), **fields)
    return raised.value


def failure_inside(wire: str, body: Any, **fields: Any) -> list[ProviderError]:
    """What is made of an error inside a 200: whole, in a stream, and in an event of that name."""
    errors = [failure(wire, body, 200, **fields)]
    for events in ((body,), (b"event: error\n", body)):
        with pytest.raises(ProviderError) as raised:
            ask_stream(wire, streaming(*events), **fields)
        errors.append(raised.value)
    return errors


def rows(table: str) -> list[tuple[str, Any, Any]]:
    found: list[tuple[str, Any, Any]] = []
    for wire, vendor in BY_WIRE.items():
        entries = getattr(vendor, table)
        found += [(wire, *row) for row in (entries.items() if hasattr(entries, "items") else entries)]
    return found


@pytest.mark.parametrize(("wire", "status", "meaning"), rows("statuses"))
def test_every_status_is_told_with_its_message_and_means_what_the_table_says(
    wire: str, status: int, meaning: str
) -> None:
    error = failure(wire, said(wire, message="Something is wrong."), status)
    assert meaning
    assert (error.status, error.outcome, error.provider) == (status, STATUSES[status], f"the-{wire}")
    assert str(error) == f"HTTP {status}: Something is wrong."
    assert isinstance(error, InvalidRequestError) is (error.outcome is Outcome.NEUTRAL)


@pytest.mark.parametrize("vendor", [OPENAI, ANTHROPIC], ids=lambda v: v.name)
def test_no_status_is_missing(vendor: Vendor) -> None:
    assert vendor.statuses.keys() == STATUSES.keys()
    assert vendor.by_status.keys() <= vendor.statuses.keys()


@pytest.mark.parametrize("wire", BY_WIRE)
def test_an_unfollowed_redirect_is_a_failure(wire: str) -> None:
    assert failure(wire, b"", 302).outcome is Outcome.FAILURE


@pytest.mark.parametrize(("wire", "code", "trouble"), rows("by_code"))
@pytest.mark.parametrize("status", [400, 403, 429, 500])
def test_a_code_decides_whatever_the_status_is(wire: str, code: str, trouble: Trouble, status: int) -> None:
    error = failure(wire, said(wire, code), status)
    assert (error.trouble, error.status, error.code) == (trouble, status, code)
    assert error.outcome is classify(trouble)


@pytest.mark.parametrize(("wire", "code", "trouble"), [*rows("by_code"), *rows("inside")])
def test_inside_a_200_and_in_a_stream_a_code_stands_for_the_status(wire: str, code: str, trouble: Trouble) -> None:
    for error in failure_inside(wire, said(wire, code)):
        assert (error.trouble, error.status, error.code) == (trouble, None, code)
        assert isinstance(error, InvalidRequestError) is (classify(trouble) is Outcome.NEUTRAL)


@pytest.mark.parametrize("wire", BY_WIRE)
def test_an_error_inside_a_200_whose_code_says_nothing_is_a_failure(wire: str) -> None:
    for error in failure_inside(wire, said(wire, "news_to_us")):
        assert (error.trouble, error.outcome) == (Trouble.ERROR_BODY, Outcome.FAILURE)


@pytest.mark.parametrize(("wire", "beginning", "trouble"), rows("by_message"))
def test_a_message_counts_by_its_beginning_alone(wire: str, beginning: str, trouble: Trouble) -> None:
    assert failure(wire, said(wire, message=f"{beginning}, you know."), 400).trouble is trouble
    quoting = failure(wire, said(wire, message=f"Not valid: '{beginning}'"), 400)
    assert (quoting.trouble, quoting.outcome) == (Trouble.STATUS, Outcome.NEUTRAL)


@pytest.mark.parametrize("wire", BY_WIRE)
@pytest.mark.parametrize("body", [b"<html>Not Found</html>", {"error": {"message": "no", "type": "t"}}])
def test_what_is_not_found_is_the_deployments_mistake_unless_the_caller_named_the_model(wire: str, body: Any) -> None:
    assert failure(wire, body, 404).outcome is Outcome.MISCONFIGURED
    own = failure(wire, body, 404, model="gpt-99")
    assert (own.trouble, own.outcome, own.status) == (Trouble.INVALID_REQUEST, Outcome.NEUTRAL, 404)


@pytest.mark.parametrize(
    ("wire", "code"), [(wire, code) for wire, vendor in BY_WIRE.items() for code in vendor.no_model]
)
def test_no_caller_can_bench_a_provider_by_naming_a_model_that_it_may_not_use(wire: str, code: str) -> None:
    assert failure(wire, said(wire, code), 403).outcome is Outcome.MISCONFIGURED
    assert failure(wire, said(wire, code), 403, model="gpt-99").outcome is Outcome.NEUTRAL
    assert {e.outcome for e in failure_inside(wire, said(wire, code))} == {Outcome.MISCONFIGURED}
    assert {e.outcome for e in failure_inside(wire, said(wire, code), model="gpt-99")} == {Outcome.NEUTRAL}


def test_every_exception_on_the_way_comes_to_its_own_row() -> None:
    made = [kind.__new__(kind) for kind, _, _ in ON_THE_WAY]
    assert [of_exception(e) for e in made] == [trouble for _, trouble, _ in ON_THE_WAY]
    assert of_exception(KeyError()) is Trouble.OTHER


def test_the_page_of_the_docs_is_made_of_the_tables() -> None:
    assert PAGE.read_text() == page(), "python -m flexiai.providers.classification_page > docs/classification.md"


def test_every_trouble_is_in_the_contract() -> None:
    contract = (PAGE.parent / "failover.md").read_text()
    assert [t for t in Trouble if f"| `{t.value}`" not in contract] == []
