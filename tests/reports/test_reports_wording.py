"""Numbers as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.wording import count, duration, measured, plural, ratio, sentence, share


def plainly(text: str) -> str:
    return text.replace("\u202f", " ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.0000042, "4.2 µs"), (0.00042, "420 µs"), (0.018, "18 ms"), (1.3, "1.3 s"), (95, "95 s")],
)
def test_durations_have_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert plainly(duration(seconds)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "100 %"), (0, "0 %"), (0.25, "25 %"), (0.9994, "99.94 %"), (0.999999, "> 99.999 %"), (1e-7, "< 0.001 %")],
)
def test_shares_are_as_fine_as_they_must_be(value: float, text: str) -> None:
    assert plainly(share(value)) == text


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_share_that_is_not_all_is_never_shown_as_all(value: float) -> None:
    if 0 < value * 100 < 100:
        assert plainly(share(value)) not in ("100 %", "0 %")


@pytest.mark.parametrize(("value", "text"), [(3612, "3,612"), (1.0412, "1.04"), (math.inf, "∞"), (math.nan, "–")])
def test_counts_have_thousands_apart(value: float, text: str) -> None:
    assert count(value) == text


def test_what_was_not_measured_is_a_dash() -> None:
    assert measured(None, "s") == "–"


@pytest.mark.parametrize(("a", "b", "text"), [(2, 3, "× 1.5"), (2, 2, "="), (0, 3, ""), (None, 3, ""), (3, None, "")])
def test_a_ratio_is_told_only_where_there_is_one(a: float | None, b: float | None, text: str) -> None:
    assert ratio(a, b) == text


def test_sentences_end_and_nouns_agree() -> None:
    assert sentence("it broke") == "it broke."
    assert sentence("it broke.") == "it broke."
    assert plural(1, "worker") == "1 worker"
    assert plural(1000, "worker") == "1,000 workers"
