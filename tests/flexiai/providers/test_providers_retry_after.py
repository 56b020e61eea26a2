"""How long a provider asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from flexiai.providers.retry_after import retry_after_s

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def read(**headers: str) -> float | None:
    return retry_after_s(CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}))


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("8", 8.0), ("0", 0.0), (" 8 ", 8.0), ("0.5", 0.5), ("86400", 86400.0), ("9" * 400, 1e9)],
)
def test_seconds_are_read(given: str, seconds: float) -> None:
    assert read(Retry_After=given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "-1", "nan", "inf", "1e3", "٣", "8s", "1,5", "0x10", "Monday"])
def test_what_is_not_in_the_format_says_nothing(given: str) -> None:
    assert read(Retry_After=given, Date=format_datetime(NOON, usegmt=True)) is None


def test_no_header_says_nothing() -> None:
    assert read() is None


def test_milliseconds_win_over_seconds() -> None:
    assert read(retry_after_ms="1500", Retry_After="9") == 1.5
    assert read(retry_after_ms="junk", Retry_After="9") == 9


@given(st.integers(min_value=-100_000, max_value=100_000), st.integers(min_value=-10_000, max_value=100_000))
def test_a_date_counts_from_the_answers_own_date_and_never_before_it(ahead: int, days: int) -> None:
    now = NOON + timedelta(days=days, seconds=days)
    then = now + timedelta(seconds=ahead)
    headers = {"Retry_After": format_datetime(then, usegmt=True), "Date": format_datetime(now, usegmt=True)}
    assert read(**headers) == max(0, ahead)


def test_a_date_says_nothing_without_the_answers_own() -> None:
    assert read(Retry_After=format_datetime(NOON, usegmt=True)) is None
    assert read(Retry_After=format_datetime(NOON, usegmt=True), Date="junk") is None


@given(st.text(), st.text(), st.text())
def test_no_header_value_breaks_it(ms: str, seconds: str, date: str) -> None:
    wait = read(retry_after_ms=ms, Retry_After=seconds, Date=date)
    assert wait is None or 0 <= wait <= 1e9
