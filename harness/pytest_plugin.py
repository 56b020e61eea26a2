"""A pytest plugin: the fixture `scenario`, and, with `--scenarios`, scenario files that are tests.

Rules
-----
* Without either of them it does nothing, and imports nothing of the harness.
* Only what is below pytest's arguments, and with `--scenarios`, is collected: every `*.yaml` is then a scenario file.
* `unknown` is no pass: the test fails, unless `--scenario-unknown skip` says otherwise.
* A failure is told in the harness's words, with a line to paste that runs it again, and no traceback of ours.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from harness.scenario import Scenario
    from harness.trial import Trial


def pytest_addoption(parser: pytest.Parser) -> None:
    """What the command line may say."""
    group = parser.getgroup("scenarios", "scenario files as tests (flexiai's harness)")
    group.addoption("--scenarios", action="store_true", help="collect scenario files (*.yaml) as tests")
    group.addoption("--scenario-seeds", type=_count, default=1, metavar="N", help="run each with the seeds 1 to N")
    group.addoption("--scenario-mode", choices=("sim", "real"), default="sim", help="where (default: sim)")
    group.addoption(
        "--scenario-unknown",
        choices=("fail", "skip"),
        default="fail",
        help="what an unknown verdict does (default: fail)",
    )
    group.addoption(
        "--scenario-out", type=Path, default=Path("runs"), metavar="DIR", help="for what failed (default: runs)"
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A scenario file, if those were asked for."""
    if file_path.suffix == ".yaml" and parent.config.getoption("--scenarios"):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A scenario file: a test for each seed."""

    def collect(self) -> Iterator[ScenarioItem]:
        from harness.scenario_file import ScenarioError
        from harness.trial import scenario_of

        try:
            scenario, _ = scenario_of(self.path, self.config.rootpath)
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        for seed in range(1, self.config.getoption("--scenario-seeds") + 1):
            name = f"{scenario.name}[{self.config.getoption('--scenario-mode')}-{seed}]"
            yield ScenarioItem.from_parent(self, name=name, scenario=scenario, seed=seed)


class ScenarioItem(pytest.Item):
    """A scenario and a seed."""

    def __init__(self, *, scenario: Scenario, seed: int, **others: Any) -> None:
        super().__init__(**others)
        self._scenario, self._seed = scenario, seed

    def runtest(self) -> None:
        """Fail unless it passes."""
        from harness.trial import try_out
        from harness.world import Unsupported

        option = self.config.getoption
        base: Path = option("--scenario-out")
        try:
            trial = try_out(self._scenario, self._seed, option("--scenario-mode"), lambda: base, _shown(self.path))
        except Unsupported as error:
            pytest.skip(str(error))
        if trial.verdict == "unknown" and option("--scenario-unknown") == "skip":
            pytest.skip(f"unknown: {trial.reason}")
        if not trial.passed:
            raise _NotPassed(trial)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The verdict as the harness tells it; a traceback only of what broke in the harness."""
        if isinstance(excinfo.value, _NotPassed):
            return str(excinfo.value.trial)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """How it is called in reports."""
        return self.path, None, self.name


class _NotPassed(AssertionError):
    def __init__(self, trial: Trial) -> None:
        super().__init__(trial.reason)
        self.trial = trial


class Trials:
    """Runs scenarios for tests. The report of a test that fails tells of the last one, whatever came of it, and of the
    last one before it that did not pass."""

    def __init__(self, root: Path, temporary: pytest.TempPathFactory) -> None:
        self._root = root
        self._base = partial(temporary.mktemp, "scenario")
        self._last: Trial | None = None
        self._earlier: Trial | None = None

    def __call__(
        self, what: Scenario | Mapping[str, Any] | str | Path, *, seed: int = 1, mode: Literal["sim", "real"] = "sim"
    ) -> Trial:
        """Run a scenario; what came of it.

        what  a file, the name of one that comes with the harness, a mapping, or a Scenario
        seed  draws load, latencies and targets
        mode  sim or real

        ScenarioError for what is no scenario, Unsupported if that world cannot do its faults.
        """
        __tracebackhide__ = True
        from harness.scenario_file import ScenarioError
        from harness.trial import scenario_of, try_out
        from harness.world import Unsupported

        try:
            scenario, file = scenario_of(what, self._root)
            trial = try_out(scenario, seed, mode, self._base, file)
        except (ScenarioError, Unsupported) as error:
            raise error.with_traceback(None) from None  # what is wrong stands at the test's line, not in ours
        if self._last is not None and not self._last.passed:
            self._earlier = self._last
        self._last = trial
        return trial

    @pytest.hookimpl
    def pytest_runtest_setup(self) -> None:
        """What other tests ran does not concern the next."""
        self._last = self._earlier = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Tell of the scenarios that a failing test ran."""
        report = yield
        if call.when == "call" and report.failed and self._last is not None:
            report.sections.append(("scenario", str(self._last.kept(self._base))))
            if self._earlier is not None:
                report.sections.append(("an earlier scenario of this test, which did not pass", str(self._earlier)))
        return report


@pytest.fixture(scope="session")
def scenario(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """Runs a scenario: `result = scenario("scenarios/x.yaml", seed=1, mode="sim"); assert result.passed`.

    One for the session, so that Hypothesis may call a test that has it many times.
    """
    trials = Trials(request.config.rootpath, tmp_path_factory)
    request.config.pluginmanager.register(trials)
    return trials


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(text)
    return int(text)


def _shown(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
