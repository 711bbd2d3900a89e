"""`bench` from the command line to its results, on lanes whose figures are known beforehand."""

from __future__ import annotations

import errno
import json
import os
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.bench import lossless
from spectui.bench.matrix import command, running
from spectui.bench.matrix.journal import Journal, open_journal
from spectui.bench.matrix.preparing import digest_of
from spectui.bench.matrix.smoke import few_seats, seats
from spectui.bench.matrix.surroundings import variables_of_user
from spectui.cli import main as cli
from spectui.core.bench.codec import read_results
from spectui.core.bench.results import Results
from spectui.errors import RunError
from spectui.protocol.events import Event, RequestStarted, RoundStarted, RunStarted, Step
from spectui.runtime.threads import EngineEnvironment
from spectui.setup import config
from spectui.setup.prompt_sets import benchmark_set
from spectui.setup.session import EngineSession
from spectui.sources.vllm import loading, untapped
from spectui.sources.vllm.tuned_k import Best, TunedK
from spectui.trace.reader import Trace
from tests.support.benchmarks import made_up_matrix
from tests.support.drafting_lane import SpeakingLane
from tests.support.fake_lanes import FakeLane, fake_engine

pytestmark = pytest.mark.unit

BENCH = ("bench", "--lane", "ar", "--lane", "mtp:k=3,model=x", "--max-tokens", "32", "--category", "coding,math")
CELLS = [(c, category, v) for c in (1, 2) for category in ("coding", "math") for v in ("ar", "mtp K=3")]


class NoMeter:
    peak = 1e9

    def __init__(self, *words: Any, **more: Any) -> None: ...

    def energy_j(self) -> float | None:
        return None

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_engine(monkeypatch, {})
    monkeypatch.setattr(loading, "Lane", SpeakingLane)
    monkeypatch.setattr(config, "_demo_target", lambda report: "fake")
    monkeypatch.setattr(command, "apply_or_reexec", lambda gpu: EngineEnvironment(None, None, ()))
    monkeypatch.setattr(running, "DeviceMeter", NoMeter)
    monkeypatch.setattr(
        "spectui.sources.vllm.bench_piece.awake_ns", lambda: sum(lane.clock_ns for lane in SpeakingLane.made)
    )
    # The characters of a prompt are its tokens.
    monkeypatch.setattr("spectui.setup.config.MAX_MODEL_LEN", 65536)


def bench(*words: str, code: int = 0) -> None:
    assert cli.main([*BENCH, *words]) == code


def results(folder: Path) -> Results:
    return read_results((folder / "results.json").read_bytes())


def cells(folder: Path) -> list[tuple[int, str | None, str]]:
    return [(cell.concurrency, cell.category, cell.variant.name) for cell in results(folder).cells]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "results"


