"""A benchmark of the lanes of a race: what it tells, how it ends, and that the race begins anew."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from spectui.cli.main import build_parser
from spectui.protocol import commands as cmd
from spectui.protocol.benching import BenchEnded, BenchLane, BenchPlace, BenchTurn
from spectui.protocol.events import (
    KChanged,
    LaneStage,
    Notice,
    Prompt,
    RoundFinished,
    RoundStarted,
    Sampling,
    Step,
)
from spectui.setup.config import host_config
from spectui.sources.vllm import loading
from spectui.sources.vllm.bench_line import bench_line
from spectui.sources.vllm.config import Chat, HostConfig
from spectui.sources.vllm.host import EngineHost
from spectui.sources.vllm.lane_spec import at_k, lane_infos, parse_lane_spec
from spectui.sources.vllm.live_bench import MOST_CATEGORIES, REPETITIONS, TOKENS, LiveBench, screen_matrix
from tests.bench.test_measuring import MS, DraftingLane
from tests.sources.test_synthetic import FAILSAFE_S, Collector
from tests.support.fake_lanes import FakeLane, fake_engine, fake_host

pytestmark = pytest.mark.unit

LANES = ("ar", "ngram:k=3")
CATEGORIES = ("a", "b", "c")


def host_of(monkeypatch: pytest.MonkeyPatch, *specs: str, **options: Any) -> EngineHost:
    """A host of lanes that keep three drafts of a step, and whose wall time is their own."""
    host = fake_host(monkeypatch, *(specs or LANES), **options)
    monkeypatch.setattr(loading, "Lane", DraftingLane)

    def clocks() -> int:
        return sum(lane.clock_ns for lane in FakeLane.made)

    monkeypatch.setattr("spectui.sources.vllm.bench_piece.awake_ns", clocks)
    return host


def told(host: EngineHost, *commands: cmd.Command, until: Callable[[Collector], None]) -> Collector:
    """What a host says to commands that are followed once its lanes are ready, up to some moment."""
    sink = Collector()
    for command in commands:
        host.send(command)
    host.start(sink)
    until(sink)
    assert host.stop(FAILSAFE_S)
    return sink


def next_round(sink: Collector) -> None:
    sink.wait_for_kind(RoundFinished)


def states(sink: Collector) -> list[Any]:
    return sink.of(BenchTurn)


def test_every_lane_is_measured_and_the_race_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(monkeypatch)
    sink = told(host, cmd.SetK("ngram", 1), cmd.SetConcurrency(2), cmd.StartBench(), until=next_round)
    (ended,) = sink.of(BenchEnded)
    assert isinstance(ended, BenchEnded)
    last = ended.last
    assert (ended.why, ended.fault, last.place, last.pieces) == ("done", "", None, last.of_pieces)
    assert last.lanes == (BenchLane("ar", "AR", 0, True), BenchLane("ngram", "n-gram", 1))
    assert (last.categories, last.concurrencies, last.tokens) == (CATEGORIES, (2,), TOKENS)
    # 64 tokens take AR 64 steps of 8 ms, and 32 steps of 11 ms at K = 1; two requests share them.
    whole = {cell.lane: cell for cell in last.cells if cell.category is None}
    assert whole["ar"].tok_s == pytest.approx(128 / 0.512)
    assert whole["ngram"].speed_up == pytest.approx(512 / 352)
    assert whole["ngram"].length == 2
    assert {cell.repetitions for cell in last.cells if cell.category is not None} == {REPETITIONS}
    assert ended.command == "spectui bench --lane ar --lane ngram:k=1 --concurrency 2"
    after = sink.events[sink.events.index(ended) :]
    assert sum(isinstance(event, RoundStarted) for event in after) == 1
    assert not [event for event in states(sink) if sink.events.index(event) > sink.events.index(ended)]


def test_a_benchmark_is_no_step_and_on_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = told(host_of(monkeypatch), cmd.StartBench(), until=next_round)
    (ended,) = sink.of(BenchEnded)
    begun = sink.events.index(states(sink)[0])
    during = sink.events[begun : sink.events.index(ended)]
    assert not [event for event in during if not isinstance(event, BenchTurn)]
    first: dict[str, int] = {}
    for step in sink.of(Step):
        assert isinstance(step, Step)
        first.setdefault(step.lane, step.clock_ns)
    assert first == {"ar": 8 * MS, "ngram": 13 * MS}


def test_every_piece_is_announced_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = told(host_of(monkeypatch), cmd.StartBench(), until=next_round)
    places = [state.place for state in states(sink)]
    assert places[:4] == [
        BenchPlace("ngram", 1, "a", 0),
        BenchPlace("ar", 1, "a", 0),
        BenchPlace("ar", 1, "a", 1),
        BenchPlace("ngram", 1, "a", 1),
    ]
    first = states(sink)[3]
    assert [(c.lane, c.category, c.repetitions, c.tok_s) for c in first.cells] == [("ar", "a", 0, pytest.approx(125))]
    assert len(places) == len(set(places)) == 2 + 2 * REPETITIONS * len(CATEGORIES)
    assert [state.pieces for state in states(sink)[2:]] == list(range(len(places) - 2))


def test_what_is_finished_is_kept_when_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(monkeypatch)
    step = LiveBench.step

    def stopping(bench: LiveBench) -> BenchTurn | None:
        state = step(bench)
        if state is not None and state.pieces == 9:
            host.send(cmd.StopBench())
        return state

    monkeypatch.setattr(LiveBench, "step", stopping)
    sink = told(host, cmd.StartBench(), until=next_round)
    (ended,) = sink.of(BenchEnded)
    assert isinstance(ended, BenchEnded)
    assert (ended.why, ended.last.place) == ("cancelled", None)
    assert {c.category: c.repetitions for c in ended.last.cells} == {None: 4, "a": 3, "b": 1}
    assert not sink.of(KChanged)
    assert not sink.of(LaneStage)[-1].detail  # type: ignore[attr-defined]


@pytest.mark.parametrize("after", [0, 3, 70, 140])
def test_a_lane_that_dies_ends_it_and_the_others_race_on(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(monkeypatch, *LANES, "ngram:k=5", troubles={("ngram", "step"): after})
    sink = told(host, cmd.StartBench(), until=next_round)
    (ended,) = sink.of(BenchEnded)
    assert isinstance(ended, BenchEnded)
    assert (ended.why, ended.fault) == ("failed", "n-gram has failed")
    assert bool(ended.last.cells) == (after >= 70)
    assert ("ngram", "failed") in [(s.lane, s.stage) for s in sink.of(LaneStage)]  # type: ignore[attr-defined]
    assert {step.lane for step in sink.of(Step)} == {"ar", "ngram-2"}  # type: ignore[attr-defined]


def test_other_commands_wait_for_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = (cmd.StartBench(), cmd.Tune("ngram"), cmd.StopTuning(), cmd.StartBench(), cmd.StopBench())
    sink = told(host_of(monkeypatch), *commands, until=next_round)
    busy = "a benchmark is running: Esc stops it and keeps what is finished"
    # Whether a lane is tuned can be said at any time.
    said = [notice.text for notice in sink.of(Notice) if "loading" not in notice.text]  # type: ignore[attr-defined]
    assert said == [busy, "no lane is being tuned", busy]
    assert sink.of(BenchEnded)[0].last.cells == ()  # type: ignore[attr-defined]


def test_there_may_be_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    host = host_of(monkeypatch, prompts=[Prompt("x" * 480)])
    sink = told(host, cmd.StartBench(), until=next_round)
    assert not sink.of(BenchEnded)
    assert "nothing to measure: no prompt of the set is short enough" in [n.text for n in sink.of(Notice)]  # type: ignore[attr-defined]


def lanes(monkeypatch: pytest.MonkeyPatch, *specs: str) -> list[Any]:
    fake_engine(monkeypatch, {})
    parsed = [parse_lane_spec(spec) for spec in specs]
    return [DraftingLane(i, s, "fake", {}) for i, s in zip(lane_infos(parsed), parsed, strict=True)]


def test_many_categories_are_thinned_evenly_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"c{number}" for number in range(30)]
    matrix, thinned = screen_matrix(lanes(monkeypatch, *LANES), names, requests=1, sampling=Sampling(stop=("x",)))
    assert len(matrix.blocks) == MOST_CATEGORIES
    assert (matrix.blocks[0].category, matrix.blocks[-1].category) == ("c0", "c29")
    assert thinned == "12 of the prompt set's 30 categories"
    assert (matrix.sampling.stop, matrix.sampling.ignore_eos) == ((), True)


def test_time_left_is_estimated_from_the_pieces_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    made = lanes(monkeypatch, *LANES)
    matrix, _ = screen_matrix(made, ["a", "b"], requests=1, sampling=Sampling())

    def clock() -> int:
        return int(sum(lane.clock_ns for lane in made))

    bench = LiveBench(made, matrix, {"a": [[1]], "b": [[1]]}, now_ns=clock)
    found: list[BenchTurn] = [bench.turn()]
    while bench.stepped is not None:
        if (state := bench.step()) is not None:
            found.append(state)
    assert [state.left_s for state in found[:3]] == [None] * 3
    # A piece takes AR 64 x 8 ms, and n-gram 16 x 13 ms.
    ar, ngram = 0.512, 0.208
    assert found[3].left_s == pytest.approx(5 * ar + 6 * ar), "n-gram is not known yet"
    assert found[4].left_s == pytest.approx(5 * ar + 5 * ngram)
    assert found[-1].left_s == 0
    warm_up = 16 * 0.008 + 4 * 0.013
    assert found[-1].spent_s == pytest.approx(6 * ar + 6 * ngram + warm_up)


@pytest.mark.parametrize(
    ("spec", "k", "typed"),
    [
        ("ar", 0, "ar"),
        ("ngram:k=5,max=4,min=2", 3, "ngram:max=4,min=2,k=3"),
        ("ngram", 2, "ngram:k=2"),
        ("ngram:k=5,start=2", 4, "ngram:k=4"),
        ("ngram:num_speculative_tokens=5", 0, "ngram:k=5,start=0"),
        ('dflash:model="a,b",k=7', 3, 'dflash:model="a,b",k=3'),
    ],
)
def test_a_lane_can_be_typed_at_any_k(spec: str, k: int, typed: str) -> None:
    parsed = parse_lane_spec(spec)
    assert at_k(parsed, k) == typed
    again = parse_lane_spec(typed)
    assert (again.k_max if again.k_start is None else again.k_start) == k
    assert again.options == parsed.options


def test_the_command_has_what_the_run_was_asked_for() -> None:
    spec = parse_lane_spec("ngram")
    config = HostConfig(
        target="m",
        find_target=lambda report: "m",
        specs=[spec],
        prompts=[Prompt("p")],
        model="org/model",
        chat=Chat("Be brief.", {"enable_thinking": False}),
        asked_args={"dtype": "float32", "max_model_len": 4096, "revision": "1"},
        prompt_words=("--prompts", "my prompts.txt"),
    )
    said = bench_line(config, [(spec, 2)], 4, Sampling(temperature=0.7, seed=0, top_k=20))
    assert said == (
        "spectui bench --model org/model --lane ngram:k=2 --prompts 'my prompts.txt' --concurrency 4 "
        "--system 'Be brief.' --chat-template-arg enable_thinking=false --temperature 0.7 --top-k 20 "
        "--engine-arg dtype=float32 --engine-arg max_model_len=4096 --engine-arg 'revision=\"1\"'"
    )


def test_the_command_is_one_that_the_command_line_takes() -> None:
    spec = parse_lane_spec("ngram:k=5")
    chat, asked = Chat("Be brief.", {"enable_thinking": False}), {"max_model_len": 4096, "revision": "1"}
    config = HostConfig(
        "m", lambda report: "m", [spec], [], chat=chat, asked_args=asked, prompt_words=("--category", "qa")
    )
    for k in (0, 3):
        said = bench_line(config, [(spec, k)], 4, Sampling(temperature=0.5, top_p=0.9, seed=7))
        options = build_parser("bench").parse_args(shlex.split(said)[1:])
        assert options.lane == [at_k(spec, k)]
        assert (options.category, options.system) == ("qa", "Be brief.")
        assert (options.temperature, options.top_p, options.seed) == (0.5, 0.9, 7)
        assert dict(options.engine_arg) == asked
        assert dict(options.chat_template_arg) == chat.arguments
        assert tuple(options.concurrency) == (4,)


def test_the_options_that_chose_the_prompts_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "my prompts.txt"
    file.write_text("One.\nTwo.\n")

    def words(*options: str) -> Sequence[str]:
        return host_config(build_parser("run").parse_args(["run", *options]), gpu=False, installed=False).prompt_words

    assert words() == []
    assert words("--category", "math") == ["--category", "math"]
    assert words("--prompt", "Why?") == ["--prompt", "Why?"]
    assert words("--prompts", str(file)) == ["--prompts", str(file)]
