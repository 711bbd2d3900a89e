"""The measured program under a conductor's orders, with lanes whose figures are known.

The file runs itself as that program: ``python -m tests.bench.test_conducted`` is `spectui.bench.conducted` without an
engine.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spectui.bench import calibrate, children, conducted
from spectui.bench.children import Child, ChildFailedError
from spectui.bench.conducted import Stopwatch, obey
from spectui.bench.harness import Sample
from spectui.cli import main as cli
from spectui.errors import DONE
from spectui.protocol.commands import Restart
from spectui.protocol.events import KChanged, LaneStage, Notice, Prompt, RoundFinished, RoundStarted, Sampling, Step
from spectui.protocol.samples import HostSample, TelemetrySample
from spectui.setup import config
from spectui.sources.synthetic.source import SyntheticSource
from spectui.telemetry import source as telemetry
from spectui.ui.paint.frames import FrameFigures
from tests.support.fake_lanes import STEP_NS, fake_engine

ROOT = Path(__file__).parents[2]
FAILSAFE_S = 60.0
TOKENS = 16
LANES = ["--lane=ar", "--lane=ngram:k=3"]
ARGUMENTS = [*LANES, f"--max-tokens={TOKENS}", "--ignore-eos"]


@pytest.fixture(autouse=True)
def _program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(children, "PROGRAM", (sys.executable, "-m", "tests.bench.test_conducted"))


def answers(watch: Stopwatch, out: io.StringIO) -> list[object]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def step(lane: str, clock: int, tokens: int = 1, wall: int = 10) -> Step:
    return Step(lane, "0", 0, 0, 0, (), 0, (1,) * tokens, (), "bonus", None, ("x",) * tokens, (), 1, wall, clock)


BEGUN = RoundStarted(0, (Prompt("p"),), Sampling())


def test_a_round_is_timed_from_its_beginning_to_its_last_step(monkeypatch: pytest.MonkeyPatch) -> None:
    out, moments = io.StringIO(), iter((1_000, 1_100, 1_200, 1_300, 9_000, 9_500))
    monkeypatch.setattr(conducted, "time", _clock(lambda: next(moments)))
    watch = Stopwatch(out, screen=False)
    watch.expect()
    # What the lanes did before the round is on their clocks, and not the round's.
    for event in (BEGUN, step("ar", 510), step("ar", 530, wall=20), step("mtp", 70, 3), RoundFinished(0)):
        watch.emit(event)
    # Nobody asked for another one.
    for event in (BEGUN, step("ar", 540), RoundFinished(1)):
        watch.emit(event)
    first = {"lanes": {"ar": [2, 30], "mtp": [3, 10]}, "wall_ns": 300, "first_ns": {"ar": 1_100, "mtp": 1_300}}
    assert answers(watch, out) == [first | {"disturbed": False}]
    assert watch.step_ns == [10, 20, 10, 10]
    assert watch.drain() == []


@pytest.mark.parametrize(("cores", "disturbed"), [((0.0, 0.4), False), ((0.2, 0.4), True), ((), False)])
def test_a_round_beside_other_programs_is_disturbed(cores: tuple[float, ...], disturbed: bool) -> None:
    out = io.StringIO()
    watch = Stopwatch(out, screen=False)
    watch.expect()
    # What was before the round is none of its business.
    watch.emit(TelemetrySample(0, HostSample(foreign_cores=2.0)))
    watch.emit(BEGUN)
    for share in cores:
        watch.emit(TelemetrySample(1, HostSample(foreign_cores=share)))
    watch.emit(TelemetrySample(2, HostSample()))
    watch.emit(RoundFinished(0))
    (answer,) = answers(watch, out)
    assert isinstance(answer, dict)
    assert answer["disturbed"] is disturbed


def _clock(now: Callable[[], int]) -> object:
    return type("clock", (), {"monotonic_ns": staticmethod(now)})


@pytest.mark.parametrize(
    ("event", "answer"),
    [
        (LaneStage("ar", "loading"), {"stage": "lane ar (loading)"}),
        (LaneStage("ar", "ready"), {"ready": "ar"}),
        (LaneStage("ar", "failed", "no room"), {"failed": "lane ar failed: no room"}),
        (Notice("too long", refused=True), {"failed": "too long"}),
        (Notice("it died", level="error"), {"failed": "it died"}),
        (Notice("its engine died", "ar", "error"), None),
        (Notice("a word"), None),
    ],
    ids=repr,
)
def test_what_a_conductor_is_told(event: LaneStage | Notice, answer: object) -> None:
    out = io.StringIO()
    watch = Stopwatch(out, screen=True)
    watch.emit(event)
    assert answers(watch, out) == ([] if answer is None else [answer])
    assert watch.drain() == [event]


def test_orders_are_followed_and_figures_are_those_since_the_last() -> None:
    out, source = io.StringIO(), SyntheticSource()
    sent: list[object] = []
    source.send = sent.append  # type: ignore[method-assign, assignment]
    watch, figures, handled = Stopwatch(out, screen=True), FrameFigures(keep=None), [7]
    figures.lag_s.append(0.25)
    figures.frame_s.append(0.5)
    watch.emit(step("ar", 10))
    watch.emit(KChanged("mtp", 1))
    obey(io.StringIO("round\nfigures\nnonsense\nfigures\n"), source, watch, figures, handled)
    assert sent == [Restart()]
    first, second = answers(watch, out)
    assert isinstance(first, dict)
    assert len(first.pop("k_changed_ns")) == 1
    assert first == {"lag_s": [0.25], "frame_s": [0.5], "handled_ns": [7], "step_ns": [10]}
    assert second == {"lag_s": [], "frame_s": [], "handled_ns": [], "k_changed_ns": [], "step_ns": []}


def test_a_headless_program_races_on_orders() -> None:
    child = Child("headless", ARGUMENTS, len(LANES))
    try:
        seconds = TOKENS * STEP_NS / 1e9
        for _ in range(2):
            samples = child.samples()
            assert samples.pop("headless, wall clock").tokens == 2 * TOKENS
            assert samples == {
                "headless, lane clock": Sample(2 * TOKENS, 2 * seconds),
                "headless, ar": Sample(TOKENS, seconds),
                "headless, ngram": Sample(TOKENS, seconds),
            }
    finally:
        child.close()


def test_a_lane_that_fails_ends_the_program_with_its_sentence() -> None:
    with pytest.raises(ChildFailedError, match=r"the headless process: lane ngram failed: .*build was told to fail"):
        Child("headless", ARGUMENTS, len(LANES), {TROUBLE: "ngram"})


def test_a_program_with_a_screen_notes_when_a_key_was_handled() -> None:
    child = Child("screen", ARGUMENTS, len(LANES))
    try:
        assert child.race()["lanes"]["ar"] == [TOKENS, TOKENS * STEP_NS]
        until, pressed, handled = time.monotonic() + FAILSAFE_S, time.monotonic_ns(), list[int]()
        while not handled or child.first_frame_ns is None:
            # A key that comes before the terminal is the screen's own may be lost.
            child.press("w")
            child.race()
            handled += child.figures()["handled_ns"]
            assert time.monotonic() < until
        assert pressed < handled[0] < time.monotonic_ns()
        assert child.first_frame_ns > child.started_ns
    finally:
        child.close()


@pytest.mark.slow
def test_calibrate_holds_the_screen_against_headless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "apply_or_reexec", lambda gpu: None)
    monkeypatch.setattr(config, "_demo_target", lambda report: "fake")
    monkeypatch.setattr(calibrate, "TOKENS", TOKENS)
    assert cli.main(["calibrate", "--only", "screen", *LANES, "--repetitions", "1", "--json"]) == DONE
    screen = json.loads(capsys.readouterr().out)["screen"]
    exactly = {"median": 1.0, "low": 1.0, "high": 1.0, "count": 1}
    assert screen["ratios"].pop("wall clock")["count"] == 1
    assert screen["ratios"] == {"lane clock": exactly, "ar": exactly, "ngram": exactly}
    assert screen["startup"]["tokens_in_all_lanes_s"] > 0
    latency = screen["latency"]
    assert latency["step_ms"] == {"p50": STEP_NS / 1e6, "p99": STEP_NS / 1e6, "count": 2 * TOKENS}
    assert latency["keys_handled"] <= latency["keys_sent"] <= calibrate.KEYS


TROUBLE = "TEST_TROUBLE"
"""The lane that cannot be built."""

if __name__ == "__main__":
    import os

    patch = pytest.MonkeyPatch()
    fake_engine(patch, {(os.environ[TROUBLE], "build"): 0} if TROUBLE in os.environ else {})
    patch.setattr(conducted, "apply_or_reexec", lambda gpu: None)
    patch.setattr(config, "_demo_target", lambda report: "fake")
    patch.setattr(telemetry, "with_telemetry", lambda source: source)
    conducted.main()
