"""Durations, rates and shares read as people write them, and nothing else is let through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.units import format_duration, parse_duration, parse_rate, parse_share


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15s", 15),
        ("120ms", 0.12),
        ("1.2s", 1.2),
        ("0.2ms", 0.0002),
        ("200us", 0.0002),
        ("2min", 120),
        ("2m", 120),
        (0, 0),
    ],
)
def test_a_duration_has_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", [15, "15", "-15s", "15 seconds", "s", "", None, True, 1.5, "1e3s", "nan", "15sec"])
def test_what_is_not_a_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="expected a duration with a unit, such as 15s"):
        parse_duration(text)


@given(st.decimals(min_value=0, max_value=86_400, places=6))
def test_a_formatted_duration_reads_back_the_same(seconds):
    assert parse_duration(format_duration(float(seconds))) == float(seconds)


@pytest.mark.parametrize(("text", "per_second"), [("60/s", 60), ("90/min", 1.5), ("36/h", 0.01), ("0.5 / s", 0.5)])
def test_a_rate_is_events_per_time(text, per_second):
    assert parse_rate(text) == per_second


@pytest.mark.parametrize("text", [60, "60", "60/fortnight", "-1/s", "/s", None])
def test_what_is_not_a_rate_is_refused(text):
    with pytest.raises(ValueError, match="expected a rate"):
        parse_rate(text)


@pytest.mark.parametrize(("text", "share"), [("25%", 0.25), (0.25, 0.25), (1, 1.0), (0, 0.0), ("99.9 %", 0.999)])
def test_a_share_is_a_percentage_or_a_fraction(text, share):
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["101%", 1.5, -0.1, "a", None, True])
def test_what_is_not_a_share_is_refused(text):
    with pytest.raises(ValueError, match="expected a share"):
        parse_share(text)
