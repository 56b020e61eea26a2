"""Stories of violations, on hand-written histories: each cause is walked back to, and nothing is made up."""

from flexiai.core.circuit import Cause
from flexiai.core.outcome import Outcome
from flexiai.events import ProposalFailed
from harness.checkers import Violation
from harness.explain import explain, stories
from harness.explain_words import told
from harness.nearest import divergence
from tests.harness.histories import OUTAGE, C, H, O, Story

PARTITION = {"at": "11s", "for": "5s", "target": "redis", "inject": "partition", "workers": "1.2"}


def violated(t=14.0, worker="w2", provider="a", *proof):
    return Violation("some-rule", t, worker, provider, "it is broken", proof)


def a_partitioned_outage():
    """w1 opens a, w3 hears of it, w2 is cut off and reads of it late."""
    story = Story(OUTAGE, PARTITION).fault(0).fault(1, on=("w2",))
    story.asks("w1", 10.5, ("a", Outcome.FAILURE)).asks("w1", 11.0, ("a", Outcome.FAILURE))
    story.opens("w1", 11.1)
    story.told("w3", 11.2, 1, move=(C, O))
    story.told("w2", 13.5, 1, via="read", move=(C, O))
    return story.case()


def lines(case, violation=None):
    return [(line.mark, line.text) for line in explain(case, violation or violated()).lines]


def test_a_change_that_the_fleet_caused_is_walked_back_to_who_caused_it_and_why():
    found = [text for _, text in lines(a_partitioned_outage())]
    assert "w2 turns a from CLOSED to OPEN because the fleet had, for 5 s" in found
    assert "w2 learns from reading the store w1's epoch 1: a is OPEN" in found
    assert "w1 turns a from CLOSED to OPEN after failures in a row, for 5 s" in found
    assert sum("w1 has failure from a" in text for text in found) == 2


def test_who_did_not_hear_is_told_with_what_stood_between():
    assert (
        "~",
        "w2 does not hear of a's epoch 1 (partition of redis is in effect): it learns of it 2.300 s later, by reading",
    ) in lines(a_partitioned_outage())
    assert not any(mark == "~" and text.startswith("w3") for mark, text in lines(a_partitioned_outage()))


def test_faults_of_the_time_are_told_with_their_evidence():
    faults = [text for mark, text in lines(a_partitioned_outage()) if mark == "!"]
    assert "fault error of provider/a begins: answered 503 (10)" in faults
    assert any(text.startswith("fault partition of redis begins on w2") for text in faults)


def test_lines_are_in_time_order_and_the_proof_is_marked():
    case = a_partitioned_outage()
    change = case.index.transitions["w2", "a"][0]
    story = explain(case, violated(14.0, "w2", "a", change))
    assert [line.t for line in story.lines] == sorted(line.t for line in story.lines)
    assert [line.mark for line in story.lines if line.text == told(change)] == ["*"]
    assert story.told().startswith("some-rule, at 14.000 s: it is broken\n")


def test_what_is_repeated_is_told_once():
    story = Story(OUTAGE).fault().opens("w1", 11.0)
    for n in range(5):
        story.add(ProposalFailed(t=11.1 + n / 10, worker="w1", provider="a", error="gone"))
    found = [text for _, text in lines(story.case(), violated(12.0, "w1"))]
    assert "w1 cannot tell the store of a: gone (5 times, until 11.500 s)" in found


def test_the_first_violation_of_each_rule_is_told():
    case = a_partitioned_outage()
    late, early = violated(14.0), violated(12.0)
    assert [s.violation.t for s in stories(case, [late, early])] == [12.0]


def test_every_kind_of_happening_has_words_or_is_shown_whole():
    for entry in a_partitioned_outage().history.entries:
        assert told(entry)


def test_a_probe_is_told_by_its_grant():
    story = Story(OUTAGE).fault().opens("w1", 11.0).moves("w1", 16.0, O, H, Cause.PROBE_GRANTED)
    assert "w1 turns a from OPEN to HALF_OPEN to probe it" in [t for _, t in lines(story.case(), violated(17.0, "w1"))]


def test_two_histories_part_where_the_first_event_differs():
    one = a_partitioned_outage().history.entries
    assert divergence(one, one) is None
    assert divergence(one, one[:5]) == (f"{one[5].t:.6f} s  {told(one[5])}", "(the end)")
