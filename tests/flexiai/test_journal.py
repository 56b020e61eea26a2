"""The journal of a worker."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexiai.core.outcome import Outcome
from flexiai.errors import ConfigurationError
from flexiai.events import AnyEvent, AttemptEnded, RequestEnded, RequestStarted, WorkerStopped
from flexiai.journal import Journal

events = st.one_of(
    st.builds(RequestStarted, t=st.floats(0, 1e9), worker=st.text(), request=st.text()),
    st.builds(
        RequestEnded,
        t=st.floats(0, 1e9),
        worker=st.text(),
        request=st.text(),
        result=st.sampled_from(["ok", "failed", "rejected", "cancelled"]),
        attempts=st.integers(0, 9),
        error=st.none() | st.text(max_size=2000),
    ),
    st.builds(
        AttemptEnded,
        t=st.floats(0, 1e9),
        worker=st.text(),
        request=st.text(),
        attempt=st.integers(1, 9),
        provider=st.text(),
        outcome=st.sampled_from(Outcome),
    ),
)


def started(request: str) -> RequestStarted:
    return RequestStarted(t=1.0, worker="w", request=request)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("journals")


@given(st.lists(events, max_size=8))
def test_what_is_written_is_read_again_one_event_a_line(folder: Path, written: list[AnyEvent]) -> None:
    journal = Journal(folder, 1)
    begin = journal.path.stat().st_size
    for event in written:
        journal(event)
    journal.close()
    lines = journal.path.read_bytes()[begin:].splitlines()
    assert [msgspec.json.decode(line, type=AnyEvent) for line in lines] == written
    assert journal.lost == 0


def test_a_second_life_of_a_process_id_appends(tmp_path: Path) -> None:
    for name in ("first", "second"):
        journal = Journal(tmp_path, 7)
        journal(started(name))
        journal.close()
    lines = (tmp_path / "7.jsonl").read_text().splitlines()
    assert [json.loads(line)["request"] for line in lines] == ["first", "second"]


def test_a_directory_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file or directory"):
        Journal(tmp_path / "missing", 1)


def test_a_closed_journal_loses_events_says_so_once_and_breaks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path, 1)
    journal.close()
    journal.close()
    with caplog.at_level(logging.ERROR, "flexiai"):
        journal(started("a"))
        journal(started("b"))
    assert journal.lost == 2
    assert len(caplog.records) == 1


def test_a_full_disk_costs_the_torn_line_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path, 1)
    write, room = os.write, [10_000, 20, None, 10_000]

    def little_room(fd: int, data: bytearray) -> int:
        allowed = room.pop(0)
        if allowed is None:
            raise OSError(28, "No space left on device")
        return write(fd, data[:allowed])

    monkeypatch.setattr(os, "write", little_room)
    for name in ("whole", "torn", "lost", "again"):
        journal(started(name))
    monkeypatch.undo()
    journal.close()
    lines = journal.path.read_bytes().splitlines()
    assert [json.loads(lines[i])["request"] for i in (0, -1)] == ["whole", "again"]
    assert journal.lost == 2
    assert len(lines) == 3


@pytest.mark.real
def test_what_was_journalled_before_a_sigkill_is_all_there(tmp_path: Path) -> None:
    program = (
        "import sys, os, signal, pathlib\n"
        "from flexiai.journal import Journal\n"
        "from flexiai.events import RequestStarted\n"
        "journal = Journal(pathlib.Path(sys.argv[1]), 1)\n"
        "for n in range(100): journal(RequestStarted(t=n, worker='w', request=str(n)))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], timeout=30, check=False)
    assert ended.returncode == -signal.SIGKILL
    lines = (tmp_path / "1.jsonl").read_text().splitlines()
    assert [json.loads(line)["request"] for line in lines] == [str(n) for n in range(100)]


def test_the_last_word_of_a_worker_is_written_too(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 1)
    journal(WorkerStopped(t=1.0, worker="w"))
    assert json.loads(journal.path.read_text())["kind"] == "worker.stopped"
    journal.close()
