"""Metrics that are right across the workers of an instance."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from prometheus_client.parser import text_string_to_metric_families

from flexiai.app.telemetry import catalogue as c
from flexiai.app.telemetry import instance as instances
from flexiai.app.telemetry.exposition import exposition
from flexiai.app.telemetry.instance import Instance, Kept, shared_directory
from flexiai.app.telemetry.listener import Telemetry, layout
from flexiai.app.telemetry.slots import Slots, read
from flexiai.core.circuit import Cause, State
from flexiai.core.outcome import Outcome
from flexiai.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    EvidenceHeard,
    EvidenceSent,
    ListenerRestarted,
    NoticeIgnored,
    ProbeLease,
    ProposalFailed,
    ProposalSent,
    RecordApplied,
    RecordRestored,
    RequestEnded,
    RequestStarted,
    SyncDown,
    SyncUp,
    Transition,
)
from flexiai.sync.port import SyncStatus

PROVIDERS = ("openai", "anthropic")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def places(providers: tuple[str, ...] = PROVIDERS) -> Any:
    return layout(providers, ["overloaded"], "1")


class Worker:
    """A worker of an instance, in this process: what tells workers apart are their files and locks."""

    def __init__(self, directory: Path | None, pid: int = 1, providers: tuple[str, ...] = PROVIDERS) -> None:
        laid_out = places(providers)
        self.instance = Instance(laid_out, pid, directory)
        self.telemetry = Telemetry(self.instance.numbers, laid_out)

    def serve(self, provider: str = "openai", *, at: float = 1.0, took: float = 0.2, request: str = "r") -> None:
        self.telemetry(RequestStarted(t=at, worker="w", request=request))
        self.telemetry(AttemptStarted(t=at, worker="w", request=request, attempt=1, provider=provider))
        ended = {"t": at + took, "worker": "w", "request": request}
        self.telemetry(AttemptEnded(**ended, attempt=1, provider=provider, outcome=Outcome.SUCCESS))
        self.telemetry(RequestEnded(**ended, result="ok", attempts=1, provider=provider))

    def scrape(self, now: float = 100.0) -> Samples:
        return parsed(exposition(*self.instance.readings(), now))


def parsed(text: str) -> Samples:
    """The samples, as Prometheus' own parser reads them; each only once."""
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples, f"{key} is told twice"
            samples[key] = sample.value
    return samples


def requests_in(samples: Samples, provider: str = "openai", status: str = "success") -> float:
    return samples[("flexiai_requests_total", (("provider", provider), ("status", status)))]


@contextmanager
def closing(*workers: Worker) -> Iterator[None]:
    try:
        yield
    finally:
        for worker in workers:
            worker.instance.close(remove=False)


