"""`harness campaign`: what it leaves behind, and how it ends."""

import json
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import jsonschema
import pytest

import harness
from harness.campaign import command, corpus, summary
from harness.campaign.command import FOUND, _folders, find, told
from harness.campaign.conduct import Campaign
from harness.campaign.corpus import Replayed
from harness.campaign.draw import draw
from harness.campaign.one import simulate
from harness.campaign.state import Different, Shard, State
from harness.campaign.totals import Failure, Group
from harness.cli import main
from harness.exit_codes import BAD_INPUT, FAIL, PASS, UNKNOWN
from harness.rundir import Record, RunDir, fresh
from harness.scenario import Expectation
from tests.harness.campaign.plans import TINY, parse

SCHEMA = json.loads((Path(harness.__path__[0]) / "campaign.schema.json").read_text())
QUIET = TINY.replace("twice: 10%", "twice: 0%").replace("seeds: 60", "seeds: 20")


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Calls the command in an empty folder with `tiny.yaml` in it: (exit code, what it printed)."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(QUIET)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


def the_summary():
    (folder,) = Path("runs/campaigns/tiny").iterdir()
    found = json.loads((folder / "campaign.json").read_text())
    jsonschema.validate(found, SCHEMA)
    return found, folder


def test_a_campaign_leaves_a_summary_and_a_page(call):
    code, said = call("campaign", "tiny.yaml", "--jobs", 1)
    found, folder = the_summary()
    assert code == PASS, said
    assert found["verdict"] == "pass"
    assert found["seeds"]["done"] == 20
    assert found["simulated_s"] > 20
    assert "# Campaign tiny: PASS" in (folder / "campaign.md").read_text()
    code, said = call("campaign", "tiny.yaml", "--jobs", 1, "--resume", "--seeds", 40)
    assert code == PASS, said
    assert the_summary()[0]["seeds"]["done"] == 40


def test_a_path_that_must_be_reached_and_is_not_fails(call):
    Path("tiny.yaml").write_text(QUIET + "must_reach: [listener-restarted]\n")
    code, said = call("campaign", "tiny.yaml", "--jobs", 1)
    assert code == FAIL
    assert "never reached: listener-restarted" in said


@pytest.mark.parametrize("part", [("--seeds", 5), ("--shard", "1/2")])
def test_a_path_that_a_part_of_a_campaign_did_not_come_to_leaves_it_unknown(call, part):
    Path("tiny.yaml").write_text(QUIET.replace("seeds: 20", "seeds: 40") + "must_reach: [listener-restarted]\n")
    code, said = call("campaign", "tiny.yaml", "--jobs", 1, *part)
    found, folder = the_summary()
    assert code == UNKNOWN
    assert found["verdict"] == "unknown"
    assert "never reached" not in said + (folder / "campaign.md").read_text()
    assert "of the 40 seeds that are asked for: listener-restarted" in said
    assert "of the 40 seeds that are asked for: listener-restarted" in found["reason"]


def test_an_interrupted_campaign_is_not_said_to_have_passed_what_it_did_not_come_to():
    plan = parse(QUIET + "must_reach: [listener-restarted]\n")
    campaign = Campaign(plan, State(plan="p", code="c", first_seed=1, shard=Shard()), Path("it"), interrupted=True)
    campaign.state.totals.seeds = campaign.state.totals.passed = 7
    assert summary.verdict(campaign) == "unknown"
    assert "not yet reached, in 7 of the 20 seeds that are asked for: listener-restarted" in "\n".join(told(campaign))


@pytest.mark.parametrize(
    ("happens", "verdict", "reason"),
    [
        (lambda c: None, "pass", "nothing failed"),
        (lambda c: c.state.different.append(Different(3, 1, "a", "b")), "unknown", "1 seed came out differently"),
        (lambda c: c.state.totals.broken.update(x=Group(2)), "unknown", "the harness itself broke in 2 seeds"),
        (lambda c: setattr(c.state.totals, "passed", 0), "unknown", "no seed passed"),
        (lambda c: c.replayed.append(Replayed("old.yaml", "fail", "r: x", "x")), "fail", "of the corpus old.yaml"),
        (lambda c: c.state.totals.failed.update(x=Group(3)), "fail", "3 seeds failed, of 1 cause"),
        (
            lambda c: c.state.totals.injected.update({"redis/flush": 20}),
            "unknown",
            "injected 20 times or more, and never",
        ),
        (lambda c: c.state.totals.injected.update({"redis/flush": 19}), "pass", "nothing failed"),
    ],
)
def test_verdict_and_reason_are_of_the_page_too(tmp_path, happens, verdict, reason):
    campaign = Campaign(parse(QUIET), State(plan="p", code="c", first_seed=1, shard=Shard()), tmp_path)
    campaign.state.totals.seeds = campaign.state.totals.passed = 20
    happens(campaign)
    page = summary.write(campaign).read_text()
    assert page.startswith(f"# Campaign tiny: {verdict.upper()}\n\n{reason[0].upper()}{reason[1:]}")


