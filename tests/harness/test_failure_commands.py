"""`harness shrink`, `explain` and `compare`, from a capsule to what a person is told."""

import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.exit_codes import BAD_INPUT, FAIL, NONDETERMINISM, PASS, UNKNOWN
from tests.harness.small import SMALL


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Calls the command in an empty folder: (exit code, what it printed)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


@pytest.fixture
def failing(call):
    """A run directory of a scenario that misses an expectation."""
    Path("small.yaml").write_text(SMALL.replace("failed_requests == 0", "failing_attempts == 0"))
    assert call("run", "small.yaml", "--no-report")[0] == FAIL
    return Path("runs/latest").resolve()


def test_a_shrunk_capsule_is_a_scenario_that_fails_too(call, failing):
    code, said = call("shrink", failing)
    assert code == PASS, said
    assert "still fails failing_attempts == 0" in said
    assert call("run", failing / "shrunk.yaml", "--no-report")[0] == FAIL


def test_a_run_without_violations_is_explained_by_its_reason(call, failing):
    code, said = call("explain", failing)
    assert code == FAIL
    assert "nothing was violated: expected failing_attempts == 0" in said


def test_a_failing_run_is_compared_with_the_nearest_that_passes(call, failing):
    code, said = call("compare", failing)
    assert code == PASS, said
    assert "without fault 1, error of provider/openai at 1 s" in said
    assert "fault 1 begins: error of provider/openai, on openai" in said
    assert "they part at" in said
    assert "failing_attempts" in said


def test_two_runs_are_compared(call, failing):
    assert call("run", "small.yaml", "--no-report", "--seed", 2)[0] == FAIL
    code, said = call("compare", failing, Path("runs/latest").resolve())
    assert code == PASS
    assert "requests" in said


def test_what_passes_cannot_be_shrunk_or_compared_with_nothing(call):
    Path("small.yaml").write_text(SMALL)
    assert call("run", "small.yaml", "--no-report")[0] == PASS
    assert call("shrink", "runs/latest")[0] == UNKNOWN
    assert call("compare", "runs/latest")[0] == UNKNOWN
    assert call("explain", "nowhere")[0] == BAD_INPUT


@pytest.mark.parametrize("command", ["explain", "compare"])
def test_a_history_that_was_cut_short_is_not_passed_over(call, failing, command):
    history = failing / "history.jsonl"
    history.write_bytes(history.read_bytes()[:2000])
    code, said = call(command, failing)
    assert code == BAD_INPUT
    assert "not an event" in said


def test_a_capsule_on_its_own_is_run_again(call, failing):
    (failing / "history.jsonl").unlink()
    code, said = call("explain", failing / "capsule.yaml")
    assert code == FAIL
    assert "nothing was violated: expected failing_attempts == 0" in said


def test_a_replay_without_a_history_beside_it_says_that_it_cannot_show_the_difference(call, failing):
    capsule = failing / "capsule.yaml"
    lines = capsule.read_text().splitlines()
    alone = Path("alone.yaml")
    alone.write_text("\n".join("history_sha256: '00'" if n.startswith("history_sha256") else n for n in lines))
    code, said = call("replay", alone, "--no-report")
    assert code == NONDETERMINISM
    assert "the first line that differs cannot be shown: history.jsonl: there is no such history" in said


@pytest.mark.parametrize("command", ["replay", "shrink", "explain", "compare"])
@pytest.mark.parametrize(
    ("text", "said_at", "what"),
    [
        ("scenario: {a: [1\n", ":2: ", "not YAML"),
        ("", ":1: ", "expected a mapping with scenario, seed, mode"),
        ("- 1\n", ":1: ", "expected a mapping with scenario, seed, mode"),
        ("seed: 1\nmode: dream\n", ":", "not a capsule: "),
    ],
)
def test_what_is_no_capsule_is_told_with_its_line(call, command, text, said_at, what):
    Path("broken.yaml").write_text(text)
    code, said = call(command, "broken.yaml")
    assert code == BAD_INPUT
    assert said.startswith("broken.yaml" + said_at)
    assert what in said
    assert all(line.startswith("broken.yaml:") for line in said.splitlines())
