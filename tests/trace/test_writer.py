"""The recorder loses nothing silently, waits for nobody, and leaves a file that opens whatever happens to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from spectui import __version__
from spectui.protocol import events as ev
from spectui.trace import writer
from spectui.trace.reader import Trace
from spectui.trace.writer import FLUSH_S, Recorder
from tests.trace.making import FAILSAFE_S, Ticks, made_run

ROOT = Path(__file__).parents[2]


def no_fault(sentence: str) -> None:
    raise AssertionError(sentence)


def step(index: int) -> ev.Step:
    return ev.Step("ar", "0-0", 0, index, 0, (), 0, (1,), (), "bonus", None, ("a",), (), 1, 1_000, 1_000 * (index + 1))


def events_in(path: Path) -> list[ev.Event]:
    return [event for _, event in Trace.open(path)]


def test_everything_is_in_the_file_in_order_with_the_time_at_which_it_was_emitted(tmp_path: Path) -> None:
    events = made_run(1)
    clock = Ticks()
    recorder = Recorder(tmp_path / "run.jsonl", no_fault, now_ns=clock)
    recorder.start()
    for event in events:
        recorder.emit(event)
    assert recorder.recording
    assert recorder.close(FAILSAFE_S)
    assert not recorder.recording
    recorder.emit(ev.Notice("too late"))
    trace = Trace.open(recorder.path)
    assert trace.header.program == __version__
    assert trace.header.run == events[0]
    assert list(trace) == [(1_000_000 * (number + 1), event) for number, event in enumerate(events)]
    assert trace.problems.count == 0
    assert (recorder.written, recorder.lost) == (len(events), 0)


def test_a_recording_may_begin_with_what_was_before(tmp_path: Path) -> None:
    events = made_run(2)
    clock = Ticks()
    earlier = [(clock(), event) for event in events[:20]]
    recorder = Recorder(tmp_path / "run.jsonl", no_fault, earlier=earlier, now_ns=clock)
    recorder.start()
    for event in events[20:]:
        recorder.emit(event)
    assert recorder.close(FAILSAFE_S)
    assert list(Trace.open(recorder.path)) == [(1_000_000 * number, event) for number, event in enumerate(events)]


def test_a_recording_may_begin_in_the_middle(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl", no_fault)
    recorder.start()
    recorder.emit(step(3))
    recorder.emit(made_run(0)[0])
    assert recorder.close(FAILSAFE_S)
    trace = Trace.open(recorder.path)
    assert trace.header.run == made_run(0)[0]
    assert [type(event) for _, event in trace] == [ev.Step, ev.RunStarted]


def test_threads_may_emit_at_once(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl", no_fault)
    recorder.start()

    def emit(slot: int) -> None:
        for place in range(1_000):
            recorder.emit(ev.RequestFinished("ar", "r", slot, "eos", place))

    threads = [threading.Thread(target=emit, args=(slot,)) for slot in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(FAILSAFE_S)
    assert recorder.close(FAILSAFE_S)
    found = [event for event in events_in(recorder.path) if isinstance(event, ev.RequestFinished)]
    for slot in range(4):
        assert [event.emitted for event in found if event.slot == slot] == list(range(1_000))


def test_an_event_is_in_the_file_soon_though_nothing_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert FLUSH_S <= 0.5
    done = threading.Event()
    write = writer._write_fully

    def tell(file: int, data: bytes) -> None:
        write(file, data)
        done.set()

    monkeypatch.setattr(writer, "_write_fully", tell)
    recorder = Recorder(tmp_path / "run.jsonl", no_fault)
    recorder.start()
    recorder.emit(step(0))
    assert done.wait(FAILSAFE_S)
    assert events_in(recorder.path) == [step(0)]
    assert recorder.close(FAILSAFE_S)


def test_steps_that_find_no_room_leave_a_gap_where_they_were(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl", no_fault, capacity=4, now_ns=Ticks())
    for index in range(6):
        recorder.emit(step(index))
    recorder.emit(ev.RoundFinished(0))
    recorder.emit(step(6))
    for number in range(9):
        recorder.emit(ev.RoundFinished(number))
    assert recorder.lost > 0
    recorder.start()
    assert recorder.close(FAILSAFE_S)
    found = list(Trace.open(recorder.path))
    events = [event for _, event in found]
    assert events[:7] == [*map(step, range(4)), ev.Gap(2), ev.RoundFinished(0), ev.Gap(1)]
    assert events[-1] == ev.Gap(recorder.lost - 3)
    finished = [event for event in events if isinstance(event, ev.RoundFinished)]
    assert len(finished) + recorder.lost - 3 == 10
    times = [time_ns for time_ns, _ in found]
    assert times == sorted(times)
    assert times[4] == 6_000_000


def test_emitting_never_waits_for_a_disk_that_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    stuck = threading.Event()
    write = writer._write_fully

    def hold(file: int, data: bytes) -> None:
        stuck.set()
        assert go_on.wait(FAILSAFE_S)
        write(file, data)

    monkeypatch.setattr(writer, "_write_fully", hold)
    recorder = Recorder(tmp_path / "run.jsonl", no_fault, capacity=100, flush_s=0.001)
    recorder.start()
    recorder.emit(step(0))
    assert stuck.wait(FAILSAFE_S)
    for index in range(1, 1_000):
        recorder.emit(step(index))
    assert not recorder.close(0.0)
    go_on.set()
    assert recorder.close(FAILSAFE_S)
    assert events_in(recorder.path) == [*map(step, range(101)), ev.Gap(899)]
    assert recorder.lost == 899


def test_an_event_that_no_line_can_hold_leaves_a_gap(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "run.jsonl", no_fault)
    recorder.start()
    for event in (step(0), ev.Margin("ar", 0, 0, float("nan")), object(), step(1)):
        recorder.emit(event)  # type: ignore[arg-type]
    assert recorder.close(FAILSAFE_S)
    assert events_in(recorder.path) == [step(0), ev.Gap(1), ev.Gap(1), step(1)]
    assert recorder.lost == 2


@pytest.mark.parametrize(
    ("place", "said"),
    [("/dev/full", "No space left on device"), ("missing/run.jsonl", "No such file"), (".", "Is a directory")],
)
def test_a_file_that_cannot_be_written_is_said_once_and_the_race_goes_on(
    place: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sentences: list[str] = []
    faulty = threading.Event()

    def note(sentence: str) -> None:
        sentences.append(sentence)
        faulty.set()

    recorder = Recorder(Path(place), note, capacity=100, flush_s=0.001)
    recorder.start()
    recorder.emit(step(0))
    assert faulty.wait(FAILSAFE_S)
    for index in range(1_000):
        recorder.emit(step(index))
    assert not recorder.recording
    assert recorder.close(FAILSAFE_S)
    assert len(sentences) == 1
    assert said in sentences[0]
    assert place in sentences[0]


def test_a_disk_that_fills_up_leaves_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = writer._write_fully
    left = 2_000

    def fill(file: int, data: bytes) -> None:
        nonlocal left
        write(file, data[:left])
        left -= min(left, len(data))
        if not left:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(writer, "_write_fully", fill)
    sentences: list[str] = []
    recorder = Recorder(tmp_path / "run.jsonl", sentences.append, earlier=[(0, step(0)), (1, step(1))])
    recorder.start()
    for index in range(2, 500):
        recorder.emit(step(index))
    assert recorder.close(FAILSAFE_S)
    trace = Trace.open(recorder.path)
    found = [event for _, event in trace]
    assert found == [step(index) for index in range(len(found))]
    assert found
    assert trace.problems.count == 0
    assert len(sentences) == 1


KILLED = """
import sys
from pathlib import Path
from spectui.trace.writer import Recorder
from tests.trace.test_writer import no_fault, step

recorder = Recorder(Path(sys.argv[1]), no_fault)
recorder.start()
index, told = 0, False
while True:
    recorder.emit(step(index))
    index += 1
    if recorder.written >= 500 and not told:
        told = True
        print("recording", flush=True)
"""


def test_a_killed_process_leaves_a_file_that_opens_with_all_that_was_flushed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    child: subprocess.Popen[Any]
    command = [sys.executable, "-c", KILLED, path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "recording\n"
        finally:
            child.send_signal(signal.SIGKILL)
        child.wait(FAILSAFE_S)
    with path.open("ab") as file:
        file.write(b'{"t":99999999999999,"e":"St')
    trace = Trace.open(path)
    found = [event for _, event in trace]
    before_any_gap = found[: next((place for place, event in enumerate(found) if isinstance(event, ev.Gap)), None)]
    assert before_any_gap == [step(index) for index in range(len(before_any_gap))]
    assert len(before_any_gap) >= 500
    assert trace.problems.count == 0


def test_a_recorder_that_was_never_started_closes_at_once(tmp_path: Path) -> None:
    assert Recorder(tmp_path / "run.jsonl", no_fault).close(FAILSAFE_S)
