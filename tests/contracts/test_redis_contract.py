"""The simulated Redis answers as the real one does: random sequences on three connections, reply by reply."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.real.redis_server import RedisServer
from tests.contracts.redis_twins import Clock, RealClient, SimWire, free_sim, replies

CONNECTIONS = 3

Words = tuple[bytes | str | int, ...]

KEYS = st.sampled_from(["a", "b", "h", "n", "other"])
FIELDS = st.sampled_from(["f", "g", "f2"])
CHANNELS = st.sampled_from(["news", "new", "x", "news.old"])
PATTERNS = st.sampled_from(["n*", "news", "?", "[nx]*", "*.old", "[^x]", "ne\\ws"])
VALUES = st.one_of(
    st.sampled_from([b"", b"0", b"1", b"-7", b"01", b"+1", b" 1", b"9223372036854775807", b"x y\r\n", b"\xff\x00"]),
    st.integers(-(10**6), 10**6).map(str),
)
NUMBERS = st.sampled_from(["0", "1", "-1", "100", "x", "1.5", "", "9223372036854775807", "-9223372036854775808"])
LIFETIMES = st.sampled_from(["100000", "5000", "0", "-1", "x", "9223372036854775807"])
EXPIRED = st.sampled_from(["-1", "-100000"])


def _(*parts: str | st.SearchStrategy[object]) -> st.SearchStrategy[Words]:
    """A command of fixed and random words."""
    return st.tuples(*[st.just(part) if isinstance(part, str) else part for part in parts])  # type: ignore[return-value]


SET_OPTIONS = st.lists(
    st.one_of(
        _("NX"), _("XX"), _("GET"), _("KEEPTTL"), _("PX", LIFETIMES), _("EX", LIFETIMES), _("PXAT", NUMBERS), _("BAD")
    ),
    max_size=2,
).map(lambda options: tuple(word for option in options for word in option))
SET_OPTIONS = SET_OPTIONS.filter(lambda words: not {"NX", "GET"} <= {*words})  # together only since Redis 7

STRINGS = st.one_of(
    _("GET", KEYS),
    st.tuples(_("SET", KEYS, VALUES), SET_OPTIONS).map(lambda pair: (*pair[0], *pair[1])),
    _("INCR", KEYS),
    _("DECR", KEYS),
    _("INCRBY", KEYS, NUMBERS),
    _("DECRBY", KEYS, NUMBERS.filter(lambda number: number != "-9223372036854775808")),
    _("APPEND", KEYS, VALUES),
    _("STRLEN", KEYS),
    _("SETNX", KEYS, VALUES),
    _("SETEX", KEYS, LIFETIMES, VALUES),
    _("PSETEX", KEYS, LIFETIMES, VALUES),
    _("MGET", KEYS, KEYS),
    _("MSET", KEYS, VALUES, KEYS, VALUES),
    _("MSET", KEYS, VALUES, KEYS),
    _("GETDEL", KEYS),
)
HASHES = st.one_of(
    _("HSET", KEYS, FIELDS, VALUES),
    _("HSET", KEYS, FIELDS, VALUES, FIELDS, VALUES),
    _("HSET", KEYS, FIELDS, VALUES, FIELDS),
    _("HMSET", KEYS, FIELDS, VALUES),
    _("HSETNX", KEYS, FIELDS, VALUES),
    _("HGET", KEYS, FIELDS),
    _("HMGET", KEYS, FIELDS, FIELDS),
    _("HGETALL", KEYS),
    _("HKEYS", KEYS),
    _("HVALS", KEYS),
    _("HLEN", KEYS),
    _("HEXISTS", KEYS, FIELDS),
    _("HDEL", KEYS, FIELDS, FIELDS),
    _("HINCRBY", KEYS, FIELDS, NUMBERS),
)
ANY_TYPE = st.one_of(
    _("DEL", KEYS, KEYS),
    _("UNLINK", KEYS),
    _("EXISTS", KEYS, KEYS),
    _("TYPE", KEYS),
    _("TTL", KEYS),
    _("PERSIST", KEYS),
    _("EXPIRE", KEYS, LIFETIMES),
    _("PEXPIRE", KEYS, EXPIRED),
    _("EXPIREAT", KEYS, NUMBERS),
    _("PEXPIREAT", KEYS, st.sampled_from(["1", "99999999999999"])),
    _("DBSIZE"),
    _("FLUSHALL"),
    _("FLUSHDB", st.sampled_from(["SYNC", "ASYNC", "BAD"])),
    _("SELECT", st.sampled_from(["0", "1", "16", "x"])),
    _("KEYS", st.sampled_from(["a", "[n-z]", "ot*", "*r", "none"])),
    _("SCAN", st.sampled_from(["x", "-"])),
    _("SCAN", "0", "MATCH", KEYS),
)
PUBSUB = st.one_of(
    _("SUBSCRIBE", CHANNELS),
    _("SUBSCRIBE", CHANNELS, CHANNELS),
    _("UNSUBSCRIBE", CHANNELS),
    _("UNSUBSCRIBE", CHANNELS, CHANNELS),
    _("PSUBSCRIBE", PATTERNS),
    _("PUNSUBSCRIBE", PATTERNS),
    _("PUBLISH", CHANNELS, VALUES),
    _("PUBLISH", CHANNELS, VALUES),
    _("PUBSUB", "NUMSUB", CHANNELS, CHANNELS),
    _("PUBSUB", "NUMPAT"),
)
OTHERS = st.one_of(
    _("PING"),
    _("PING", VALUES),
    _("PING", "a", "b"),
    _("ECHO", VALUES),
    _("NOSUCH", VALUES),
    _("GET"),
    _("get", KEYS),
    _("EXEC", "extra"),
    _("AUTH", "a", "b"),
    _("CLIENT", "SETNAME", st.sampled_from(["me", "a b", ""])),
    _("CLIENT", "GETNAME"),
    _("CLIENT", "KILL", "TYPE", "nothing"),
    _("HELLO", st.sampled_from(["1", "4", "x"])),
    _("SCRIPT", "EXISTS", "abc"),
    _("EVALSHA", "abc", "0"),
)
TRANSACTIONS = st.one_of(_("MULTI"), _("MULTI"), _("EXEC"), _("EXEC"), _("DISCARD"))

LUA = [
    "return {1, 2, 3.7, 'a', nil, 5}",
    "return {false, true, {ok='fine'}, {err='ERR wrong'}, {a=1}}",
    "return redis.call('GET', KEYS[1])",
    "return redis.pcall('HGET', KEYS[1], 'f')",
    "return redis.call('HGET', KEYS[1], 'f')",
    "return redis.call('SET', KEYS[1], ARGV[1], 'PX', 100000)",
    "return {redis.call('SET', KEYS[1], 0.1), redis.call('GET', KEYS[1])}",
    "return redis.call('HSET', KEYS[1], 'f', 10000000000, 'g', 1e20)",
    "return redis.call('HGETALL', KEYS[1])",
    "redis.call('DEL', KEYS[1]); return redis.call('EXISTS', KEYS[1])",
    "return redis.call('PUBLISH', 'news', ARGV[1])",
    "return redis.call('NOSUCH')",
    "return redis.call('GET')",
    "return redis.call('SUBSCRIBE', 'x')",
    "return redis.call()",
    "return redis.call('SET', KEYS[1], {})",
    "redis.call('INCR', KEYS[1]); error('after a write')",
    "local ok, e = pcall(redis.call, 'NOSUCH'); return {ok, type(redis.pcall('NOSUCH')), e and 1 or 0}",
    "return redis.error_reply('MINE of mine')",
    "return redis.status_reply('FINE')",
    "return redis.sha1hex(ARGV[1])",
    "global = 1",
    "return nothing",
    "syntax error",
    "return tostring(#KEYS) .. tostring(#ARGV) .. type(KEYS[9])",
    "return {tonumber('0x10'), tonumber('1e3'), tonumber('x') or -1, math.floor(-1.5), 2^40, -2^40}",
    "local t = redis.call('TIME'); return {#t, type(t[1]), tonumber(t[1]) > 1e9}",
    "return string.format('%.14g %s %5.2f', 0.1, 'x', 1/3)",
]
JSON = [
    b'{"epoch":7,"state":"OPEN","worker":"host:1","since_ms":1700000000995,"left":0.1,"deep":{"a":[1,[2]],"b":{}}}',
    b"[]",
    b'[1,null,true,false,-1.5e3,"\\u00e9\\ud83d\\ude00/\\"\\\\\\n"]',
    b'"\x7f\x01"',
    b'{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":10}',
    b'{"a":1,"a":2}',
    b"1e400",
    b"12345678901234567890",
    b" [ 1 , 2 ] ",
    b"[1,]",
    b"{",
    b"",
    b"nul",
    b'{"a" 1}',
    b"[1] x",
    b'"\\x"',
]
RECODE = "return cjson.encode(cjson.decode(ARGV[1]))"
SCRIPTS = st.one_of(
    st.tuples(st.sampled_from(LUA), KEYS, VALUES).map(lambda x: ("EVAL", x[0], "1", x[1], x[2])),
    st.sampled_from(JSON).map(lambda text: ("EVAL", RECODE, "0", text)),
    _("EVAL", "return #KEYS", st.sampled_from(["-1", "5", "x", "0"]), KEYS),
    _("SCRIPT", "LOAD", st.sampled_from(LUA)),
    _("SCRIPT", "FLUSH"),
)
COMMANDS = st.one_of(STRINGS, HASHES, ANY_TYPE, PUBSUB, PUBSUB, OTHERS, TRANSACTIONS, SCRIPTS)
SEQUENCES = st.lists(st.tuples(st.integers(0, CONNECTIONS - 1), COMMANDS), min_size=1, max_size=40)

_ERROR = re.compile(rb"-([A-Z]+) [^\r]*\r\n")
_FAR_OFF = re.compile(rb":\d{9,}\r\n")  # what is left until a date: that is of two clocks, and no lifetime is so long
_LOOSE = ("EVAL", "EXEC", "CLIENT", "PUBSUB", "SCRIPT")


class Twins:
    """The same clients at both servers."""

    def __init__(self, port: int) -> None:
        self.redis, self.clock = free_sim(Clock())
        self.sims = [SimWire(self.redis) for _ in range(CONNECTIONS)]
        self.reals = [RealClient(port) for _ in range(CONNECTIONS)]
        self.reals[0].send("INFO", "server")
        self._modern = b"redis_version:6" not in self.reals[0].take(1)
        self.do(0, ("FLUSHALL",))
        self.do(0, ("SCRIPT", "FLUSH"))

    def do(self, who: int, words: Words) -> None:
        """Send both the same, and hold every connection's replies against each other."""
        self.sims[who].send(*words)
        self.reals[who].send(*words)
        for sim, real in zip(self.sims, self.reals, strict=True):
            said = replies(sim.take())
            heard = replies(real.take(len(said)))
            assert [self._comparable(words, r) for r in said] == [self._comparable(words, r) for r in heard], words

    def _comparable(self, words: Words, reply: bytes) -> bytes:
        return comparable(words, reply, self._modern)

    def close(self) -> None:
        """Nothing more may have come from either."""
        for who in range(CONNECTIONS):
            self.do(who, ("PING",))
        for real in self.reals:
            real.close()


def comparable(words: Words, reply: bytes, modern: bool) -> bytes:
    """Error texts differ between versions, and scripts' everywhere: of those, only the code is compared, if that."""
    if words[0] in ("TTL", "EXEC"):
        reply = _FAR_OFF.sub(b":far off\r\n", reply)
    if words[0] in ("EVAL", "EXEC") and (words[1:2] == (RECODE,) or not modern):
        return _ERROR.sub(b"-\r\n", reply)
    exact = modern and words[0] not in _LOOSE
    return _ERROR.sub(lambda match: match[0] if exact else b"-" + match[1] + b"\r\n", reply)


@pytest.fixture(scope="module")
def port(any_redis: RedisServer) -> int:
    return any_redis.port


@pytest.mark.real
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example([(0, ("SET", "h", "1")), (0, ("PEXPIREAT", "h", "99999999999999")), (0, ("TTL", "h"))])
@given(SEQUENCES)
def test_the_same_commands_have_the_same_replies(port: int, sequence: list[tuple[int, Words]]) -> None:
    twins = Twins(port)
    try:
        for who, words in sequence:
            twins.do(who, words)
    finally:
        twins.close()
