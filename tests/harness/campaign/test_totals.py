"""Totals are sums: however the seeds are split up and in whatever order they come, they come to the same."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from harness.campaign.causes import shape
from harness.campaign.totals import KEPT, MOST_CAUSES, OTHERS, Failure, Group, Totals

KINDS = st.lists(st.sampled_from(["redis/kill", "worker/kill", "provider/error"]), unique=True).map(tuple)


@st.composite
def totals_of_a_seed(draw):
    seed = draw(st.integers(0, 30))
    faults = draw(KINDS)
    failed = draw(st.sampled_from([None, "a: x", "b: y"]))
    group = {failed: Group(1, faults, [Failure(seed, "why", "0", faults)])} if failed else {}
    return Totals(seeds=1, passed=not failed, paths={draw(st.sampled_from("pq")): 1}, failed=group)


def added(parts):
    total = Totals()
    for part in parts:
        total.add(copy.deepcopy(part))
    return total


@given(st.lists(totals_of_a_seed(), max_size=12), st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_order_and_the_grouping_of_seeds_change_nothing(parts, rng, cut):
    shuffled = rng.sample(parts, len(parts))
    in_two = added([added(shuffled[:cut]), added(shuffled[cut:])])
    assert in_two == added(parts)


@given(st.lists(totals_of_a_seed(), max_size=12))
def test_a_group_has_what_all_its_failures_have_in_common(parts):
    for cause, group in added(parts).failed.items():
        members = [p.failed[cause] for p in parts if cause in p.failed]
        assert group.seeds == len(members)
        assert set(group.common) == set.intersection(*(set(m.common) for m in members))
        assert len(group.first) <= KEPT


def test_a_flood_of_causes_takes_no_more_room():
    flood = added(Totals(failed={f"cause {n}": Group(1, (), [])}) for n in range(3 * MOST_CAUSES))
    assert len(flood.failed) == MOST_CAUSES + 1
    assert flood.failed[OTHERS].seeds == 2 * MOST_CAUSES
    assert flood.failures == 3 * MOST_CAUSES


def test_a_cause_has_no_names_times_and_numbers():
    one = shape("sim:103 still refused p1 4.2 s after its fault had healed; 3 s were allowed", ["p1", "p2"])
    assert one == shape("sim:7 still refused p2 1.25 s after its fault had healed; 12 s were allowed", ["p1", "p2"])
    assert one == "W still refused P N s after its fault had healed; N s were allowed"
    assert shape("request r0-12 went to a (HTTP 503)", ["a"]) == "request R went to P (HTTP N)"
