"""Every source says which commands it follows: these it follows, and any other it answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from spectui.cli.shot import indexed
from spectui.protocol import commands as cmd
from spectui.protocol.events import Inspected, Notice
from spectui.protocol.source import Source
from spectui.sources.manual_replay import ManualReplay
from spectui.sources.recording import Recorded
from spectui.sources.replay import Replay
from spectui.sources.synthetic.source import Pace, SyntheticSource
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace
from tests.sources.test_replay import Watcher
from tests.sources.test_synthetic import FAILSAFE_S
from tests.support.fake_lanes import fake_host
from tests.trace.making import file_of, made_run

EXAMPLES: dict[type[cmd.Command], cmd.Command] = {
    type(command): command
    for command in (
        cmd.SetPrompt("a prompt"),
        cmd.NextPrompt(),
        cmd.NextCategory(),
        cmd.Restart(),
        cmd.Fork(0, "ngram", 0, 0, 0),
        cmd.ToParent(),
        cmd.Abort(),
        cmd.Pause(),
        cmd.Resume(),
        cmd.StepOnce(),
        cmd.StepBack(),
        cmd.Seek(0.1),
        cmd.SeekTo(0.0),
        cmd.ChangeSpeed(1),
        cmd.SetSpeed(2.0),
        cmd.SetK("ngram", 1),
        cmd.Inspect("ngram", 0, 0, 0, (1,)),
        cmd.SetConcurrency(2),
        cmd.SetTemperature(0.0),
        cmd.Tune("ngram"),
        cmd.StopTuning(),
        cmd.StartBench(),
        cmd.StopBench(),
        cmd.Record(),
        cmd.Shutdown(),
    )
}
REFUSALS = (
    "a live race cannot do that",
    "a synthetic race cannot do that",
    "this is a replay: no engine to ask",
)
Make = Callable[[pytest.MonkeyPatch, Path], Source]


def replay(_: pytest.MonkeyPatch, trace: Path) -> Source:
    return Replay(Timeline(Trace.open(trace)))


def synthetic(_: pytest.MonkeyPatch, __: Path) -> Source:
    return SyntheticSource(pace=Pace())


SOURCES: dict[str, Make] = {
    "live": lambda patch, _: fake_host(patch, "ar", "ngram:k=3", "mtp:k=2"),
    "synthetic": synthetic,
    "replay": replay,
    "recorded": lambda patch, trace: Recorded(synthetic(patch, trace), None, lambda: trace.with_name("new.jsonl")),
}


def test_there_is_an_example_of_every_command() -> None:
    assert set(EXAMPLES) == set(get_args(cmd.Command))


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_what_a_source_accepts_it_follows_and_the_rest_it_answers(
    name: str, kind: type[cmd.Command], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sink = SOURCES[name](monkeypatch, file_of(tmp_path / "run.jsonl", made_run(0))), Watcher()
    source.start(sink)
    source.send(EXAMPLES[kind])
    if kind in source.accepts:
        # Behind it the source still answers, unless it has ended.
        source.send(cmd.Inspect("nobody", 0, 0, 0, ()))
        if kind is not cmd.Shutdown:
            sink.wait_for(lambda events: any(isinstance(e, Inspected | Notice) for e in events))
    else:
        sink.wait_for(lambda events: any(isinstance(e, Notice) and e.text in REFUSALS for e in events))
    assert source.stop(FAILSAFE_S)
    refused = [event for event in sink.of(Notice) if event.text in REFUSALS]  # type: ignore[attr-defined]
    assert len(refused) == (kind not in source.accepts)


def test_a_picture_shows_the_keys_of_a_replay_and_answers_what_it_does_not_follow(tmp_path: Path) -> None:
    replay, sink = ManualReplay(indexed(Trace.open(file_of(tmp_path / "run.jsonl", made_run(0))))), Watcher()
    assert replay.accepts == Replay.accepts
    replay.start(sink)
    replay.send(cmd.Shutdown())
    assert not sink.of(Notice)
    replay.send(cmd.Resume())
    assert len(sink.of(Notice)) == 1