def test_every_cell_is_in_the_results(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench("--concurrency", "1,2", "--out", str(folder))
    assert cells(folder) == CELLS
    found = results(folder)
    assert found.complete
    # 32 tokens: AR 32 x 8 ms; K = 3 in 8 steps of 13 ms.
    assert [round(c.figures.output_throughput or 0, 1) for c in found.cells[:2]] == [125.0, 307.7]
    assert all(c.figures.speedup == pytest.approx(256 / 104) for c in found.cells if c.variant.k)
    assert found.header.prompts.counts["coding"] >= 20
    one = [prompt for prompt in benchmark_set() if prompt.category == "math"]
    assert found.header.prompts.digests["math"] == digest_of(one)
    assert [note.k_source for note in found.header.lanes] == [None, "yours"]
    assert found.header.environment["set_by_user"] == variables_of_user(())
    out = capsys.readouterr().out
    assert "2.46x (2.46 to 2.46)" in out
    assert "\nlength: mean tokens per verification, the target's own included; rate: accepted / drafted\n" in out
    assert f"report: {folder / 'report.md'}" in out


def test_results_as_json_are_those_of_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench("--out", str(folder), "--json")
    assert json.loads(capsys.readouterr().out) == json.loads((folder / "results.json").read_bytes())


def test_every_k_is_a_column(folder: Path) -> None:
    bench("--k", "1..3", "--out", str(folder))
    assert [v.name for v in results(folder).matrix.variants] == ["ar", "mtp K=1", "mtp K=2", "mtp K=3"]
    speedups = {c.variant.name: c.figures.speedup for c in results(folder).cells if c.category == "math"}
    assert speedups["mtp K=1"] == pytest.approx(256 / 176)


def test_a_folder_with_results_is_not_touched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench("--out", str(folder))
    before = (folder / "journal.jsonl").read_bytes()
    bench("--out", str(folder), code=2)
    assert (
        f"{folder} already has results: continue with --resume {folder}, or choose another --out"
        in capsys.readouterr().err
    )
    assert (folder / "journal.jsonl").read_bytes() == before


@pytest.mark.parametrize("steps", [350, 500, 640])
def test_ctrl_c_keeps_what_is_done_and_resume_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    count = 0
    step = SpeakingLane.step

    def interrupted(lane: SpeakingLane) -> list[Event]:
        nonlocal count
        count += 1
        if count == steps:
            raise KeyboardInterrupt
        return step(lane)

    monkeypatch.setattr(SpeakingLane, "step", interrupted)
    monkeypatch.setattr("sys.argv", ["spectui", *BENCH, "--concurrency", "1,2", "--out", str(folder)])
    bench("--concurrency", "1,2", "--out", str(folder), code=cli.INTERRUPTED)
    done = cells(folder)
    assert done == CELLS[: len(done)]
    assert not results(folder).complete
    assert f"stopped; to continue: spectui bench --resume {folder}" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["spectui", "bench", "--resume", str(folder)])
    assert cli.main(["bench", "--resume", str(folder)]) == 0
    assert cells(folder) == CELLS
    assert results(folder).complete


