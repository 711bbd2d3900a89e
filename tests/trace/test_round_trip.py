"""A run that was recorded while it ran ends, replayed, in the very state in which it ended live."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.core.views import Viewer
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticLane, demo_lanes
from spectui.sources.synthetic.source import Pace, SyntheticSource
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace
from spectui.trace.writer import Recorder
from tests.trace.making import FAILSAFE_S, Collector, folded, picture


def no_fault(sentence: str) -> None:
    raise AssertionError(sentence)


def lanes_of(seed: int) -> tuple[SyntheticLane, ...]:
    """Now and then a lane diverges, fails while loading or fails in the race."""
    ar, mtp, dflash = demo_lanes()
    return (
        ar,
        SyntheticLane(mtp.info, accept=(0.6, 0.5), draft_ms=9.8, diverges_at=30 if seed % 3 == 0 else None),
        SyntheticLane(
            dflash.info,
            accept=dflash.accept,
            fails_at="loading" if seed % 11 == 0 else None,
            fails_after=40 if seed % 7 == 0 else None,
        ),
    )


def recorded(seed: int, path: Path) -> list[ev.Event]:
    """Race with commands in between and a recorder beside; the events as they were seen live."""
    recorder = Recorder(path, no_fault)
    recorder.start()
    sink = Collector(recorder)
    sampling = ev.Sampling(
        max_tokens=16 + seed // 2, temperature=0.7 if seed % 5 == 0 else 0.0, ignore_eos=seed % 2 == 0
    )
    source = SyntheticSource(
        lanes_of(seed), seed=seed, pace=Pace(), sampling=sampling, concurrency=1 + seed % 3, rounds=1 + seed % 2
    )
    source.send(cmd.SetK("mtp", seed % 3))
    source.send(cmd.SetK("mtp", 99))
    source.start(sink)
    sink.wait()
    assert source.stop(FAILSAFE_S)
    assert recorder.close(FAILSAFE_S)
    return sink.events


@pytest.mark.parametrize("seed", range(50))
def test_a_recorded_run_ends_as_it_ended_live(seed: int, tmp_path: Path) -> None:
    events = recorded(seed, tmp_path / "run.jsonl")
    trace = Trace.open(tmp_path / "run.jsonl")
    replayed = [event for _, event in trace]
    assert replayed == events
    assert (trace.problems.count, trace.problems.unknown) == (0, 0)
    live, again = folded(events), folded(replayed)
    assert picture(again) == picture(live)
    assert picture(Viewer(again).read()) == picture(Viewer(live).read())
    timeline = Timeline(trace)
    timeline.start()
    assert timeline.wait(FAILSAFE_S)
    assert picture(timeline.state_at(timeline.known)) == picture(live)
