"""No part of a key that is long enough to matter stays in a message."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.providers.masking import PART, masked

KEY = "sk-proj-abcdEFGH0123456789wxyz"
LETTERS = string.ascii_letters + string.digits + "-_"
KEYS = st.text(LETTERS, min_size=PART, max_size=60)


def holds_a_part(text: str, key: str) -> bool:
    return any(key[i : i + PART] in text for i in range(len(key) - PART + 1))


@given(KEYS, st.data())
def test_no_part_of_a_key_stays_wherever_it_begins_and_ends(key: str, data: st.DataObject) -> None:
    begins = st.integers(0, len(key) - PART)
    pieces = []
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(begins)
        pieces += [data.draw(st.text(max_size=12)), key[begin : data.draw(st.integers(begin + PART, len(key)))]]
    text = "".join(pieces)
    assert holds_a_part(text, key)
    assert not holds_a_part(masked(text, [key]), key)


@given(KEYS, st.text(max_size=200))
def test_what_holds_no_part_and_no_mask_stays_as_it_is(key: str, text: str) -> None:
    if not holds_a_part(text, key) and not {"*", "•", "…"} & set(text) and "..." not in text:
        assert masked(text, [key]) == text


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"Incorrect API key provided: {KEY}.", "Incorrect API key provided: ***."),
        ("Incorrect API key provided: sk-abc1*********************wxyz. See", "Incorrect API key provided: ***. See"),
        ("Incorrect API key provided: sk-abc***xyz", "Incorrect API key provided: ***"),
        ("key sk-ant-...wxyz is not valid", "key *** is not valid"),
        ("key sk-ant-…wxyz is not valid", "key *** is not valid"),
        ("key ••••••wxyz is not valid", "key *** is not valid"),
        (f"ends in {KEY[-8:]}, begins with {KEY[:9]}", "ends in ***, begins with ***"),
        (f"{KEY}{KEY}", "***"),
        ("wait... and 2**3 is 8", "wait... and 2**3 is 8"),
        (f"the last four are {KEY[-4:]}", f"the last four are {KEY[-4:]}"),
    ],
)
def test_keys_as_vendors_quote_them(said: str, shown: str) -> None:
    assert masked(said, [KEY]) == shown


@pytest.mark.parametrize(
    ("key", "shown"),
    [("none", "a key of ***, nonesuch"), ("x", "a key of none, nonesuch"), ("a", "*** key of none, nonesuch")],
)
def test_a_short_key_is_masked_where_it_is_a_word(key: str, shown: str) -> None:
    assert masked("a key of none, nonesuch", [key]) == shown
