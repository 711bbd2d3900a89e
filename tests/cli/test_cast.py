"""A cast is what a terminal shows of the replay, at the times at which it shows it, and the same bytes each time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spectui.cli.cast import FRAME_S, LAST_S
from spectui.cli.main import main
from spectui.cli.shot import indexed
from spectui.protocol.events import RoundFinished, RoundStarted, Step
from spectui.sources.cursor import ROUND_GAP_S
from spectui.sources.manual_replay import ManualReplay
from spectui.trace.reader import Trace
from tests.sources.test_replay import Watcher, known
from tests.support.emulator import Emulator
from tests.trace.making import file_of, folded, made_run

Frames = list[tuple[float, str, str]]


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return file_of(tmp_path / "run.jsonl", made_run(7, max_tokens=40, rounds=2))


def made(trace: Path, *options: str) -> tuple[dict[str, Any], Frames]:
    assert main(["cast", str(trace), "-o", "run.cast", *options]) == 0
    header, *frames = (json.loads(line) for line in Path("run.cast").read_text(encoding="utf-8").splitlines())
    return header, frames


def length_s(trace: Path, speed: float = 1.0) -> float:
    """Lane time, and a while for the end of each round; what is made here has more to say after the last one."""
    rounds = sum(isinstance(event, RoundFinished) for _, event in Trace.open(trace))
    assert rounds
    return indexed(Trace.open(trace)).lane_ns / 1e9 / speed + rounds * ROUND_GAP_S


def test_a_terminal_shows_the_race_and_how_it_ended(trace: Path) -> None:
    header, frames = made(trace, "--size", "120x36", "--theme", "stage")
    assert (header["version"], header["width"], header["height"]) == (2, 120, 36)
    terminal = Emulator(120, 36)
    seen = []
    for _, kind, data in frames:
        assert kind == "o"
        terminal.feed(data.encode())
        seen.append("\n".join(terminal.rows()))
    assert all(name in seen[0] for name in ("1 AR", "2 MTP", "3 DFlash", "synthetic"))
    assert "replay 1x" in seen[len(seen) // 2]
    assert not any("paused" in text or "lag" in text for text in seen[:-1])
    assert terminal.modes_restored()
    main(["shot", str(trace), "-o", "end.txt", "--size", "120x36"])
    # The first row and the timeline say that a picture stands still.
    panes = slice(4, 20)
    assert terminal.rows()[panes] == Path("end.txt").read_text().splitlines()[panes]


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_it_takes_as_long_as_the_replay(trace: Path, speed: float) -> None:
    _, frames = made(trace, f"--speed={speed}", "--size=80x24")
    times = [at_s for at_s, _, _ in frames]
    assert times == sorted(times)
    # What changes slowly is drawn for another second.
    assert times[-1] == pytest.approx(length_s(trace, speed) + 1.0 + LAST_S, abs=0.2)


@pytest.mark.slow
def test_the_same_trace_gives_the_same_bytes_whatever_the_machine_says(trace: Path) -> None:
    made(trace)
    first = Path("run.cast").read_bytes()
    for more in ({"NO_COLOR": "1", "TERM": "dumb"}, {"FORCE_COLOR": "1", "TERM": "xterm", "PYTHONHASHSEED": "7"}):
        command = [sys.executable, "-m", "spectui", "cast", str(trace)]
        subprocess.run(command, env={**os.environ, **more}, check=True, capture_output=True)
        assert Path("run.cast").read_bytes() == first


def test_a_manual_replay_plays_every_event_and_holds_the_end_of_a_round(trace: Path) -> None:
    replay, sink = ManualReplay(indexed(Trace.open(trace)), paused=False), Watcher()
    replay.start(sink)
    frames = 0
    while not replay.ended:
        replay.advance(FRAME_S)
        frames += 1
    events = [event for _, event in Trace.open(trace)]
    assert known(sink.state) == known(folded(events))
    assert frames * FRAME_S == pytest.approx(length_s(trace), abs=0.2)
    kinds = [type(event) for event in sink.events]
    assert kinds.index(RoundStarted) < kinds.index(Step)


def test_what_is_not_possible_is_one_line(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, code, said in [
        (["-o", "x.gif"], 2, "the name must end in .cast"),
        (["--theme", "midnigt"], 2, "midnight"),
        (["-o", "run.jsonl/x.cast"], 1, "cannot be written"),
    ]:
        assert main(["cast", str(trace), *words]) == code
        [line] = capsys.readouterr().err.splitlines()
        assert said in line
