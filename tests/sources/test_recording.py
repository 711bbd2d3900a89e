"""A run that is recorded from its start, or from any moment with what is in memory."""

from __future__ import annotations

import threading
from io import StringIO
from pathlib import Path
from typing import get_args

import pytest

from spectui.cli.headless import run_headless
from spectui.core.state import RunState
from spectui.errors import UsageError
from spectui.protocol import commands as cmd
from spectui.protocol.events import (
    Gap,
    KChanged,
    LaneEngine,
    LaneStage,
    Notice,
    RoundFinished,
    RoundStarted,
    RunStarted,
    Step,
    TuneEnded,
    TuneTurn,
)
from spectui.protocol.mailbox import Mailbox
from spectui.protocol.playback import PlaybackMarks, Playhead, Recording, ScreenEvent, StateReplaced
from spectui.sources.lane_time import LaneClock
from spectui.sources.recording import Memory, Recorded, trace_name, writable_trace
from spectui.sources.synthetic.source import SyntheticSource
from spectui.trace.reader import Trace
from spectui.trace.writer import Recorder
from tests.sources.test_synthetic import FAILSAFE_S, FAST, Collector, run
from tests.trace.making import folded, picture


def read(path: Path) -> RunState:
    return folded(event for _, event in Trace.open(path))