def test_resume_takes_no_other_matrix(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench("--out", str(folder))
    assert cli.main(["bench", "--resume", str(folder), "--concurrency", "4"]) == 2
    assert "--concurrency cannot be changed with --resume" in capsys.readouterr().err
    assert cli.main(["bench", "--resume", str(folder / "nothing")]) == 2
    assert "has no journal.jsonl" in capsys.readouterr().err


@pytest.mark.parametrize("lost", ["mtp", "ar"])
def test_a_lane_that_dies_leaves_its_finished_cells_and_the_other_lanes(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(FakeLane, "troubles", {(lost, "step"): 150 if lost == "mtp" else 450})
    words = ("--no-self-test", "--concurrency", "1,2", "--out", str(folder))
    monkeypatch.setattr("sys.argv", ["spectui", *BENCH, *words])
    bench(*words, code=1)
    found, title = results(folder), {"ar": "AR", "mtp": "MTP"}[lost]
    kept = Counter(cell.variant.lane for cell in found.cells)
    assert 0 < kept[lost] < kept[{"ar": "mtp", "mtp": "ar"}[lost]] == 4
    assert not found.complete
    assert found.left_out[0].startswith(f"{title} failed: its engine died: step was told to fail")
    assert f"{title} failed: its engine died: step was told to fail" in capsys.readouterr().err
    assert FakeLane.closed[0] == lost
    compared = [cell.figures.speedup is not None for cell in found.cells if cell.variant.k]
    assert compared == [True] * kept[lost] + [False] * (kept["mtp"] - kept[lost])
    # What is missing is measured with all lanes.
    monkeypatch.setattr(FakeLane, "troubles", {})
    monkeypatch.setattr("sys.argv", ["spectui", "bench", "--resume", str(folder)])
    assert cli.main(["bench", "--resume", str(folder)]) == 0
    assert cells(folder) == CELLS
    found = results(folder)
    assert found.complete
    assert found.left_out == ()
    assert all(cell.figures.speedup == pytest.approx(256 / 104) for cell in found.cells if cell.variant.k)


def test_the_last_lane_that_dies_ends_it(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLane, "troubles", {("ar", "step"): 450, ("mtp", "step"): 150})
    bench("--no-self-test", "--concurrency", "1,2", "--out", str(folder), code=1)
    assert 0 < len(cells(folder)) < len(CELLS)
    err = capfd.readouterr().err
    assert re.search("^AR failed: its engine died: .*; the other lanes go on$", err, re.M)
    assert "spectui bench: MTP failed: its engine died: step was told to fail" in err


def test_a_broken_answer_stops_it_before_anything_is_measured(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def rejecting(lane: SpeakingLane) -> list[Event]:
        lane.accepts = 0
        return SpeakingLane.plain_step(lane)

    monkeypatch.setattr(SpeakingLane, "plain_step", SpeakingLane.step, raising=False)
    monkeypatch.setattr(SpeakingLane, "step", rejecting)
    bench("--no-self-test", "--out", str(folder), code=1)
    err = capfd.readouterr().err
    assert "MTP looks broken: only 0 of " in err
    assert "The drafter was made for another model" in err
    assert not folder.exists()
    bench("--no-self-test", "--no-smoke", "--out", str(folder))
    assert results(folder).smoke["mtp"]["fault"].startswith("only 0 of ")


def test_a_budget_leaves_out_categories_evenly(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bench("--category", "coding,math,writing,qa,rag", "--budget", "4s", "--out", str(folder))
    found = results(folder)
    kept = list(dict.fromkeys(block.category for block in found.matrix.blocks))
    assert kept[0] == "coding"
    assert 0 < len(kept) < 5
    assert "left out to keep to the budget: the categories " in found.left_out[0]
    assert found.left_out[0] in capfd.readouterr().err


def test_prompts_that_are_longer_than_the_context_are_not_called_too_long_for_the_model(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench("--context", "8", "--out", str(folder), code=1)
    assert "--context 8: every prompt of category 'coding' is longer than that: use a larger" in capsys.readouterr().err


def test_padded_prompts_are_counted_by_themselves(folder: Path) -> None:
    bench("--context", "0,2048", "--requests", "2", "--out", str(folder))
    note = results(folder).header.prompts
    assert note.padded == {"coding": 6, "math": 6}
    assert min(note.counts.values()) >= 20
    assert "| padded prompts by category | coding 6, math 6 |" in (folder / "report.md").read_text(encoding="utf-8")


def test_recorded_cells_can_be_replayed(folder: Path) -> None:
    bench("--concurrency", "2", "--out", str(folder), "--record", "--requests", "3")
    paths = sorted((folder / "traces").iterdir())
    assert [path.name for path in paths] == [
        f"{category}-2-{variant}.jsonl" for category in ("coding", "math") for variant in ("ar", "mtp-K=3")
    ]
    for path in paths:
        events = [event for _, event in Trace.open(path)]
        kinds = Counter(type(event) for event in events)
        assert kinds[RunStarted] == kinds[RoundStarted] == 1
        assert kinds[RequestStarted] == 3
        steps = [event for event in events if isinstance(event, Step)]
        assert sum(len(step.emitted) for step in steps) == 96
        assert steps[0].clock_ns == steps[0].wall_ns
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "## Why drafts failed\n\n### MTP\n\n" in report
    assert "From 4 traces of first repetitions" in report


def test_natural_answers_take_every_prompt(folder: Path) -> None:
    bench("--protocol", "natural", "--out", str(folder))
    found = results(folder)
    for category, count in found.header.prompts.counts.items():
        own = [cell for cell in found.cells if cell.category == category]
        assert all(cell.figures.completed >= count for cell in own)


def test_engines_without_the_tap_can_be_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twin(SpeakingLane):
        def __init__(self, *words: Any, every_k: bool = False) -> None:
            super().__init__(*words)
            assert every_k

    monkeypatch.setattr(untapped, "UntappedLane", Twin)
    bench("--async", "--out", str(folder))
    assert results(folder).cells[0].figures.output_throughput == pytest.approx(125)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--repetitions", "2"), "--repetitions 2: take 3 or more"),
        (("--async", "--record"), "use only one of them"),
        (("--category", "codin"), "unknown category 'codin': did you mean 'coding'?"),
        (("--budget", "soon"), "'soon' is not a duration: use 90s, 30m or 2h"),
        (("--context", "-1"), "a context must have 0 to"),
        (("--k", "9-1"), "--k 9-1 is not valid"),
        (("--ignore-eos",), "--ignore-eos: --protocol fixed does that already: leave it out"),
        (("--ignore-eos", "--protocol", "natural"), "--protocol natural lets them end: use only one of them"),
        (
            ("--engine-arg", "max_num_seqs=2", "--concurrency", "1,4"),
            "--engine-arg max_num_seqs=2 keeps fewer requests in flight than --concurrency 4: raise it, or leave it",
        ),
        (("--prompt", "x", "--length", "long"), "--length chooses among the built-in prompts"),
        (("--resume", "x"), "--lane cannot be changed with --resume"),
    ],
)
def test_wrong_usage_says_what_and_what_else(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_code = 2
    try:
        with_code = cli.main([*BENCH, *words])
    except SystemExit as end:
        with_code = int(str(end.code))
    assert with_code == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ("--lane", "mtp:k=3,model=x", "--lossless"),
            "--lossless compares lanes with AR, and no lane is AR: add --lane",
        ),
        (("--lane", "ar", "--k", "abc"), "--k abc is not valid"),
    ],
)
def test_lanes_that_do_not_fit_the_options_are_refused_before_they_are_loaded(
    words: tuple[str, ...], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["bench", *words, "--out", str(folder)]) == 2
    assert says in capsys.readouterr().err
    assert not list(SpeakingLane.made)
    assert not folder.exists()


def test_a_file_in_place_of_the_folder_is_noticed_before_anything_is_loaded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.write_text("mine")
    bench("--out", str(folder), code=2)
    assert "it is a file; choose another folder" in capsys.readouterr().err
    assert not list(SpeakingLane.made)


def test_a_disk_that_is_full_is_no_fault_of_a_lane(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    add, full = Journal.add, OSError(errno.ENOSPC, "No space left on device", "journal.jsonl")

    def adding(journal: Journal, turn: Any) -> None:
        if len(journal.turns) == 4:
            raise full
        add(journal, turn)

    def writing(*words: Any, **more: Any) -> None:
        raise full

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", adding)
        patch.setattr(command, "write_reports", writing)
        bench("--out", str(folder), code=1)
    out, err = capsys.readouterr()
    assert "coding           ar" in out
    assert "not every cell is finished" in out
    assert "report:" not in out
    assert "failed" not in err
    assert "spectui bench: journal.jsonl: No space left on device\nspectui bench: stopped; to continue: spectui" in err
    assert "the report cannot be written: journal.jsonl: No space left on device\n" in err
    assert len(open_journal(folder).turns) == 4


def test_published_figures_are_read_once(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(resources.files("spectui.core.bench").joinpath("published.toml").read_bytes())
    begin = Journal.begin

    def beginning(journal: Journal) -> None:
        path.unlink()
        begin(journal)

    monkeypatch.setattr(Journal, "begin", beginning)
    bench("--out", str(folder), "--compare", str(path))
    assert "No published figures for" in capsys.readouterr().out


def test_engines_without_the_tap_need_room_too(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(session: EngineSession) -> None:
        raise RunError("the lanes do not fit")

    monkeypatch.setattr(EngineSession, "check_room", refused)
    bench("--async", "--out", str(folder), code=1)
    assert "the lanes do not fit" in capsys.readouterr().err
    assert not list(SpeakingLane.made)


def test_a_path_that_is_no_utf_8_can_be_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = tmp_path / os.fsdecode(b"caf\xe9.txt")
    prompts.write_text("Hello there\n")
    folder = tmp_path / "results"
    words = ["bench", "--lane", "ar", "--max-tokens", "8", "--prompts", str(prompts), "--out", str(folder)]
    monkeypatch.setattr("sys.argv", ["spectui", *words])
    assert cli.main(words) == 0
    assert "caf?.txt" in results(folder).header.arguments[5]
    assert cli.main(["bench", "--resume", str(folder)]) == 0
    assert results(folder).complete


def test_a_search_in_between_does_not_keep_a_benchmark_from_going_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[int] = []

    class Built(SpeakingLane):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words)
            built.append(self.spec.k_max)

    monkeypatch.setattr(loading, "Lane", Built)
    best = [Best(6, 8, None, "", "")]
    monkeypatch.setattr(TunedK, "best", lambda self, spec, requests: best[0])
    words = ["bench", "--lane", "ar", "--lane", "mtp:model=x", "--max-tokens", "8", "--category", "math"]
    monkeypatch.setattr("sys.argv", ["spectui", *words, "--out", str(folder)])
    assert cli.main([*words, "--out", str(folder)]) == 0
    assert [variant.k for variant in results(folder).matrix.variants] == [0, 6]
    (folder / "journal.jsonl").write_bytes((folder / "journal.jsonl").read_bytes().splitlines(keepends=True)[0])
    best[0] = Best(2, 2, None, "", "")
    assert cli.main(["bench", "--resume", str(folder)]) == 0
    assert results(folder).complete
    assert built == [0, 8, 0, 6]


def test_the_smoke_test_has_no_more_requests_in_flight_than_will_be(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: set[int] = set()
    step = SpeakingLane.step

    def counted(lane: SpeakingLane) -> list[Event]:
        running.add(len(lane._requests))
        return step(lane)

    monkeypatch.setattr(SpeakingLane, "step", counted)
    bench("--concurrency", "2", "--out", str(folder))
    assert {name: one["pace"]["together"] for name, one in results(folder).smoke.items()} == {"ar": 2, "mtp": 2}
    assert running == {1, 2}


def test_the_check_of_outputs_is_in_the_estimate_and_continued_where_it_stopped(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    answer_all = lossless.answer_all

    def answering(lane: Any, *words: Any, **more: Any) -> None:
        if asked.count("ar") == 1 and len(asked) == 1:
            raise KeyboardInterrupt
        asked.append(lane.info.name)
        answer_all(lane, *words, **more)

    monkeypatch.setattr(lossless, "answer_all", answering)
    words = ["bench", *BENCH[1:5], "--lossless", "--category", "math", "--requests", "1", "--budget", "1h"]
    monkeypatch.setattr("sys.argv", ["spectui", *words, "--out", str(folder)])
    assert cli.main([*words, "--out", str(folder)]) == cli.INTERRUPTED
    out, err = capfd.readouterr()
    assert "then --lossless: the greedy answers of 2 lanes, and AR's again, to " in err
    assert " prompts, at most 128 tokens each (more with --max-tokens): about " in err
    assert " more, which the budget does not count\n" in err
    assert "not finished: AR and MTP; continue with --resume" in out
    assert results(folder).complete
    asked.append("the first pass of AR is kept")
    assert cli.main(["bench", "--resume", str(folder)]) == 0
    assert asked == ["ar", "the first pass of AR is kept", "ar", "mtp"]
    found = results(folder).lossless
    assert found is not None
    assert (found["tokens"], [lane["partings"] for lane in found["lanes"]]) == (128, [[], []])


def test_a_lane_with_few_seats_says_so() -> None:
    lane: Any = SimpleNamespace(info=SimpleNamespace(method="diffusion", title="diffusion"))
    matrix = made_up_matrix(concurrencies=(1, 16))
    assert seats(lane, matrix) == 8
    assert few_seats(lane, matrix).startswith("diffusion never has more than 8 requests in flight")
    assert few_seats(lane, made_up_matrix()) == ""
