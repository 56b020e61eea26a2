"""One classification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.outcome import Outcome, Trouble, classify


@given(trouble=st.none() | st.sampled_from(Trouble), status=st.none() | st.integers(100, 599))
def test_every_end_of_an_attempt_has_one_meaning(trouble: Trouble | None, status: int | None) -> None:
    outcome = classify(trouble, status)
    assert (outcome is Outcome.SUCCESS) == (trouble is None)
    assert outcome.fails_over == (outcome not in (Outcome.SUCCESS, Outcome.NEUTRAL))


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.NEUTRAL),
        (404, Outcome.NEUTRAL),
        (413, Outcome.NEUTRAL),
        (422, Outcome.NEUTRAL),
        (401, Outcome.MISCONFIGURED),
        (402, Outcome.MISCONFIGURED),
        (403, Outcome.MISCONFIGURED),
        (408, Outcome.FAILURE),
        (429, Outcome.RATE_LIMITED),
        (500, Outcome.FAILURE),
        (503, Outcome.FAILURE),
        (529, Outcome.FAILURE),
    ],
)
def test_a_status_means_what_the_contract_says(status: int, outcome: Outcome) -> None:
    assert classify(Trouble.STATUS, status) is outcome


@pytest.mark.parametrize("trouble", [Trouble.CANCELLED, Trouble.DEADLINE, Trouble.CONTENT_FILTER])
def test_what_the_provider_cannot_help_is_neutral(trouble: Trouble) -> None:
    assert classify(trouble) is Outcome.NEUTRAL