def test_a_kind_that_often_changed_something_or_had_only_part_of_the_seeds_is_not_objected_to():
    campaign = Campaign(parse(QUIET), State(plan="p", code="c", first_seed=1, shard=Shard()), Path("it"))
    totals = campaign.state.totals
    totals.injected, totals.effective = {"redis/flush": 20, "redis/kill": 20}, {"redis/kill": 1}
    totals.seeds = totals.passed = 20
    assert summary.judged(campaign) == (
        "unknown",
        "injected 20 times or more, and never with an effect: redis/flush",
    )
    totals.seeds = 19
    assert summary.verdict(campaign) == "pass"


def test_that_no_seed_was_run_twice_is_said(call):
    assert "none run twice" in call("campaign", "tiny.yaml", "--jobs", 1, "--seeds", 1)[1]


def test_a_failure_becomes_a_capsule_that_replays(call):
    plan = parse(QUIET)
    ran = simulate(draw(plan, 3), 3)
    campaign = Campaign(plan, State(plan="p", code="c", first_seed=1, shard=Shard()), Path("it"))
    failure = Failure(3, "it broke", ran.history.sha256(), ())
    campaign.state.totals.failed = {"some-rule: W did P": Group(1, (), [failure])}
    Path("it").mkdir()
    summary.write(campaign)
    (capsule,) = Path("it/failures").glob("*/3/capsule.yaml")
    _, said = call("replay", capsule, "--no-report")
    assert "the same history, byte for byte" in said


def test_the_corpus_is_replayed_first_and_what_it_shows_is_known(call):
    scenario = simulate_a_failure()
    Path("corpus").mkdir()
    (scenario / "capsule.yaml").rename("corpus/weak.yaml")
    code, said = call("campaign", "tiny.yaml", "--jobs", 1)
    assert code == FAIL
    assert [c["verdict"] for c in the_summary()[0]["corpus"]] == ["fail"]
    assert "corpus: weak.yaml" in said


def test_scenario_files_are_kept_too_and_those_found_are_of_the_campaigns_that_come_along(call):
    found = corpus.read(_folders(find("ci")))
    assert set(found) >= {path.name for path in FOUND.glob("*.yaml")} > set()
    Path("corpus").mkdir()
    Path("corpus/mended.yaml").write_text((FOUND / "own-standstill.yaml").read_text())
    assert call("campaign", "tiny.yaml", "--jobs", 1)[0] == PASS
    assert [(c["capsule"], c["verdict"]) for c in the_summary()[0]["corpus"]] == [("mended.yaml", "pass")]
    Path("corpus/mended.yaml").write_text("name: neither\n")
    code, said = call("campaign", "tiny.yaml")
    assert code == BAD_INPUT
    assert "corpus/mended.yaml" in said


def simulate_a_failure():
    """A run directory of a scenario whose expectation is not met."""
    scenario = draw(parse(QUIET), 1).model_copy(update={"expect": (Expectation.model_validate("requests == 0"),)})
    ran = simulate(scenario, 1)
    folder = Path("failed")
    folder.mkdir()
    RunDir(folder).write(Record(scenario, "sim", 1, ran.history, ran.judged, 0.1), latest=False)
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("campaign", "nowhere.yaml"), "there is no such file"),
        (("campaign", "tiny.yaml", "--shard", "3/2"), "expected a shard such as 2/5"),
        (("campaign", "tiny.yaml", "--time", "3"), "expected a duration"),
        (("campaign", "tiny.yaml", "--time", "0s"), "expected more than 0s"),
        (("campaign", "tiny.yaml", "--corpus", "nope"), "'nope' does not exist"),
        (("campaign", "tiny.yaml", "--corpus", "tiny.yaml"), "'tiny.yaml' is a file"),
        (("campaign", "tiny.yaml", "--resume"), "there is no campaign to resume"),
    ],
)
def test_bad_input_is_named(call, words, message):
    code, said = call(*words)
    assert code == BAD_INPUT
    assert message in said


def test_campaigns_of_one_second_each_get_a_folder_and_the_newest_is_resumed(call, monkeypatch):
    monkeypatch.setattr(command, "stamp", lambda: "20261124T163408Z")
    for _ in range(11):
        command._begun(parse(QUIET), Path("runs/campaigns"), Shard(), 1)
    command._begun(parse(QUIET), Path("runs/campaigns"), Shard(1, 2), 1)
    Path("runs/campaigns/tiny/20261124T163409Z").mkdir()  # another's, which has not begun yet
    code, said = call("campaign", "tiny.yaml", "--jobs", 1, "--resume")
    assert code == PASS, said
    assert [page.parent.name for page in Path().glob("runs/campaigns/tiny/*/campaign.md")] == ["20261124T163408Z-11"]


