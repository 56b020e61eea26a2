"""Which seeds are done and which are to do: each exactly once, whatever the shards and stops."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.state import Shard, State, read
from harness.rundir import RunDirError


def a_state(shard=None, first_seed=1):
    return State(plan="p", code="c", first_seed=first_seed, shard=shard or Shard())


@given(st.integers(1, 500), st.integers(1, 7), st.integers(0, 99))
def test_the_shards_together_have_every_seed_once(seeds, of, first_seed):
    found = [
        seed
        for index in range(1, of + 1)
        for _, batch in a_state(Shard(index, of), first_seed).todo(seeds)
        for seed in batch
    ]
    assert sorted(found) == list(range(first_seed, first_seed + seeds))


@given(st.integers(1, 500), st.sets(st.integers(0, 30)), st.integers(1, 3))
def test_what_is_done_is_not_done_again(seeds, finished, of):
    state = a_state(Shard(1, of))
    batches = dict(state.todo(seeds))
    for number in finished & set(batches):
        state.finish(number, len(batches[number]))
    assert {n for n, _ in state.todo(seeds)} == set(batches) - finished


@given(st.lists(st.integers(1, 200), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 3))
def test_budgets_that_grow_and_shrink_come_to_every_seed_of_the_greatest_once(budgets, index, of):
    state, ran = a_state(Shard(min(index, of), of)), []
    for seeds in budgets:
        for number, batch in state.todo(seeds):
            ran += batch
            state.finish(number, len(batch))
    assert sorted(ran) == sorted(s for _, batch in a_state(state.shard).todo(max(budgets)) for s in batch)
    assert sum(state.begins(range(seed, seed + 1)) for seed in ran) == bool(ran)


def test_done_batches_take_no_room():
    state = a_state()
    for number in [3, 1, 0, 2, 4]:
        state.finish(number, state.batch)
    assert state.done == [(0, 5)]


def test_without_a_number_of_seeds_there_is_always_more():
    assert [n for n, _ in islice(a_state().todo(None), 3)] == [0, 1, 2]


def test_a_state_is_read_as_it_was_written(tmp_path):
    state = a_state(Shard(2, 5))
    state.finish(4, state.batch)
    state.finish(5, 3)
    state.write(tmp_path)
    assert read(tmp_path) == state
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(RunDirError, match="not the state of a campaign"):
        read(tmp_path)
    with pytest.raises(RunDirError, match="no campaign was begun here"):
        read(tmp_path / "elsewhere")


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0"])
def test_a_shard_is_one_of_several(text):
    with pytest.raises(ValueError, match="expected a shard"):
        Shard.parse(text)
