"""`tune` and `calibrate` from the command line to what they print, on lanes whose figures are known beforehand."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from spectui.bench import baseline, calibrate, tune, workload
from spectui.bench.harness import Sample
from spectui.bench.workload import Work, race_once, tapped_once, untapped_once
from spectui.cli import main as cli
from spectui.core.rates import percentile
from spectui.protocol.events import Event, Prompt, RequestFinished, Step
from spectui.setup import config
from spectui.sources.vllm import loading, untapped
from spectui.sources.vllm.lane_spec import lane_infos, parse_lane_spec
from spectui.telemetry import sampler
from spectui.telemetry.host import Host
from tests.support.drafting_lane import DraftingLane
from tests.support.fake_lanes import FakeLane, fake_engine

MS = 1_000_000
NAMED = {name: f"{name}\x1b]0;title\x07\x1b[2J\x9b\x7f" for name in ("category", "machine")}


class TwinLane(DraftingLane):
    """An engine as vLLM runs it by default: its AR takes 5 ms for a step, and drafting saves it one."""

    scheduling = "asynchronous"

    def __init__(self, *words: Any, every_k: bool = False) -> None:
        super().__init__(*words)
        TwinLane.made_for.append((self.spec.method, self.info.k_max, every_k))

    made_for: ClassVar[list[tuple[str, int, bool]]] = []

    def step_ns(self) -> int:
        return super().step_ns() - (1 if self.info.k_max else 3) * MS


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_engine(monkeypatch, {})
    monkeypatch.setattr(loading, "Lane", DraftingLane)
    monkeypatch.setattr(TwinLane, "made_for", [])
    for module in (untapped, baseline):
        monkeypatch.setattr(module, "UntappedLane", TwinLane)
    monkeypatch.setattr(config, "_demo_target", lambda report: "fake")
    # The memory's peak would be measured for seconds.
    monkeypatch.setattr(sampler, "open_readers", lambda cache: sampler.Readers(Host(), None, None))
    for command in (tune, calibrate):
        monkeypatch.setattr(command, "apply_or_reexec", lambda gpu: None)


def lane(text: str) -> Any:
    spec = parse_lane_spec(text)
    return DraftingLane(lane_infos([spec])[0], spec, "fake", {})


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert cli.main(words) == code
    return capsys.readouterr().out


TUNE = ("tune", "--lane", "ngram:k=4")


def test_tune_finds_the_fastest_k_and_prints_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, *TUNE)
    best, _, ar, *rows = out.splitlines()
    assert best.startswith("ngram:k=4, 1 request in flight: best K = 3, 2.46 times AR (")
    assert ar.split() == ["AR", "125.0"]
    assert [row.split()[:2] for row in rows[:5]] == [["-", "0"], ["-", "1"], ["-", "2"], ["*", "3"], ["-", "4"]]
    assert rows[3].split()[2] == "307.7"
    (line,) = re.findall(r"^vllm serve .*", out, re.M)
    assert json.loads(re.search(r"--speculative-config '(.*?)'", line)[1])["num_speculative_tokens"] == 3  # type: ignore[index]


def test_tune_for_machines_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(printed(capsys, *TUNE, "--json", "--check", "--concurrency", "1,2"))
    assert result["failed"] == []
    assert [(one["requests"], one["best"], one["running"]) for one in result["searches"]] == [(1, 3, [3]), (2, 3, [3])]
    for one in result["searches"]:
        assert one["check"]["best"] == 3
        assert one["check"]["shortfall"] == 0
        figures = {figure["k"]: figure for figure in one["figures"]}
        assert figures[3]["over_ar"] == pytest.approx(32 / 8 * 8 / 13)
        assert one["check"]["tok_s"]["3"] == pytest.approx(one["requests"] * 4 / 0.013)
    assert list(result["serve"]) == ["ngram"]


def test_tune_says_what_kind_of_prompts_a_search_was_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [Prompt(str(number), category) for number in range(6) for category in ("math", NAMED["category"])]
    monkeypatch.setattr(config, "_prompts", lambda options, chat: prompts)
    out = printed(capsys, *TUNE, "--by-category")
    headings = re.findall(r"^ngram:k=4, (.*?1 request) in flight: best K = 3", out, re.M)
    assert headings == [
        "1 request",
        "math prompts, 1 request",
        "category\\x1b]0;title\\x07\\x1b[2J\\x9b\\x7f prompts, 1 request",
    ]
    as_json = printed(capsys, *TUNE, "--by-category", "--json")
    for text in (out, as_json):
        assert all(char == "\n" or " " <= char < "\x7f" or char > "\x9f" for char in text)
    assert json.loads(as_json)["searches"][2]["category"] == NAMED["category"]


def test_a_lane_that_is_right_at_k_max_only_is_not_searched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class FragileLane(DraftingLane):
        def step(self) -> list[Event]:
            self._token = 7 if self.k == self.info.k_max else 99
            return super().step()

    monkeypatch.setattr(loading, "Lane", FragileLane)
    assert cli.main([*TUNE]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("spectui tune: cannot tune n-gram: K stays 4: with fewer drafts its text diverged from AR's")


def test_a_lane_that_dies_is_named_and_the_others_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLane, "troubles", {("ngram", "step"): 3})
    assert cli.main([*TUNE, "--lane", "suffix:k=4", "--no-self-test"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("suffix:k=4, 1 request in flight: best K = 3")
    assert re.search(r"^spectui tune: n-gram failed: its engine died: step was told to fail \(details in ", err, re.M)
    assert DraftingLane.closed[:1] == ["ngram"]


def test_ar_that_dies_beside_a_search_is_the_one_that_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLane, "troubles", {("ar", "step"): 3})
    assert cli.main([*TUNE, "--lane", "suffix:k=4", "--no-self-test"]) == 1
    out, err = capsys.readouterr()
    assert re.search(r"^spectui tune: AR beside n-gram failed: its engine died: step was told to fail \(", err, re.M)
    # The next search goes on without it.
    assert out.startswith("suffix:k=4, 1 request in flight: best K = 3")
    assert "\n    AR " not in out
    assert sorted(DraftingLane.closed) == ["ar", "ngram", "suffix"]


def test_ctrl_c_prints_what_is_known(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    stepping, steps = DraftingLane.step, iter(range(10**6))

    def step(self: DraftingLane) -> list[Event]:
        if next(steps) == 700:
            raise KeyboardInterrupt
        return stepping(self)

    monkeypatch.setattr(DraftingLane, "step", step)
    assert "best K = 3" in printed(capsys, *TUNE, code=cli.INTERRUPTED)


def test_tune_on_engines_without_the_tap_finds_their_k(capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(capsys, *TUNE, "--async")
    best, how, _, ar, *rows = out.splitlines()
    assert best.startswith("ngram:k=4, 1 request in flight: best K = 3, 1.67 times AR (")
    assert how == "     on engines without the tap; vLLM's default: asynchronous scheduling"
    assert ar.split() == ["AR", "200.0"]
    assert rows[3].split()[2] == "333.3"
    assert TwinLane.made_for == [("ar", 0, True), ("ngram", 4, True)]
    assert "synchronous scheduling (" not in out
    assert "synchronous scheduling (the tap needs it)" in printed(capsys, *TUNE)
    # Another K may be the best for the tapped lanes of a race.
    result = json.loads(printed(capsys, *TUNE, "--async", "--json"))
    assert [(one["remembered"], one["scheduling"]) for one in result["searches"]] == [
        (False, {"ngram": "asynchronous", "ar": "asynchronous"})
    ]


CALIBRATE = ("calibrate", "--lane", "ar", "--lane", "ngram:k=3", "--repetitions", "2")


def test_calibrate_measures_and_prints(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "environment", lambda: ENVIRONMENT)
    out = printed(capsys, *CALIBRATE, "--only", "tap,race,telemetry")
    assert "machine   machine\\x1b]0;title\\x07\\x1b[2J\\x9b\\x7f, load average at start 0.50" in out
    sections = re.findall(r"^\((\w)\)", out, re.M)
    assert sections == ["a", "c", "e", "f"]
    # A lane's clock is the same in the race and alone.
    race = re.search(r"^\(c\).*?\n(.*?)\n\n    tok/s alone\n(.*?)\n\n", out, re.M | re.S)
    assert race is not None
    assert [line.split() for line in race[1].splitlines()] == [
        ["ar", "1.000", "(", "1.000", "to", "1.000)"],
        ["ngram", "1.000", "(", "1.000", "to", "1.000)"],
    ]
    assert [line.split()[:2] for line in race[2].splitlines()] == [["ar", "125.0"], ["ngram", "307.7"]]
    own = re.search(r"^\(e\).*?\n(.*?)\n\n", out, re.M | re.S)
    assert own is not None
    assert [line.split() for line in own[1].splitlines()] == [["ar", "0.99%"], ["ngram", "0.99%"]]
    assert re.search(r"\(f\) .*\n    all lanes +1\.000 ", out)
    assert out.endswith("no repetition was disturbed\n")


def test_calibrate_for_machines_says_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "environment", lambda: ENVIRONMENT)
    out = printed(capsys, *CALIBRATE, "--only", "race", "--json")
    result = json.loads(out)
    assert set(map(chr, range(0x20, 0x7F))) | {"\n"} >= set(out)
    assert result["environment"]["machine"] == NAMED["machine"]
    assert result["race"]["tok_s"]["ngram"] == pytest.approx(
        {"median": 4 / 0.013, "low": 4 / 0.013, "high": 4 / 0.013, "count": 8}
    )
    assert result["own_share"] == pytest.approx({"ar": 1 / 101, "ngram": 1 / 101})
    assert "tap" not in result


def test_calibrate_says_what_synchronous_scheduling_does_to_a_speed_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "environment", lambda: ENVIRONMENT)
    words = (*CALIBRATE, "--lane", "suffix:k=5,start=0", "--only", "async")
    found = re.search(r"^\(g\) .*?\n(.*?)\n\n", printed(capsys, *words), re.M | re.S)
    assert found is not None
    assert [line.split("(")[0].split() for line in found[1].splitlines()] == [
        ["ar", "0.625"],
        ["ngram", "0.923"],
        ["suffix", "0.933"],
        ["speed-up", "over", "AR"],
        ["ngram", "K=3"],
        ["tapped", "2.46"],
        ["default", "1.67"],
        ["suffix", "K=5"],
        ["tapped", "2.13"],
        ["default", "1.43"],
        ["vLLM's", "default:", "asynchronous", "scheduling"],
    ]
    # A twin has its lane's K for good, as a server has.
    assert TwinLane.made_for == [("ar", 0, False), ("ngram", 3, False), ("suffix", 5, False)]


def test_a_twin_that_does_not_fit_leaves_what_was_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*words: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(calibrate, "environment", lambda: ENVIRONMENT)
    monkeypatch.setattr(baseline, "UntappedLane", no_room)
    assert cli.main([*CALIBRATE, "--only", "race,async"]) == 1
    out, err = capsys.readouterr()
    assert re.findall(r"^\((\w)\)", out, re.M) == ["c", "e"]
    assert re.search(r"^spectui calibrate: AR failed: not enough memory for this lane: .* \(details in ", err, re.M)


ENVIRONMENT = {"machine": NAMED["machine"], "versions": {}, "settings": {}, "load_average": 0.5, "demo_dtype": "x"}


def test_a_part_that_there_is_not_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["calibrate", "--only", "race,speed"]) == 2
    assert capsys.readouterr().err == (
        "spectui calibrate: --only speed: no such part; choose from tap,screen,race,telemetry,async\n"
    )


WORK = Work((Prompt("one"), Prompt("two")))


def test_a_race_is_measured_by_the_lanes_clocks() -> None:
    lanes = [lane("ar"), lane("ngram:k=3")]
    lanes[0].clock_ns = 5 * MS
    samples = race_once(lanes, WORK, 32)
    assert samples == {"ar": Sample(64, 32 * 0.008), "ngram": Sample(64, 8 * 0.013)}
    assert samples["ngram"].rate == pytest.approx(64 / 0.104)


def test_tap_and_no_tap_are_measured_by_the_same_clock_on_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = [1_000, 1_256]
    for step_ms in (16, 1_064):
        # 32 steps, and a look that there is no other; what lies between two steps is no part of them.
        moments += [moment for number in range(33) for moment in (2_000 * number, 2_000 * number + step_ms)]
    said = iter(moments)
    monkeypatch.setattr(workload, "time", SimpleNamespace(perf_counter_ns=lambda: next(said) * MS))
    seen: list[Event] = []
    one = lane("ngram:k=3")
    assert tapped_once(one, WORK, 32, seen.append) == Sample(64, 0.256)
    assert {type(event) for event in seen} == {Step, RequestFinished}
    assert not one.running
    assert untapped_once(one, WORK, 32) == Sample(64, 0.512)
    assert untapped_once(one, WORK, 32) == Sample(64, 34.048, disturbed=True)


def test_percentiles_are_the_nearest_rank() -> None:
    assert percentile(range(100), 0.5) == 50
    assert percentile(range(100), 0.99) == 99
    assert percentile([], 0.5) is None
