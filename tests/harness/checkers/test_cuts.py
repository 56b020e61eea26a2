"""When a fault stood between a worker and the store, the way back included."""

from __future__ import annotations

import pytest

from tests.harness.histories import Story

FAULT = {"at": "10s", "for": "5s", "target": "redis"}


@pytest.mark.parametrize("inject", ["readonly", "oom"])
def test_where_writes_alone_are_refused_the_way_back_lasts_until_they_have_been_tried_again(inject: str) -> None:
    case = Story({**FAULT, "inject": inject}).fault().case()
    [cut] = case.cuts["w1"]
    assert (cut.start, cut.end) == (10.0, 15.0 + case.bounds.propagate)


def test_a_partition_is_over_with_the_sync_that_follows_its_loss() -> None:
    story = Story({**FAULT, "inject": "partition"}).fault(on=("w1",)).down("w1", 12.0).up("w1", 15.4)
    [cut] = story.case().cuts["w1"]
    assert (cut.start, cut.end) == (10.0, 15.4)


def test_lost_messages_cut_nobody_off() -> None:
    assert Story({**FAULT, "inject": "drop_messages"}).fault().case().cuts["w1"] == []
