"""Scenarios are tests: by a fixture, and as files."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from harness import rundir
from tests.harness.small import SMALL

pytest_plugins = ["pytester"]

TINY = SMALL.replace("duration: 6s", "duration: 3s").replace("at: 1s, for: 2s", "at: 500ms, for: 1s")
FAILING = TINY.replace("failed_requests == 0", "requests == 7")
UNKNOWN = TINY.replace("status: 503", "status: 503, share: 0%")
PLUGIN = ("-p", "harness.pytest_plugin", "-p", "no:cacheprovider")


@pytest.fixture
def inner(pytester, monkeypatch):
    """Runs pytest within this process, with the plugin, in a directory of its own."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(test_python="def test_python(): pass")

    def run(*args: str) -> pytest.RunResult:
        return pytester.runpytest_inprocess(*PLUGIN, *args)

    return run


def write(pytester: pytest.Pytester, **texts: str) -> None:
    (pytester.path / "scenarios").mkdir()
    for name, text in texts.items():
        pytester.makefile(".yaml", **{f"scenarios/{name}": text})


# -- files


def test_yaml_is_not_collected_unless_asked_for(inner, pytester):
    write(pytester, tiny=TINY, broken="]")
    inner().assert_outcomes(passed=1)


def test_a_scenario_file_is_a_test_for_each_seed(inner, pytester):
    write(pytester, tiny=TINY)
    result = inner("scenarios", "--scenarios", "--scenario-seeds", "3", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines([f"scenarios/tiny.yaml::small-outage[[]sim-{n}[]] PASSED*" for n in (1, 2, 3)])
    assert not (pytester.path / "runs").exists(), "what passes leaves nothing behind"


def test_a_failing_file_is_told_in_the_harness_words_with_a_line_to_paste(inner, pytester):
    write(pytester, tiny=FAILING)
    result = inner("--scenarios", "--scenario-seeds", "2", "-k", "sim-2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "✗ small-outage · sim · seed 2: FAIL in *",
            "*expected requests == 7; it was *",
            "*again:   harness run scenarios/tiny.yaml --mode sim --seed 2",
            "*capsule: harness replay runs/small-outage/*/capsule.yaml",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()
    assert rundir.read_capsule(next(pytester.path.glob("runs/small-outage/*/capsule.yaml"))).seed == 2


def test_the_line_to_paste_runs_what_failed(inner, pytester):
    write(pytester, tiny=FAILING)
    told = inner("--scenarios", "-k", "small").stdout.str()
    lines = sorted(set(re.findall(r"(?:again|capsule): +harness (.*)", told)))  # pytest repeats them where CI is set
    assert len(lines) == 2
    for line in lines:
        again = subprocess.run(
            [sys.executable, "-m", "harness.cli", *line.split(), "--no-report"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 1, again.stderr
        assert "expected requests == 7" in again.stdout


def test_an_unknown_verdict_fails_unless_told_to_skip(inner, pytester):
    write(pytester, tiny=UNKNOWN)
    failed = inner("scenarios", "--scenarios")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*no effect was seen*"])
    skipped = inner("scenarios", "--scenarios", "--scenario-unknown", "skip", "-rs")
    skipped.assert_outcomes(skipped=1)
    skipped.stdout.fnmatch_lines(["*unknown: *no effect was seen*"])


def test_a_scenario_that_was_to_show_a_weakness_fails_when_it_passes(inner, pytester):
    weak = TINY.replace("expect:\n  - failed_requests == 0", "expect: fail")
    write(pytester, tiny=weak)
    result = inner("scenarios", "--scenarios")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*expected to show a known weakness, but passed*"])


def test_a_file_that_is_no_scenario_is_an_error_that_names_the_line(inner, pytester):
    write(pytester, tiny=TINY.replace("duration:", "duratoin:"))
    result = inner("scenarios", "--scenarios")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*tiny.yaml:3: unknown key 'duratoin' (did you mean 'duration'?)*"])
    assert "Traceback" not in result.stdout.str()


def test_what_a_world_cannot_do_is_skipped_with_the_reason(inner, pytester):
    jump = "{at: 1s, target: clock, inject: jump, by: 1s}"
    write(pytester, tiny=TINY.replace("expect:", f"  - {jump}\nexpect:"))
    result = inner("scenarios", "--scenarios", "--scenario-mode", "real", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*cannot be done for real*"])


@pytest.mark.parametrize("count", ["0", "-1", "many"])
def test_a_count_of_seeds_is_at_least_one(inner, count):
    assert inner("--scenarios", "--scenario-seeds", count).ret == pytest.ExitCode.USAGE_ERROR


# -- the fixture


def test_the_fixture_runs_a_file_a_mapping_or_a_name(inner, pytester):
    write(pytester, tiny=TINY)
    pytester.makepyfile(
        test_it="""
        import yaml
        from pathlib import Path

        def test_all_are_the_same(scenario):
            results = [scenario("scenarios/tiny.yaml", seed=3), scenario(Path("scenarios/tiny.yaml").absolute(), seed=3)]
            results.append(scenario(yaml.safe_load(Path("scenarios/tiny.yaml").read_text()), seed=3, mode="sim"))
            results.append(scenario(results[0].record.scenario, seed=3))
            assert all(result.passed for result in results)
            assert len({result.history.sha256() for result in results}) == 1
            assert results[0].metrics["failed_requests"] == 0
            assert results[0].capsule is None
        """
    )
    inner("test_it.py").assert_outcomes(passed=1)


def test_a_failing_test_tells_of_its_scenario(inner, pytester):
    write(pytester, tiny=FAILING)
    pytester.makepyfile(
        test_it="""
        def test_it(scenario):
            result = scenario("scenarios/tiny.yaml", seed=5)
            assert result.passed

        def test_another(scenario):
            assert scenario("scenarios/tiny.yaml").verdict == "fail"

        def test_unconcerned():
            assert False
        """
    )
    result = inner("test_it.py")
    result.assert_outcomes(failed=2, passed=1)
    result.stdout.fnmatch_lines(
        [
            "*where False = <small-outage · sim · seed 5: fail: expected requests == 7*",
            "*- scenario -*",
            "✗ small-outage · sim · seed 5: FAIL in *",
            "*again:   harness run scenarios/tiny.yaml --mode sim --seed 5",
            "*capsule: harness replay *scenario*/small-outage/*/capsule.yaml",
        ]
    )
    assert len(re.findall("- scenario -", result.stdout.str())) == 1, "a test is told only what it ran itself"


def test_a_failing_test_tells_of_its_last_run_whatever_came_of_it(inner, pytester):
    write(pytester, bad=FAILING, good=TINY)
    pytester.makepyfile(
        test_it="""
        def test_it(scenario):
            assert not scenario("scenarios/bad.yaml", seed=3).passed
            assert scenario("scenarios/good.yaml", seed=4).metrics["requests"] == 1

        def test_without_a_file(scenario):
            import yaml
            from pathlib import Path
            good = scenario(yaml.safe_load(Path("scenarios/good.yaml").read_text()), seed=5)
            assert good.metrics["requests"] == 1
        """
    )
    result = inner("test_it.py")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- scenario -*",
            "✓ small-outage · sim · seed 4: PASS in *",
            "*again:   harness run scenarios/good.yaml --mode sim --seed 4",
            "*capsule: harness replay *",
            "*- an earlier scenario of this test, which did not pass -*",
            "✗ small-outage · sim · seed 3: FAIL in *",
            "*- scenario -*",
            "✓ small-outage · sim · seed 5: PASS in *",
            "*capsule: harness replay *",
        ]
    )
    kept = re.findall(r"capsule: harness replay (.*)", result.stdout.str())
    assert {rundir.read_capsule(Path(path)).seed for path in kept} == {3, 4, 5}


@pytest.mark.parametrize(("what", "told"), [("{'name': 'x'}", "*is missing*"), ("'nope.yaml'", "*nope.yaml*")])
def test_what_is_wrong_with_a_scenario_stands_at_the_tests_own_line(inner, pytester, what, told):
    pytester.makepyfile(test_it=f"def test_it(scenario):\n    scenario({what})\n")
    result = inner("test_it.py")
    result.stdout.fnmatch_lines([">*scenario(*", f"E {told}", "test_it.py:2: ScenarioError"])
    assert "trial.py" not in result.stdout.str()
    assert "pytest_plugin.py" not in result.stdout.str()


def test_a_mapping_that_is_no_scenario_says_what_is_wrong(inner, pytester):
    pytester.makepyfile(test_it="def test_it(scenario): scenario({'name': 'x', 'duration': '1s', 'load': []})")
    result = inner("test_it.py")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the scenario:1: 'description' is missing*"])


def test_hypothesis_may_call_a_test_with_the_fixture(inner, pytester):
    write(pytester, tiny=TINY)
    pytester.makepyfile(
        test_it="""
        from hypothesis import given, settings, strategies as st

        @settings(max_examples=3, deadline=None, database=None)
        @given(seed=st.integers(1, 50))
        def test_it(scenario, seed):
            assert scenario("scenarios/tiny.yaml", seed=seed).passed
        """
    )
    inner("test_it.py").assert_outcomes(passed=1)


# -- in nobody's way


def test_loading_the_plugin_imports_nothing_of_the_harness():
    code = (
        "import sys, harness.pytest_plugin\n"
        "heavy = {'yaml', 'pydantic', 'simpy', 'msgspec', 'click', 'hypothesis', 'flexiai'}\n"
        "found = {m for m in sys.modules if m.partition('.')[0] in heavy or m.startswith('harness.')}\n"
        "sys.exit(repr(found) if found != {'harness.pytest_plugin'} else 0)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


def test_an_installed_plugin_is_found_and_may_be_asked_for_too(pytester):
    declared = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["entry-points"]
    package = pytester.mkdir("site") / "declared-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: declared\nVersion: 1\n")
    points = "".join(f"{name} = {where}\n" for name, where in declared["pytest11"].items())
    (package / "entry_points.txt").write_text(f"[pytest11]\n{points}")
    write(pytester, tiny=TINY)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path])}
    for asked in ([], ["-p", "harness.pytest_plugin"]):
        command = [sys.executable, "-m", "pytest", "--scenarios", "scenarios", *asked]
        ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
