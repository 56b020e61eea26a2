"""The simulated server process: its time, its one thread, its deaths."""

from __future__ import annotations

from harness.sim.redis import Costs, SimRedis
from harness.sim.redis.session import BufferLimit
from tests.contracts.redis_twins import Clock, SimWire, command, free_sim

OK = b"+OK\r\n"
NIL = b"$-1\r\n"


def busy_sim(clock: Clock) -> SimRedis:
    return SimRedis(clock.now, clock.call_later, costs=Costs(command_s=1.0, delivery_s=0.25))


# -- virtual time


def test_a_key_is_gone_when_its_time_is_over_and_not_before() -> None:
    redis, clock = free_sim()
    wire = SimWire(redis)
    assert wire.ask("SET", "k", "v", "PX", 1500) == OK
    clock.advance(1.0)
    assert wire.ask("PTTL", "k") == b":500\r\n"
    assert wire.ask("TTL", "k") == b":1\r\n"
    clock.advance(0.5)
    assert wire.ask("GET", "k") == b"$1\r\nv\r\n"
    clock.advance(0.001)
    assert wire.ask("GET", "k") == NIL
    assert wire.ask("DBSIZE") == b":0\r\n"


def test_time_passes_as_the_clock_does() -> None:
    redis, clock = free_sim()
    wire = SimWire(redis)
    before = wire.ask("TIME")
    assert wire.ask("TIME") == before
    clock.advance(1.25)
    assert before == b"*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"
    assert wire.ask("TIME") == b"*2\r\n$10\r\n1700000001\r\n$6\r\n250000\r\n"


# -- one thread


def test_work_takes_time_and_what_comes_meanwhile_waits() -> None:
    clock = Clock()
    redis = busy_sim(clock)
    first, second, third = (SimWire(redis) for _ in range(3))
    assert first.ask("INCR", "n") == b":1\r\n"
    second.receiver.data_received(command("INCR", "n") + command("INCR", "n"))
    third.send("INCR", "n")
    clock.advance(0.9)
    assert (second.take(), third.take()) == (b"", b"")
    clock.advance(0.2)
    assert (second.take(), third.take()) == (b":2\r\n:3\r\n", b"")
    clock.advance(2.0)
    assert third.take() == b":4\r\n"


def test_a_message_costs_as_much_as_it_has_hearers() -> None:
    clock = Clock()
    redis = busy_sim(clock)
    hearers = [SimWire(redis) for _ in range(8)]
    for hearer in hearers:
        hearer.send("SUBSCRIBE", "c")
        clock.advance(1.0)
    speaker = SimWire(redis)
    assert speaker.ask("PUBLISH", "c", "m") == b":8\r\n"
    speaker.send("PING")
    clock.advance(2.9)
    assert speaker.take() == b""
    clock.advance(0.2)
    assert speaker.take() == b"+PONG\r\n"
    assert (redis.stats.published, redis.stats.delivered) == (1, 8)


# -- faults


def test_a_paused_server_answers_nothing_until_it_resumes_and_then_everything() -> None:
    redis, clock = free_sim()
    before = SimWire(redis)
    redis.pause()
    meanwhile = SimWire(redis)
    before.send("INCR", "n")
    meanwhile.send("INCR", "n")
    clock.advance(10.0)
    assert (before.take(), meanwhile.take(), redis.stats.waited) == (b"", b"", 2)
    redis.resume()
    assert (before.take(), meanwhile.take()) == (b":1\r\n", b":2\r\n")


def test_a_killed_server_breaks_its_connections_and_refuses_new_ones() -> None:
    redis, _ = free_sim()
    wire = SimWire(redis)
    wire.ask("SET", "k", "v")
    redis.kill()
    late = SimWire(redis)
    late.send("GET", "k")
    wire.send("GET", "k")
    assert (wire.ended, late.ended, wire.take(), late.take()) == ("reset", "reset", b"", b"")
    assert (redis.stats.cut, redis.stats.refused) == (1, 1)


def test_a_request_that_waited_for_a_killed_server_is_never_done() -> None:
    clock = Clock()
    redis = busy_sim(clock)
    wire, slow = SimWire(redis), SimWire(redis)
    wire.send("PING")
    slow.send("SET", "k", "v")
    redis.kill()
    redis.start(empty=False)
    clock.advance(10.0)
    assert SimWire(redis).ask("EXISTS", "k") == b":0\r\n"


def test_a_server_starts_again_empty_or_with_its_keys_but_never_with_its_scripts() -> None:
    redis, clock = free_sim()
    wire = SimWire(redis)
    wire.ask("SET", "k", "v")
    sha = wire.ask("SCRIPT", "LOAD", "return 1").split(b"\r\n")[1]
    first_life = wire.ask("INFO", "server")
    redis.kill()
    clock.advance(0.1)
    redis.start(empty=False)
    kept = SimWire(redis)
    assert kept.ask("GET", "k") == b"$1\r\nv\r\n"
    assert kept.ask("SCRIPT", "EXISTS", sha) == b"*1\r\n:0\r\n"
    redis.kill()
    redis.start(empty=True)
    assert SimWire(redis).ask("GET", "k") == NIL
    assert redis.stats.lost_keys == 1
    assert SimWire(redis).ask("INFO", "server") != first_life


def test_a_flush_loses_every_key_and_keeps_connections_and_scripts() -> None:
    redis, _ = free_sim()
    wire = SimWire(redis)
    wire.ask("MSET", "a", 1, "b", 2)
    sha = wire.ask("SCRIPT", "LOAD", "return 1").split(b"\r\n")[1]
    assert redis.flush() == 2
    assert wire.ask("EXISTS", "a", "b") == b":0\r\n"
    assert wire.ask("EVALSHA", sha, 0) == b":1\r\n"


