"""The command line: what it leaves behind, what it answers, and with which exit code it ends."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import harness
from harness.cli import main
from harness.exit_codes import BAD_INPUT, FAIL, NONDETERMINISM, PASS, UNKNOWN
from harness.history import History
from tests.harness.small import SMALL

SCHEMA = json.loads((Path(harness.__path__[0]) / "summary.schema.json").read_text())


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Calls the command in an empty folder with `small.yaml` in it: (exit code, what it printed)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.yaml").write_text(SMALL)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


def the_run(folder="runs/latest"):
    return Path(folder).resolve()


def test_a_good_run_passes_and_explains_itself(call):
    code, said = call("run", "small.yaml", "--no-report")
    assert code == PASS, said
    assert "PASS" in said
    run = the_run()
    assert run == the_run("runs/small-outage/latest")
    summary = json.loads((run / "summary.json").read_text())
    jsonschema.validate(summary, SCHEMA)
    assert summary["verdict"] == "pass"
    assert summary["metrics"]["failed_requests"] == 0
    assert summary["faults"][0]["evidence"]
    assert History.read(run / "history.jsonl").sha256() == summary["history_sha256"]


def test_a_run_with_a_report_leaves_a_page_plots_and_junit(call):
    code, said = call("run", "small.yaml")
    assert code == PASS
    run = the_run()
    assert "report.html" in said
    assert {"report.html", "junit.xml", "summary.json", "history.jsonl", "capsule.yaml"} <= {
        p.name for p in run.iterdir()
    }
    assert list((run / "plots").glob("*.png"))
    assert list((run / "plots").glob("*.svg"))


def test_an_expectation_that_is_not_met_fails(call):
    Path("small.yaml").write_text(SMALL.replace("failed_requests == 0", "failing_attempts == 0"))
    code, said = call("run", "small.yaml", "--no-report")
    assert code == FAIL
    assert "failing_attempts == 0" in said


def test_a_known_weakness_that_shows_passes_and_one_that_does_not_fails(call):
    Path("small.yaml").write_text(SMALL.split("expect:")[0] + "expect: fail\n")
    code, said = call("run", "small.yaml", "--no-report")
    assert code == FAIL
    assert "expected to show a known weakness" in said


def test_a_fault_without_effect_makes_the_run_unknown(call):
    Path("small.yaml").write_text(
        SMALL.replace(
            "{at: 1s, for: 2s, target: provider/openai, inject: error, status: 503}",
            "{at: 3s, target: redis, inject: flush}",
        )
    )
    code, said = call("run", "small.yaml", "--no-report")
    assert code == UNKNOWN
    assert "no effect was seen" in said


def test_a_capsule_replays_to_the_same_history(call):
    call("run", "small.yaml", "--seed", 7, "--no-report")
    code, said = call("replay", "runs/latest", "--no-report")
    assert code == PASS
    assert "the same history, byte for byte" in said


def test_another_history_than_the_capsules_is_nondeterminism(call):
    call("run", "small.yaml", "--no-report")
    capsule = the_run() / "capsule.yaml"
    text = capsule.read_text()
    sha256 = json.loads((the_run() / "summary.json").read_text())["history_sha256"]
    capsule.write_text(text.replace(sha256, "f" * 64))
    code, said = call("replay", capsule, "--no-report")
    assert code == NONDETERMINISM
    assert "NOT the same history" in said


def test_a_history_can_be_judged_again(call):
    call("run", "small.yaml", "--no-report")
    code, said = call("check", "runs/latest")
    assert code == PASS
    assert "PASS" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "nowhere.yaml"], "nowhere.yaml: there is no such file"),
        (["run", "primary-outag"], "primary-outag: there is no such file, and no scenario of that name comes along"),
        (["up", "primary-outag"], "(did you mean 'primary-outage'?)"),
        (["lint", "primary-outag", "small.yaml"], "(did you mean 'primary-outage'?)"),
        (
            ["campaign", "cii"],
            "cii: there is no such file, and no campaign of that name comes along (did you mean 'ci'?)",
        ),
        (["campaign", "nowhere"], "expected a file or one of ci, full"),
        (["mutants", "never-open"], "there is no mutant 'never-open' (did you mean 'never-opens'?)"),
        (["run", "smal.yaml"], "did you mean 'small.yaml'?"),
        (["run", "small.yaml", "--mode", "dream"], "'dream' is not one of 'sim', 'real', 'both'"),
        (["run", "small.yaml", "--seed", "-1"], "--seed"),
        (["run"], "SCENARIO"),
        (["replay", "nowhere"], "nowhere: there is no such capsule or run directory"),
        (["replay", "."], ".: expected a run directory, or a file in one: there is no capsule.yaml"),
        (["explain", "smal.yaml"], "smal.yaml: there is no such capsule or run directory (did you mean 'small.yaml'?)"),
        (["compare", "here", "there"], "here: there is no such capsule"),
        (["shrink", "nowhere"], "nowhere: there is no such capsule"),
        (["check", "nowhere"], "nowhere: there is no such run directory"),
        (["check", "some/where"], "some/where: there is no such run directory"),
        (["check", "small.yaml"], "small.yaml: expected a run directory, or a file in one: there is no capsule.yaml"),
        (["report", "nowhere"], "nowhere: there is no such run directory"),
        (["lint", "broken.yaml"], "broken.yaml:3: duration: expected a duration with a unit"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_bad_input_is_named_and_ends_with_64(call, words, says):
    Path("broken.yaml").write_text(SMALL.replace("duration: 6s", "duration: 6"))
    code, said = call(*words)
    assert code == BAD_INPUT
    assert says in said
    assert "Traceback" not in said
    assert not Path("runs").exists()


def test_a_run_directory_that_cannot_be_made_is_named(call):
    Path("runs").write_text("a file")
    code, said = call("run", "small.yaml", "--no-report")
    assert code == BAD_INPUT
    assert "cannot be created" in said


def test_a_torn_history_is_named_by_its_line(call):
    call("run", "small.yaml", "--no-report")
    history = the_run() / "history.jsonl"
    lines = history.read_bytes().splitlines(keepends=True)
    history.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    code, said = call("check", "runs/latest")
    assert code == BAD_INPUT
    assert "history.jsonl:5: not an event" in said


@pytest.mark.parametrize("summary", ["", "[]", "{", '{"wall_s": "long"}', '{"wall_s": null}'])
def test_a_damaged_summary_is_named(call, summary):
    call("run", "small.yaml", "--no-report")
    (the_run() / "summary.json").write_text(summary)
    code, said = call("check", "runs/latest")
    assert code == BAD_INPUT
    assert "summary.json: not a summary: " in said


def test_every_fault_every_scenario_and_the_schema_are_listed(call):
    assert "provider: rate_limit" in call("faults")[1]
    assert "primary-outage" in call("list")[1]
    assert json.loads(call("schema")[1])["title"] == "Scenario"


def test_plots_and_worlds_are_imported_only_when_wanted():
    heavy = (
        "import sys, harness.cli; print([m for m in ('matplotlib', 'locust', 'simpy', 'uvicorn') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.strip() == "[]"


def test_a_fault_that_a_world_cannot_do_is_refused_or_its_world_left_out_if_so_told(call):
    clock = SMALL.split("faults:", maxsplit=1)[0] + "faults:\n  - {at: 1s, target: clock, inject: jump, by: 1s}\n"
    Path("clock.yaml").write_text(clock)
    code, said = call("run", "clock.yaml", "--mode", "real")
    assert code == BAD_INPUT
    assert "fault 1: 'jump' on clock cannot be done for real: the processes of one machine share" in said
    code, said = call("run", "clock.yaml", "--mode", "real", "--where-possible")
    assert code == PASS
    assert "small-outage · real: left out: fault 1" in said