def test_campaigns_begun_at_once_in_several_processes_each_get_a_folder(tmp_path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        made = list(processes.map(fresh, [tmp_path / "tiny"] * 40, ["20261124T163408Z"] * 40))
    assert len(set(made)) == 40
    assert all(path.is_dir() for path in made)


def test_a_campaign_that_cannot_begin_leaves_nothing_behind(call):
    Path("corpus").mkdir()
    Path("corpus/bad.yaml").write_text("name: neither\n")
    assert call("campaign", "tiny.yaml")[0] == BAD_INPUT
    assert not Path("runs").exists()


NEITHER = "expected a mapping with scenario, seed, mode (a capsule), or name, description, duration (a scenario)"


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        ("", 1, NEITHER),
        ("# nothing\n", 1, NEITHER),
        ("- a\n- b\n", 1, NEITHER),
        ("words", 1, NEITHER),
        ("a: [1\nb: }", 2, "not YAML: "),
        ('{"scenario": ', 1, "not YAML: "),
        ("scenario:\n\tname: x\n", 2, "not YAML: "),
        ("a: 1\n---\nb: 2\n", 2, "not YAML: expected a single document"),
        ("scenario: !!python/object:os.system {}\n", 1, "not YAML: could not determine a constructor"),
        ("scenario: &a [*a]\n", 1, "an alias that contains itself"),
        ("scenario: 1\nscenario: 2\n", 2, "'scenario' is given twice"),
        (bytes(range(256)), 0, "cannot be read as UTF-8 text"),
        ("é".encode("latin1"), 0, "cannot be read as UTF-8 text"),
        ("# " + "x" * 1_000_000, 0, "expected a file of at most 1000000 bytes"),
        (Path.mkdir, 0, "expected a file, not a directory"),
        (lambda path: path.symlink_to("nowhere"), 0, "there is no such file"),
        ("scenario:\nseed: 1\n", 1, "not a capsule: scenario: expected a mapping, not None"),
        ("name: x\nduration: 3\n", 2, "duration: expected a duration with a unit"),
    ],
)
def test_what_cannot_be_kept_is_told_with_its_line(call, content, line, message):
    """Each class of file that is neither capsule nor scenario."""
    Path("corpus").mkdir()
    told_of = Path("corpus/bad.yaml")
    if callable(content):
        content(told_of)
    else:
        told_of.write_bytes(content if isinstance(content, bytes) else content.encode())
    code, said = call("campaign", "tiny.yaml")
    assert code == BAD_INPUT
    at = f"corpus/bad.yaml:{line}: " if line else "corpus/bad.yaml: "
    assert any(row.startswith(at) and message in row for row in said.splitlines()), said
    assert "Traceback" not in said
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (r"^seed: 1$", "seed: x", ["not a capsule: seed: expected a whole number, not 'x'"]),
        (r"^seed: 1$", "seed: -1", ["not a capsule: seed: expected at least 0, not -1"]),
        (r"^seed: 1$", "sede: 1", ["unknown key 'sede' (did you mean 'seed'?)", "not a capsule: 'seed' is missing"]),
        (r"^mode: sim$", "mode: dream", ["not a capsule: mode: expected 'sim' or 'real', not 'dream'"]),
        (r"^  duration: .*$", "  duration: 6", ["scenario.duration: expected a duration with a unit"]),
        (r"^  - requests == 0$", "  - request == 0", ["there is no metric 'request' (did you mean 'requests'?)"]),
        (r"^    inject: .*$", "    inject: explode", ["unknown fault 'explode' for "]),
        (r"^    at: .*$", "    at: 100s", ["at 100s, after the run's end"]),
    ],
)
def test_all_that_is_wrong_with_a_capsule_is_told_with_its_line(call, old, new, messages):
    text = (simulate_a_failure() / "capsule.yaml").read_text()
    broken = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert broken != text
    Path("corpus").mkdir()
    Path("corpus/bad.yaml").write_text(broken)
    code, said = call("campaign", "tiny.yaml")
    assert code == BAD_INPUT
    line = broken.splitlines().index(new) + 1
    assert f"corpus/bad.yaml:{line}: " in said
    assert all(message in said for message in messages), said
    assert len(said.splitlines()) == len(messages)


def test_two_that_are_kept_under_one_name_are_both_replayed(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "it.yml").write_text((FOUND / "own-standstill.yaml").read_text())
    kept = corpus.read([tmp_path / "a", tmp_path / "b"])
    assert list(kept) == ["it.yml", str(tmp_path / "b" / "it.yml")]


def test_a_changed_campaign_is_not_resumed(call):
    assert call("campaign", "tiny.yaml", "--jobs", 1, "--seeds", 20)[0] == PASS
    Path("tiny.yaml").write_text(QUIET.replace("rate: 4/s..8/s", "rate: 4/s..9/s"))
    code, said = call("campaign", "tiny.yaml", "--resume")
    assert code == BAD_INPUT
    assert "has changed since" in said
