"""The catalogue of planted defects: each can be planted, changes something, and is taken out again."""

from __future__ import annotations

import inspect

import pytest

from flexiai.core.breaker import Breaker
from flexiai.failover import Failover
from flexiai.sync import scripts
from flexiai.sync.listener import Listener
from harness.mutants import MUTANTS, Mutant
from harness.mutants.hunt import UNHARMED, Hunt, table

TARGETS = (Breaker, Failover, Listener, scripts)


def code() -> list[object]:
    """What stands in the places where most defects are planted."""
    return [value for target in TARGETS for _, value in sorted(vars(target).items())]


def test_there_are_at_least_25_each_from_a_real_failure():
    assert len(MUTANTS) >= 25
    assert all(mutant.seen and mutant.defect for mutant in MUTANTS.values())


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=lambda m: m.id)
def test_a_mutant_is_taken_out_again_whatever_happens(mutant: Mutant):
    before = code()
    with pytest.raises(KeyError), mutant.planted():
        raise KeyError
    assert all(a is b for a, b in zip(before, code(), strict=True))


def test_a_mutant_of_what_is_not_there_is_an_error():
    mutant = Mutant("x", "breaker", "", "", lambda swap: swap(Breaker, "no_such_method", lambda original: original))
    with pytest.raises(AttributeError, match="out of date"), mutant.planted():
        pass


def test_the_production_code_knows_nothing_of_mutants():
    for target in TARGETS:
        assert "mutant" not in inspect.getsource(inspect.getmodule(target) or target)


def test_hunts_add_up_and_make_a_table():
    hunt = Hunt("never-opens", seeds=10, found=0)
    part = Hunt("never-opens", seeds=10, found=2, first=14)
    part.by["opens-when-due"] = 2
    hunt.add(part)
    assert (hunt.seeds, hunt.found, hunt.first) == (20, 2, 14)
    lines = table([Hunt(UNHARMED, seeds=5), hunt, Hunt("worst-first", seeds=5)])
    assert "`opens-when-due` 2" in lines[3]
    assert "**nobody**" in lines[4]
