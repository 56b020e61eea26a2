"""What a campaign file leaves open, and what is drawn from it."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.campaign.spread import Spread
from harness.units import parse_duration


def spread(value):
    return Spread.model_validate(value)


@pytest.mark.parametrize(
    ("written", "kind", "numbers"),
    [
        ("1..4", "count", (1, 4)),
        ("0.5..1.5", "number", (0.5, 1.5)),
        ("200ms..2s", "duration", (0.2, 2.0)),
        ("0.5s .. 1.5s", "duration", (0.5, 1.5)),
        ("2/s..90/min", "rate", None),
        ("20%..90%", "share", (0.2, 0.9)),
        (["1s", "3s"], "duration", (1.0, 3.0)),
        (3, "count", (3, 3)),
    ],
)
def test_both_ends_are_read_in_their_unit(written, kind, numbers):
    if numbers is None:
        with pytest.raises(ValidationError, match="lower value first"):
            spread(written)
        return
    read = spread(written)
    assert (read.kind, read.numbers) == (kind, numbers)


@pytest.mark.parametrize("written", ["1..2s", "2s..1s", "a..b", [], [[1]], {"a": 1}])
def test_what_cannot_be_a_spread_is_refused(written):
    with pytest.raises(ValidationError):
        spread(written)


@given(low=st.floats(0.001, 10).map(lambda x: round(x, 3)), factor=st.floats(1, 100), seed=st.integers(0, 2**32))
def test_a_drawn_duration_lies_between_the_ends_and_can_be_written_to_a_file(low, factor, seed):
    high = round(low * factor, 3)
    drawn = spread(f"{low}s..{high}s").draw(Random(seed))
    assert low - 0.0005 <= parse_duration(drawn) <= high + 0.0005


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 2**32))
def test_a_drawn_count_is_a_whole_number_between_the_ends(a, b, seed):
    low, high = sorted((a, b))
    drawn = spread(f"{low}..{high}").draw(Random(seed))
    assert isinstance(drawn, int)
    assert low <= drawn <= high


def test_a_spread_is_written_as_it_was_read():
    for written in ("1..4", "200ms..2s", "20%..90%", "2/s..5/s"):
        assert spread(written).model_dump() == written
    assert spread(["a", None]).model_dump() == ["a", None]