def test_a_recording_from_the_start_holds_the_whole_run(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sink = Collector()
    source = Recorded(SyntheticSource(pace=FAST), path, lambda: path)
    source.start(sink)
    sink.wait_for_kind(Recording)
    sink.wait_for_kind(RoundFinished)
    assert source.stop(FAILSAFE_S)
    seen = [event for event in sink.events if not isinstance(event, Recording)]
    assert picture(read(path)) == picture(folded(seen))


def test_what_waits_for_the_screen_is_known_through_a_recording(tmp_path: Path) -> None:
    sink = Mailbox()
    source = Recorded(SyntheticSource(pace=FAST), None, lambda: tmp_path / "run.jsonl")
    source.start(sink)
    assert source.stop(FAILSAFE_S)
    assert len(source) == len(sink) > 0


def test_what_only_the_screen_hears_is_no_part_of_a_recording(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sink = Collector()
    source = Recorded(SyntheticSource(pace=FAST), path, lambda: path)
    source.start(sink)
    sink.wait_for_kind(Recording)
    for event in (Playhead(1, 2, 3, 4, 1.0, 1.0), PlaybackMarks((), (), (), (), ()), StateReplaced(RunState())):
        source.emit(event)
    sink.wait_for_kind(RoundFinished)
    assert source.stop(FAILSAFE_S)
    assert [event for _, event in Trace.open(path)] == [
        event for event in sink.events if not isinstance(event, get_args(ScreenEvent))
    ]


def test_a_recording_that_begins_later_begins_with_what_was(tmp_path: Path) -> None:
    path = tmp_path / "later.jsonl"
    sink = Collector()
    source = Recorded(SyntheticSource(pace=FAST), None, lambda: path)
    source.start(sink)
    sink.wait_for_kind(RoundFinished)
    assert not path.exists()
    source.send(cmd.Record())
    source.send(cmd.NextPrompt())
    sink.wait_for_kind(RoundFinished, 2)
    source.send(cmd.Record())
    sink.wait_for(lambda events: any(isinstance(e, Notice) and "spectui replay" in e.text for e in events))
    assert [event.path for event in sink.of(Recording)] == [str(path), None]
    assert source.stop(FAILSAFE_S)
    seen = [event for event in sink.events if not isinstance(event, Recording | Notice)]
    assert picture(read(path)) == picture(folded(seen))


def test_a_file_that_cannot_be_written_is_said_once_and_the_race_goes_on(tmp_path: Path) -> None:
    sink = Collector()
    source = Recorded(SyntheticSource(pace=FAST), tmp_path / "no folder" / "x.jsonl", lambda: tmp_path / "x")
    source.start(sink)
    sink.wait_for_kind(RoundFinished)
    sink.wait_for_kind(Notice)
    assert source.stop(FAILSAFE_S)
    (notice,) = sink.of(Notice)
    assert isinstance(notice, Notice)
    assert "no folder" in notice.text
    assert [event.path for event in sink.of(Recording)][-1] is None  # type: ignore[attr-defined]


def test_memory_is_bounded_and_keeps_what_a_trace_needs() -> None:
    events = run()
    memory = Memory(most=50)
    for stamp, event in enumerate(events):
        memory.add(stamp, event)
    kept = [event for _, event in memory.events()]
    assert isinstance(kept[0], RunStarted)
    assert sum(isinstance(event, RoundStarted) for event in kept) == 1
    assert {event.lane for event in kept if isinstance(event, LaneStage)} == {"ar", "mtp", "dflash"}
    (gap,) = (event for event in kept if isinstance(event, Gap))
    standing = len(kept) - 51
    assert gap.lost + standing + 50 + sum(isinstance(e, LaneStage) for e in events) - 3 == len(events)
    assert kept[-50:] == events[-50:]
    stamps = [stamp for stamp, _ in memory.events()]
    assert stamps == sorted(stamps)


def test_a_trace_that_begins_in_the_middle_knows_where_k_comes_from() -> None:
    """The end of the search is forgotten by then; the change of K is not."""
    ended = TuneEnded("mtp", "same", TuneTurn("mtp", 1, 3, (1,), 1, (), 9, 60))
    begun, *rest = run()
    memory = Memory(most=50)
    for stamp, event in enumerate([begun, KChanged("mtp", 1, "tuned"), ended, *rest]):
        memory.add(stamp, event)
    kept = [event for _, event in memory.events()]
    assert ended not in kept
    assert [(lane.k, lane.k_source) for lane in folded(kept).lanes.values() if lane.info.name == "mtp"] == [
        (1, "tuned")
    ]


def test_a_trace_that_begins_in_the_middle_knows_how_engines_compute() -> None:
    memory = Memory(most=50)
    for stamp, event in enumerate(run()):
        memory.add(stamp, event)
    kept = [event for _, event in memory.events()]
    assert [event.lane for event in kept if isinstance(event, LaneEngine)] == ["ar", "mtp", "dflash"]
    assert all(lane.engine is not None for lane in folded(kept).lanes.values())


def test_a_trace_that_begins_in_the_middle_counts_from_there() -> None:
    events = run()
    memory = Memory(most=50)
    for stamp, event in enumerate(events):
        memory.add(stamp, event)
    kept = [event for _, event in memory.events()]
    state, whole = folded(kept), folded(events)
    assert state.lost > 0
    clock, times = LaneClock(), list[int]()
    for event in kept:
        times.append(clock.see(event))
    assert times[len(kept) - 51] == 0, "nothing has been raced before the first step that is kept"
    for name, lane in state.lanes.items():
        assert lane.clock_ns == whole.lanes[name].clock_ns
        steps = [event for event in kept if isinstance(event, Step) and event.lane == name]
        own_ns = {step.clock_ns: step.wall_ns for step in steps}
        assert lane.run.elapsed_ns == lane.round.elapsed_ns == sum(own_ns.values())
        assert lane.run.totals.emitted == lane.round.totals.emitted == sum(len(step.emitted) for step in steps)
        for request in lane.round.requests.values():
            assert request.comparison is None, "ids that are missing must not look like another path"
        assert sum(len(r.ids) for r in lane.round.requests.values()) == lane.run.totals.emitted
    assert state.divergences == 0


def test_a_recording_that_failed_is_known_after_the_end() -> None:
    source = Recorded(SyntheticSource(pace=FAST), Path("/dev/full"), trace_name)
    run_headless(source, 1, StringIO(), as_json=False)
    assert "No space left on device" in source.fault


def test_a_new_recording_never_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda form: "spectui-now")
    assert [trace_name().name for _ in range(3)] == ["spectui-now.jsonl", "spectui-now-2.jsonl", "spectui-now-3.jsonl"]
    monkeypatch.chdir("/proc")
    assert trace_name().name == "spectui-now.jsonl"


def test_a_short_run_is_in_memory_as_a_whole() -> None:
    events = run()
    memory = Memory()
    for stamp, event in enumerate(events):
        memory.add(stamp, event)
    assert [event for _, event in memory.events()] == events
    assert any(isinstance(event, Step) for event in events)


def test_record_is_checked_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--record .*nowhere.*: No such file or directory"):
        writable_trace(tmp_path / "nowhere" / "x")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    for new in (tmp_path / "x", tmp_path / "link"):
        assert writable_trace(new) == new
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link"]
    (tmp_path / "kept").write_text("a trace")
    writable_trace(tmp_path / "kept")
    assert (tmp_path / "kept").read_text() == "a trace"


def test_who_presses_the_key_does_not_wait_for_the_disk(tmp_path: Path) -> None:
    disk = threading.Event()

    def slow() -> Path:
        assert disk.wait(FAILSAFE_S)
        return tmp_path / "slow.jsonl"

    sink = Collector()
    source = Recorded(SyntheticSource(pace=FAST), None, slow)
    source.start(sink)
    for _ in range(2):
        source.send(cmd.Record())
    source.send(cmd.NextPrompt())
    sink.wait_for_kind(RoundFinished, 2)
    assert not sink.of(Recording)
    disk.set()
    assert source.stop(FAILSAFE_S)
    assert [event.path for event in sink.of(Recording)] == [str(tmp_path / "slow.jsonl"), None]  # type: ignore[attr-defined]


def test_a_recording_that_fails_late_leaves_a_newer_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    sink = Collector()
    source = Recorded(SyntheticSource(pace=FAST), None, lambda: path)
    source.start(sink)
    sink.wait_for_kind(RoundFinished)
    source.send(cmd.Record())
    sink.wait_for_kind(Recording)
    source._failed(Recorder(tmp_path / "older.jsonl", lambda fault: None), "the disk is full")
    source.send(cmd.NextPrompt())
    sink.wait_for_kind(RoundFinished, 2)
    assert source.stop(FAILSAFE_S)
    assert sum(isinstance(event, RoundFinished) for _, event in Trace.open(path)) == 2
