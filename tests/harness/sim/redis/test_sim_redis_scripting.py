"""What scripts may see, and the production's own scripts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.sync import scripts
from tests.contracts.redis_twins import SimWire, free_sim

RECODE = "return cjson.encode(cjson.decode(ARGV[1]))"

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**46), 2**46), st.text(max_size=10)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, min_size=1, max_size=4)
    ),
    max_leaves=15,
)


def evaluated(text: str, *arguments: bytes | str | int) -> bytes:
    redis, _ = free_sim()
    return SimWire(redis).ask("EVAL", text, 0, *arguments)


@given(JSON)
def test_json_survives_the_way_through_lua(value: object) -> None:
    reply = evaluated(RECODE, json.dumps(value))
    assert as_lua(json.loads(reply.split(b"\r\n", 1)[1][:-2])) == as_lua(value)


def as_lua(value: object) -> object:
    """Lua knows no empty array."""
    if isinstance(value, list):
        return [as_lua(item) for item in value] or {}
    if isinstance(value, dict):
        return {key: as_lua(item) for key, item in value.items()}
    return value


@pytest.mark.parametrize(
    "name", ["io", "os", "require", "dofile", "loadfile", "python", "debug", "collectgarbage", "print", "newproxy"]
)
def test_scripts_see_nothing_of_the_outside(name: str) -> None:
    assert f"nonexistent global variable '{name}'".encode() in evaluated(f"return {name}")


def test_chance_is_not_simulated() -> None:
    assert b"attempt to call" in evaluated("return math.random()")


def test_a_script_leaves_nothing_behind_but_what_it_wrote() -> None:
    redis, _ = free_sim()
    wire = SimWire(redis)
    assert b"readonly" in wire.ask("EVAL", "leftover = 1", 0)
    assert wire.ask("EVAL", "local own = ARGV[1]; return own", 0, "x") == b"$1\r\nx\r\n"
    assert b"nonexistent" in wire.ask("EVAL", "return own", 0)
    assert wire.ask("EVAL", "return {#KEYS, #ARGV}", 0) == b"*2\r\n:0\r\n:0\r\n"


def test_an_error_names_the_script_and_the_line() -> None:
    reply = evaluated("local x = 1\nlocal y = redis.call('GET')\nreturn y")
    assert reply.startswith(b"-ERR Wrong number of args calling Redis command from script script: ")
    assert reply.endswith(b", on @user_script:2.\r\n")


def test_the_production_scripts_store_publish_and_read_back() -> None:
    redis, clock = free_sim()
    worker, hearer = SimWire(redis), SimWire(redis)
    hearer.ask("SUBSCRIBE", "state:p")
    proposal = (0, 0, "OPEN", "consecutive_failures", "host:1", 250, 30_000, 5, 0, 0, "normal", 0, "", 1, 0, 0)
    clock.advance(1.0)
    stored = worker.ask("EVAL", scripts.TRANSITION.text, 2, "records", "evidence", "p", "state:p", *proposal)
    record = json.loads(stored.split(b"\r\n")[3])
    assert (record["state"], record["since_ms"]) == ("OPEN", 1_700_000_000_750)
    notice = json.loads(hearer.take().split(b"\r\n")[-2])
    assert notice == {**record, "at_ms": 1_700_000_001_000}
    assert json.loads(worker.ask("EVAL", scripts.READ.text, 1, "records").split(b"\r\n")[6]) == record