class Fleet(RuleBasedStateMachine):
    """Workers come, count, end and are killed; whoever is asked, nothing counted is lost and nothing counted twice."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.directory = Path(self.folder.name) / "instance"
        self.alive: list[Worker] = []
        self.started = 0
        self.served = dict.fromkeys(PROVIDERS, 0)

    @rule()
    def start(self) -> None:
        self.started += 1
        if len(self.alive) < 4:
            self.alive.append(Worker(self.directory, pid=self.started))

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 3), provider=st.sampled_from(PROVIDERS))
    def serve(self, which: int, provider: str) -> None:
        self.alive[which % len(self.alive)].serve(provider)
        self.served[provider] += 1

    @precondition(lambda self: len(self.alive) > 1)
    @rule(which=st.integers(0, 3))
    def end(self, which: int) -> None:
        self.alive.pop(which % len(self.alive)).instance.close(remove=True)

    @precondition(lambda self: self.alive)
    @rule(which=st.integers(0, 3))
    def be_killed(self, which: int) -> None:
        self.alive.pop(which % len(self.alive)).instance.close(remove=False)

    @rule()
    def be_killed_between_counting_and_removing(self) -> None:
        unlink = Path.unlink
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                Path, "unlink", lambda path, **more: None if path.suffix == ".slots" else unlink(path, **more)
            )
            Worker(self.directory, pid=999).instance.close(remove=False)

    @invariant()
    def everybody_tells_the_whole(self) -> None:
        for worker in self.alive:
            samples = worker.scrape()
            assert {name: requests_in(samples, name) for name in PROVIDERS} == self.served
            assert samples[("flexiai_workers", ())] == len(self.alive)

    def teardown(self) -> None:
        for worker in self.alive:
            worker.instance.close(remove=False)
        self.folder.cleanup()


Fleet.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestFleet = Fleet.TestCase


def test_many_ended_workers_leave_one_file(tmp_path: Path) -> None:
    for pid in range(20):
        worker = Worker(tmp_path / "i", pid)
        worker.serve()
        worker.instance.close(remove=False)
    last = Worker(tmp_path / "i", 99)
    with closing(last):
        assert requests_in(last.scrape()) == 20
        assert len(list((tmp_path / "i").glob("*.slots"))) == 1


def test_workers_of_two_configurations_are_summed(tmp_path: Path) -> None:
    old, new = Worker(tmp_path / "i", 1, ("openai",)), Worker(tmp_path / "i", 2, ("anthropic", "openai"))
    with closing(old, new):
        old.serve("openai")
        new.serve("openai")
        new.serve("anthropic")
        for samples in (old.scrape(), new.scrape()):
            assert (requests_in(samples, "openai"), requests_in(samples, "anthropic")) == (2, 1)


def test_gauges_are_of_the_living_alone(tmp_path: Path) -> None:
    opened = Transition(
        t=1, worker="w", provider="openai", frm=State.CLOSED, to=State.OPEN, cause=Cause.FAILURE_RATE, epoch=0
    )
    one, two = Worker(tmp_path / "i", 1), Worker(tmp_path / "i", 2)
    with closing(one, two):
        two.telemetry(opened)
        two.telemetry.sample(SyncStatus(enabled=True, connected=True, staleness_s=2.0), 90.0, 3)
        circuit = ("flexiai_circuit_state", (("provider", "openai"),))
        own = [("flexiai_worker_circuit_state", (("pid", pid), ("provider", "openai"))) for pid in ("1", "2")]
        staleness = ("flexiai_sync_staleness_seconds", (("pid", "2"),))
        samples = one.scrape(now=100.0)
        assert (samples[circuit], [samples[key] for key in own]) == (1.0, [0.0, 1.0])
        assert samples[staleness] == 12.0
        assert ("flexiai_sync_staleness_seconds", (("pid", "1"),)) not in samples, "it never had a view"
        two.instance.close(remove=False)
        samples = one.scrape()
        assert (samples[circuit], own[1] in samples, staleness in samples) == (0.0, False, False)
        assert (
            samples[("flexiai_transitions_total", (("cause", "failure_rate"), ("provider", "openai"), ("to", "OPEN")))]
            == 1
        )
        assert samples[("flexiai_journal_lost_total", ())] == 3


def test_half_open_lies_between(tmp_path: Path) -> None:
    worker = Worker(None)
    probing = Transition(
        t=1, worker="w", provider="openai", frm=State.OPEN, to=State.HALF_OPEN, cause=Cause.PROBE_GRANTED, epoch=1
    )
    worker.telemetry(probing)
    assert worker.scrape()[("flexiai_circuit_state", (("provider", "openai"),))] == 0.5


@given(st.lists(st.floats(0, 100), max_size=30))
def test_a_histogram_counts_all_and_each_at_its_place(times: list[float]) -> None:
    worker = Worker(None)
    for took in times:
        worker.serve(at=0.0, took=took)
    samples = worker.scrape()
    for bound in c.RESPONSE.buckets:
        bucket = samples[("flexiai_response_seconds_bucket", (("le", f"{bound:g}"), ("provider", "openai")))]
        assert bucket == sum(took <= bound for took in times)
    assert samples[("flexiai_response_seconds_count", (("provider", "openai"),))] == len(times)
    assert samples[("flexiai_response_seconds_sum", (("provider", "openai"),))] == pytest.approx(sum(times))


def test_two_requests_under_one_id_are_two() -> None:
    worker = Worker(None)
    for at in (1.0, 2.0):
        worker.telemetry(RequestStarted(t=at, worker="w", request="same"))
    assert worker.scrape()[("flexiai_requests_in_flight", (("pid", "1"),))] == 2
    for at in (4.0, 5.0):
        worker.telemetry(RequestEnded(t=at, worker="w", request="same", result="cancelled", attempts=0))
    samples = worker.scrape()
    assert samples[("flexiai_requests_in_flight", (("pid", "1"),))] == 0
    assert samples[("flexiai_response_seconds_sum", (("provider", "unknown"),))] == 6.0
    assert requests_in(samples, "unknown", "cancelled") == 2


def said(event: Event) -> Samples:
    """The counters that an event raises."""
    worker = Worker(None)
    before = worker.scrape()
    worker.telemetry(event)
    return {
        key: value for key, value in worker.scrape().items() if value != before.get(key, 0) and "_bucket" not in key[0]
    }


def record(**more: Any) -> RecordApplied:
    return RecordApplied(
        **{"t": 1, "worker": "w", "provider": "openai", "epoch": 1, "state": State.OPEN, "reason": Cause.SYNC}
        | {"origin": "o"}
        | more
    )


@pytest.mark.parametrize(
    ("event", "counter", "labels"),
    [
        (
            ProbeLease(t=1, worker="w", provider="openai", action="won"),
            "probe_leases",
            {"provider": "openai", "action": "won"},
        ),
        (
            NoticeIgnored(t=1, worker="w", provider="openai", epoch=1, known=1),
            "sync_events",
            {"event": "notice_ignored"},
        ),
        (
            ProposalSent(t=1, worker="w", provider="openai", state=State.OPEN, base=0),
            "sync_events",
            {"event": "proposal_sent"},
        ),
        (ProposalFailed(t=1, worker="w", provider="openai", error="x"), "sync_events", {"event": "proposal_failed"}),
        (RecordRestored(t=1, worker="w", provider="openai", epoch=1), "sync_events", {"event": "record_restored"}),
        (SyncUp(t=1, worker="w", reconnects=0), "sync_events", {"event": "up"}),
        (SyncDown(t=1, worker="w", error="x"), "sync_events", {"event": "down"}),
        (
            EvidenceSent(t=1, worker="w", provider="openai", base=0, failures=1),
            "sync_events",
            {"event": "evidence_sent"},
        ),
        (
            EvidenceHeard(t=1, worker="w", provider="openai", epoch=0, failures=1, workers=1, age_s=0.0),
            "sync_events",
            {"event": "evidence_heard"},
        ),
        (ListenerRestarted(t=1, worker="w", error="x"), "sync_events", {"event": "listener_restarted"}),
        (
            AttemptEnded(
                t=1, worker="w", request="r", attempt=1, provider="openai", outcome=Outcome.FAILURE, probe=True
            ),
            "probes",
            {"provider": "openai", "outcome": "failure"},
        ),
        (AttemptStarted(t=1, worker="w", request="r", attempt=2, provider="openai"), "retries", {"provider": "openai"}),
    ],
)
def test_what_happens_is_counted_by_name(event: Event, counter: str, labels: dict[str, str]) -> None:
    assert said(event)[(f"flexiai_{counter}_total", tuple(sorted(labels.items())))] == 1


def test_sync_latency_is_of_what_others_did() -> None:
    heard = said(record(via="notice", age_s=0.004))
    assert heard[("flexiai_sync_latency_seconds_count", (("via", "notice"),))] == 1
    assert heard[("flexiai_sync_latency_seconds_sum", (("via", "notice"),))] == 0.004
    own = record(via="notice", age_s=0.004, origin="w")
    assert not any(name.startswith("flexiai_sync_latency") for name, _ in said(own))


@pytest.mark.parametrize(("origin", "cause"), [("w", "consecutive_failures"), ("o", "sync")])
def test_an_opening_upon_a_workers_report_is_its_own(origin: str, cause: str) -> None:
    worker = Worker(None)
    worker.telemetry(record(via="reply", accepted=origin == "w", origin=origin, reason=Cause.CONSECUTIVE_FAILURES))
    followed = {"t": 1, "worker": "w", "provider": "openai", "frm": State.CLOSED, "to": State.OPEN, "epoch": 1}
    worker.telemetry(Transition(cause=Cause.SYNC, **followed))
    labels = (("cause", cause), ("provider", "openai"), ("to", "OPEN"))
    assert worker.scrape()[("flexiai_transitions_total", labels)] == 1


def test_the_stores_answer_is_timed() -> None:
    worker = Worker(None)
    worker.telemetry(ProposalSent(t=1.0, worker="w", provider="openai", state=State.OPEN, base=0))
    worker.telemetry(record(via="reply", accepted=True))
    assert worker.scrape()[("flexiai_sync_proposal_seconds_count", ())] == 1


def test_the_answer_to_a_report_is_not_the_one_that_a_proposal_waits_for() -> None:
    worker = Worker(None)
    worker.telemetry(ProposalSent(t=1.0, worker="w", provider="openai", state=State.OPEN, base=0))
    worker.telemetry(record(t=1.1, via="reply", accepted=True, reported=True))
    worker.telemetry(record(t=1.5, via="reply", epoch=2))
    samples = worker.scrape()
    assert samples[("flexiai_sync_proposal_seconds_count", ())] == 1
    assert samples[("flexiai_sync_proposal_seconds_sum", ())] == 0.5


def test_every_family_is_told_with_its_type_and_its_meaning() -> None:
    text = exposition(*Worker(None).instance.readings(), 1.0)
    for family in c.FAMILIES:
        assert f"# TYPE {family.name} {family.kind}\n" in text
        assert f"# HELP {family.name} {family.help}\n" in text


def test_a_label_is_escaped() -> None:
    laid_out = layout(("openai",), [], 'a"b\\c\nd')
    telemetry_instance = Instance(laid_out, 1, None)
    Telemetry(telemetry_instance.numbers, laid_out).began(1.0, ('a"b\\c\nd', *laid_out.series[-1].labels[1:]))
    samples = parsed(exposition(*telemetry_instance.readings(), 1.0))
    assert any(dict(labels).get("version") == 'a"b\\c\nd' for name, labels in samples if name == "flexiai_build_info")


def test_a_file_that_is_none_of_ours_is_skipped(tmp_path: Path) -> None:
    directory = tmp_path / "i"
    worker = Worker(directory)
    with closing(worker):
        worker.serve()
        (directory / "junk.slots").write_bytes(b"flexiai1" + b"\xff" * 40)
        (directory / "empty.slots").touch()
        (directory / "away.slots").symlink_to(tmp_path / "nowhere")
        assert requests_in(worker.scrape()) == 1


def test_a_full_disk_is_an_error_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda fd, data: len(data) - 1)
    with pytest.raises(OSError, match="no space"):
        Slots(places(), 1, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_read_while_it_is_written_to(tmp_path: Path) -> None:
    slots = Slots(places(), 7, tmp_path)
    assert slots.path is not None
    slots.numbers[0] = 5.0
    reading = read(slots.path)
    assert reading is not None
    assert (reading.head.pid, reading.numbers[0], reading.alive) == (7, 5.0, True)
    slots.close()
    reading = read(slots.path)
    assert reading is not None
    assert (reading.numbers[0], reading.alive) == (5.0, False)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(instances.tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_the_last_one_takes_the_directory_along(temporary: Path) -> None:
    one, two = Worker(shared_directory(1)), Worker(shared_directory(1))
    directory = shared_directory(1)
    one.instance.close(remove=True)
    assert directory.exists()
    two.instance.close(remove=True)
    assert not directory.exists()


def test_what_gone_instances_left_is_removed_and_nothing_else(temporary: Path) -> None:
    here = os.getpid()
    living, gone, killed = (
        Worker(shared_directory(10**7)),
        Worker(shared_directory(10**7 + 1)),
        Worker(shared_directory(here)),
    )
    paths = [shared_directory(10**7), shared_directory(10**7 + 1), shared_directory(here)]
    gone.instance.close(remove=False)
    killed.instance.close(remove=False)  # but its supervisor lives, and may start another
    shared_directory(10**7 + 2)
    assert [path.exists() for path in paths] == [True, False, True]
    living.instance.close(remove=True)


@pytest.mark.parametrize("wrong", ["symlink", "file", "open"])
def test_a_directory_that_others_could_have_made_is_not_used(temporary: Path, wrong: str) -> None:
    root = temporary / f"flexiai-metrics-{os.getuid()}"
    if wrong == "symlink":
        (temporary / "elsewhere").mkdir(mode=0o700)
        root.symlink_to(temporary / "elsewhere")
    elif wrong == "file":
        root.touch()
    else:
        root.mkdir()
        root.chmod(0o777)
    with pytest.raises(OSError, match=r".+"):
        shared_directory(1)


def test_alone_it_counts_for_itself() -> None:
    worker = Worker(None)
    worker.serve()
    assert worker.instance.readings()[1] == Kept()
    assert requests_in(worker.scrape()) == 1
