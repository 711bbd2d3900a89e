"""A replay as its user meets it: in a terminal, where no engine is installed; and a whole talk from a trace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spectui.cli.script_file import script_of
from spectui.protocol import commands as cmd
from spectui.protocol.events import Inspected, Likely, Notice, RoundFinished, Step, TokenVerdict
from spectui.protocol.playback import Playhead, StateReplaced
from spectui.sources.cursor import NOT_ASKED
from spectui.sources.replay import Replay
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace
from spectui.ui.app import SpecTUIApp
from spectui.ui.offscreen import HandClock
from spectui.ui.widgets.timeline_bar import TimelineBar
from tests.sources.test_replay import FAILSAFE_S, playing
from tests.support.rig import Rig, running
from tests.support.terminal import PtySession
from tests.test_rooms import HEAVY
from tests.trace.making import file_of, folded, made_run

ROOT = Path(__file__).parents[2]
DEMOS = ROOT / "demos"
END = "\x1b[F"


def test_a_trace_plays_in_a_terminal_without_an_engine(tmp_path: Path) -> None:
    for name in HEAVY:
        (tmp_path / "without" / name).mkdir(parents=True)
        (tmp_path / "without" / name / "__init__.py").write_text("raise ImportError('not installed here')")
    trace = file_of(tmp_path / "run.jsonl", made_run(7))
    env = {"PYTHONPATH": f"{tmp_path / 'without'}:{ROOT}", "SPECTUI_LOG_DIR": str(tmp_path / "logs")}
    argv = [sys.executable, "-m", "spectui", "replay", trace, "--at", "20", "--theme", "stage"]
    with PtySession(argv, cols=120, rows=36, env=env) as session:
        session.wait_for("paused 1x")
        before = session.wait_for(lambda rows: any("#" in row for row in rows))
        session.send(".")
        session.wait_for(lambda rows: rows != before)
        session.send(" ")
        session.wait_for("replay 1x")
        session.send(END)
        session.wait_for("end    1x")
        session.send("q")
        assert session.wait_exit() == 0
        assert session.modes_restored()


async def test_a_talk_from_a_trace_waits_for_the_rounds_that_it_began() -> None:
    given = script_of(str(DEMOS / "talk.toml"), on_screen=True)
    assert given is not None
    clocks: list[HandClock] = []
    trace = Trace.open(DEMOS / "traces" / "coding.jsonl")
    source = Replay(Timeline(trace), now=lambda: clocks[0].now() if clocks else 0.0)

    def scheduler() -> HandClock:
        clocks.append(HandClock())
        return clocks[0]

    app = SpecTUIApp(source, scheduler=scheduler, talk=given)
    async with app.run_test(size=(120, 36)) as pilot:
        rig = Rig(app, source, pilot, clocks[0])  # type: ignore[arg-type]
        assert app.talking is not None
        player, seen = app.talking.player, dict[str, tuple[int | None, bool]]()
        scenes = [scene.caption for scene in given.scenes if not scene.live]
        while player.caption != scenes[-1]:
            await rig.until(lambda: player.caption not in ("", *seen))
            seen[player.caption] = (rig.view.round, rig.view.round_over)
        assert list(seen) == scenes
        assert seen[scenes[4]] == (0, True), "the round that was raced again is over, and is the one that was begun"
        await pilot.press("enter")
        await rig.settle(lambda: player.over)
    assert source.stop(FAILSAFE_S)


def test_what_was_looked_at_while_it_was_recorded_can_be_looked_at_again(tmp_path: Path) -> None:
    events = made_run(7)
    step = next(event for event in events if isinstance(event, Step) and event.drafted)
    place = TokenVerdict(step.drafted[0], step.drafted_text[0], 0.5, 1, (Likely(1, "x", 0.5),))
    looked = Inspected(step.lane, step.slot, step.index, (place,))
    end = next(place for place, event in enumerate(events) if isinstance(event, RoundFinished))
    with playing(file_of(tmp_path / "run.jsonl", [*events[:end], looked, *events[end:]]), loop=True) as (source, sink):
        sink.wait_until(lambda state: state.playhead is not None and state.playhead.known == 1.0)
        source.send(cmd.Pause())
        source.send(cmd.SeekTo(0))
        source.send(cmd.NextPrompt(1))
        sink.wait_until(lambda state: state.round == 0 and state.playhead is not None and state.playhead.paused)
        source.send(cmd.Inspect(step.lane, step.slot, step.index, 0, ()))
        sink.wait_until(lambda state: state.inspected == looked)
        source.send(cmd.NextPrompt(1))
        source.send(cmd.Inspect(step.lane, step.slot, step.index, 0, ()))
        sink.wait_until(lambda state: state.inspected is not None and state.inspected.why == NOT_ASKED)


async def test_dragging_along_the_timeline_goes_along() -> None:
    async with running((120, 36)) as rig:
        rig.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=1.0))
        rig.app.redraw_all()
        await rig.settle()
        bar = rig.app.screen.query_one(TimelineBar)
        await rig.pilot.mouse_down(bar, offset=(20, 0))
        for x in (30, 30, 40):
            await rig.pilot.hover(bar, offset=(x, 0))
        await rig.pilot.mouse_up(bar, offset=(40, 0))
        await rig.pilot.hover(bar, offset=(50, 0))
        await rig.settle()
        shares = [command.share for command in rig.source.commands if isinstance(command, cmd.SeekTo)]
        assert len(shares) == 3
        assert shares == sorted(shares)


async def test_a_request_that_the_new_round_does_not_have_is_left() -> None:
    async with running((120, 36), concurrency=3) as rig:
        rig.app.choices.slot = 2
        rig.app.reduce(StateReplaced(folded(made_run(3, rounds=1, slots=1))))
        assert rig.app.choices.slot == 0


@pytest.mark.parametrize("key", ["home", "end"])
async def test_home_and_end_are_those_of_the_trace(key: str) -> None:
    async with running((120, 36)) as rig:
        rig.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=1.0))
        await rig.press(key)
        assert rig.source.commands[-1] == cmd.SeekTo(key == "end")


async def test_a_run_that_died_can_be_looked_through_all_the_same() -> None:
    async with running((120, 36)) as rig:
        rig.source.accepts = Replay.accepts
        rig.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=1.0, paused=True))
        rig.app.reduce(Notice("the engine thread died: out of memory", level="error"))
        before = len(rig.source.commands)
        await rig.press("space", "full_stop", "comma", "n")
        assert rig.source.commands[before:] == [cmd.Resume(), cmd.StepOnce(), cmd.StepBack(), cmd.NextPrompt(1)]