def test_killing_subscribers_leaves_the_others() -> None:
    redis, _ = free_sim()
    hearer, other = SimWire(redis), SimWire(redis)
    hearer.ask("SUBSCRIBE", "c")
    assert redis.kill_subscribers() == 1
    assert (hearer.ended, other.ask("PUBSUB", "NUMSUB", "c")) == ("reset", b"*2\r\n$1\r\nc\r\n:0\r\n")


# -- subscribers


def test_a_subscriber_that_does_not_read_is_disconnected_at_the_hard_limit() -> None:
    redis, _ = free_sim(pubsub_limit=BufferLimit(hard_bytes=1000, soft_bytes=500, soft_s=60.0))
    slow, quick, speaker = SimWire(redis, room=0), SimWire(redis), SimWire(redis)
    slow.ask("SUBSCRIBE", "c")
    quick.ask("SUBSCRIBE", "c")
    heard = [speaker.ask("PUBLISH", "c", "x" * 400) for _ in range(5)]
    assert heard == [b":2\r\n"] * 3 + [b":1\r\n"] * 2
    assert (slow.ended, quick.ended, redis.stats.overflowed) == ("reset", "", 1)


def test_a_subscriber_may_stay_above_the_soft_limit_for_a_while_only() -> None:
    redis, clock = free_sim(pubsub_limit=BufferLimit(hard_bytes=10_000, soft_bytes=500, soft_s=60.0))
    slow, speaker = SimWire(redis, room=0), SimWire(redis)
    slow.ask("SUBSCRIBE", "c")
    speaker.ask("PUBLISH", "c", "x" * 600)
    clock.advance(59.0)
    speaker.ask("PUBLISH", "c", "x")
    assert slow.ended == ""
    clock.advance(2.0)
    speaker.ask("PUBLISH", "c", "x")
    assert slow.ended == "reset"


def test_a_subscriber_that_is_gone_is_not_counted() -> None:
    redis, _ = free_sim()
    hearer, speaker = SimWire(redis), SimWire(redis)
    hearer.ask("SUBSCRIBE", "c")
    hearer.ask("PSUBSCRIBE", "*")
    hearer.receiver.closed(None)
    assert speaker.ask("PUBLISH", "c", "m") == b":0\r\n"
    assert speaker.ask("PUBSUB", "CHANNELS") == b"*0\r\n"


# -- the connection


def test_quit_and_bad_requests_are_answered_before_the_connection_ends() -> None:
    redis, _ = free_sim()
    polite, rude = SimWire(redis), SimWire(redis)
    assert polite.ask("QUIT") == OK
    rude.receiver.data_received(command("PING") + b"*1\r\nGET\r\n" + command("PING"))
    assert rude.take() == b"+PONG\r\n-ERR Protocol error: expected '$', got 'G'\r\n"
    assert (polite.ended, rude.ended) == ("closed", "closed")


def test_resp3_clients_get_pushes_and_may_do_anything_while_subscribed() -> None:
    redis, _ = free_sim()
    wire, speaker = SimWire(redis), SimWire(redis)
    assert wire.ask("HELLO", 3).startswith(b"%7\r\n")
    assert wire.ask("SUBSCRIBE", "c") == b">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    assert wire.ask("HSET", "h", "f", "v") == b":1\r\n"
    assert wire.ask("HGETALL", "h") == b"%1\r\n$1\r\nf\r\n$1\r\nv\r\n"
    assert wire.ask("EVAL", "return false", 0) == b"_\r\n"
    speaker.send("PUBLISH", "c", "m")
    assert wire.take() == b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"


def test_everything_needs_the_password_but_saying_it() -> None:
    redis, _ = free_sim(password="secret")
    wire = SimWire(redis)
    assert wire.ask("GET", "k") == b"-NOAUTH Authentication required.\r\n"
    assert wire.ask("AUTH", "wrong").startswith(b"-WRONGPASS")
    assert wire.ask("AUTH", "secret") == OK
    assert wire.ask("GET", "k") == NIL


def test_an_unknown_subcommand_breaks_a_transaction() -> None:
    redis, _ = free_sim()
    wire = SimWire(redis)
    wire.ask("MULTI")
    assert wire.ask("CLIENT", "NOSUCH") == b"-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"
    assert wire.ask("EXEC").startswith(b"-EXECABORT")


def test_set_says_what_was_there_though_it_may_not_replace_it() -> None:
    redis, _ = free_sim()
    wire = SimWire(redis)
    assert wire.ask("SET", "k", "v", "NX", "GET") == NIL
    assert wire.ask("SET", "k", "w", "NX", "GET") == wire.ask("GET", "k") == b"$1\r\nv\r\n"


def test_two_runs_are_the_same_bytes() -> None:
    def run() -> bytes:
        redis, _ = free_sim()
        wire = SimWire(redis)
        wire.ask("HSET", "h", *(word for n in range(50) for word in (f"field-{n}", n)))
        scan = "return cjson.encode(cjson.decode(ARGV[1]))"
        words = "{" + ",".join(f'"k{n}":{n}' for n in range(50)) + "}"
        return (
            wire.ask("HGETALL", "h") + wire.ask("INFO") + wire.ask("EVAL", scan, 0, words) + wire.ask("CLIENT", "LIST")
        )

    assert run() == run()
