"""The key that shows why drafts fail: on a live race, on a replay, and before there is anything to show."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.events import LaneInfo, Paused, RunStarted, Sampling, Step
from spectui.sources.replay import Replay
from spectui.sources.synthetic.race import SyntheticLane
from spectui.sources.synthetic.source import Pace
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace
from spectui.ui.analyst import Analyst, Found
from spectui.ui.app import SpecTUIApp
from spectui.ui.offscreen import HandClock
from spectui.ui.screens.analysis import AGAIN_S, AnalysisScreen
from spectui.ui.screens.live import LiveScreen
from tests.support.analyses import analysis
from tests.support.rig import FAILSAFE_S, SIZES, Rig, running
from tests.trace.making import file_of, made_run

TRACES = Path(__file__).parents[2] / "demos" / "traces"
LONG = Sampling(max_tokens=400)
ENDLESS = Sampling(max_tokens=10**9, ignore_eos=True)
AR_ALONE = (SyntheticLane(LaneInfo("ar", "ar", "AR", 0, "ar")),)


def screen_of(rig: Rig) -> AnalysisScreen:
    assert isinstance(rig.app.screen, AnalysisScreen)
    return rig.app.screen


async def found(rig: Rig, steps: int | None = None) -> None:
    """Wait until an analysis, or one of so many steps, is on the screen."""

    def there() -> bool:
        last = rig.app.analyst.found
        return not rig.app.analyst.working and last is not None and (steps is None or last.steps == steps)

    await rig.settle(there)


def made_up(rig: Rig) -> None:
    """Let the analysis be a made-up one."""
    rig.app.analyst.found = Found(analysis(), rig.app.analyst.steps)


@asynccontextmanager
async def replaying(path: Path, size: tuple[int, int] = (120, 36), **options: Any) -> AsyncIterator[Rig]:
    """A replay of the trace, standing still at its beginning."""
    clocks: list[HandClock] = []

    def scheduler() -> HandClock:
        clocks.append(HandClock())
        return clocks[0]

    source = Replay(Timeline(Trace.open(path)), now=lambda: clocks[0].now() if clocks else 0.0)
    app = SpecTUIApp(source, scheduler=scheduler, analyst=Analyst(path, breathe=source.slot.stand_aside), **options)
    try:
        async with app.run_test(size=size) as pilot:
            rig = Rig(app, source, pilot, clocks[0])  # type: ignore[arg-type]
            await rig.settle(lambda: app.view.round is not None)
            source.send(cmd.Pause())
            await rig.settle(lambda: app.view.paused)
            yield rig
    finally:
        assert source.stop(FAILSAFE_S)


@pytest.mark.parametrize("size", SIZES)
async def test_d_shows_what_a_race_so_far_says(size: tuple[int, int]) -> None:
    async with running(size, sampling=LONG) as rig:
        await rig.steps(300)
        await rig.press("d")
        await found(rig)
        assert f"as of step {rig.app.analyst.steps}" in rig.text
        assert "steps with a draft" in rig.text
        assert "▸2 MTP" in rig.text
        assert cmd.Pause() not in rig.source.commands, "the race stands still already"
        await rig.press("tab")
        assert "▸3 DFlash" in rig.text
        await rig.press("shift+tab")
        assert "▸2 MTP" in rig.text


@pytest.mark.parametrize("key", ["d", "escape", "q"])
async def test_it_is_left_by_the_key_that_opened_it_and_by_those_that_leave(key: str) -> None:
    async with running(sampling=LONG) as rig:
        await rig.steps(30)
        before = rig.text
        await rig.press("d")
        await found(rig)
        await rig.press(key)
        assert isinstance(rig.app.screen, LiveScreen)
        assert rig.text == before


async def test_the_main_weakness_comes_first_and_the_arrows_show_every_property() -> None:
    async with running((80, 24)) as rig:
        made_up(rig)
        await rig.press("d")
        assert "The drafter is weak at numbers" in rig.text
        assert "▸kind" not in rig.text, "it is below"
        await rig.press("right")
        assert "▸category" in rig.text
        assert "writing" in rig.text, "the table is in sight"
        await rig.press("left")
        assert "▸kind" in rig.text
        for _ in range(7):
            await rig.press("left")
        assert "▸category" in rig.text
        await rig.press("home")
        assert "The drafter is weak at numbers" in rig.text
        await rig.press("tab")
        assert "No weakness stands out." in rig.text
        await rig.press("end")
        assert "round 3, step 10" in rig.text


async def test_a_race_stands_still_while_it_is_analysed_and_goes_on_at_once() -> None:
    async with running(pace=Pace(tokens_s=2_000.0), sampling=ENDLESS, paused=False, wait=False) as rig:
        await rig.until(lambda: rig.app.analyst.steps > 50)
        await rig.pilot.press("d")
        await rig.until(lambda: rig.app.analyst.found is not None and not rig.view.paused)
        assert [one for one in rig.source.commands if isinstance(one, cmd.Pause | cmd.Resume)] == [
            cmd.Pause(),
            cmd.Resume(),
        ]
        first = rig.app.analyst.found
        assert first is not None
        await rig.until(lambda: "since, r analyses again" in rig.text)
        rig.clock.run_for(3 * AGAIN_S)
        assert rig.app.analyst.found is first, "not while steps are measured"
        await rig.pilot.press("r")
        await rig.until(lambda: rig.app.analyst.found is not first and not rig.view.paused)
        assert rig.source.commands.count(cmd.Pause()) == 2
        rig.source.send(cmd.Pause())
        await rig.until(lambda: rig.view.paused)
        await found(rig, rig.app.analyst.steps)
        assert f"as of step {rig.app.analyst.steps:,}" in rig.text
        assert "since" not in rig.text


async def test_leaving_before_it_began_lets_the_race_go_on() -> None:
    async with running(pace=Pace(tokens_s=2_000.0), sampling=ENDLESS, paused=False, wait=False) as rig:
        await rig.until(lambda: rig.app.analyst.steps > 5)
        await rig.pilot.press("d", "escape")
        await rig.until(lambda: rig.source.obeyed == len(rig.source.commands) and not rig.view.paused)
        assert isinstance(rig.app.screen, LiveScreen)
        assert rig.source.commands.count(cmd.Resume()) == 1


def test_what_came_before_there_was_anything_to_fold_it_is_kept() -> None:
    analyst, (run, *_) = Analyst(live=True), made_run(0)
    analyst.add(run)
    analyst.warm_up()
    for event in made_run(0)[1:]:
        analyst.add(event)
    assert analyst._window is not None
    lanes = analyst._window.columns.lanes()
    assert sum(len(lane.rows) for lane in lanes) == analyst.steps > 50
    assert all(lane.info is not None for lane in lanes)


async def test_it_says_what_to_do_where_there_is_nothing_to_show() -> None:
    async with running((80, 24)) as rig:
        await rig.press("d")
        await found(rig)
        assert "No drafts yet: let the race run on, then press r." in rig.text
        await rig.press("escape")
        await rig.press("minus", "minus", "d")
        await rig.settle(lambda: "No drafts yet: K is 0, raise it in the race with +." in rig.text)
        await rig.press("escape")
        await rig.press("plus", "plus")
        await rig.steps(20)
        await rig.press("d")
        await found(rig, rig.app.analyst.steps)
        said = " ".join(rig.text.split())
        assert re.search(
            r"Only \d+ drafted tokens were judged, 30 are needed: let the race run on, then press r\.", said
        )
        assert "Fewer than 30 steps could draft: let the race run on, then press r." in said
        assert "record a longer run" not in said
    async with running((80, 24), lanes=AR_ALONE) as rig:
        await rig.steps(3)
        await rig.press("d")
        assert "No lane here drafts: start one that does" in rig.text
        assert not rig.app.analyst.working
        assert "property" not in rig.text, "there is none"
        await rig.press("right", "tab", "r", "d")
        assert isinstance(rig.app.screen, LiveScreen)


async def test_a_trace_without_drafts_cannot_be_given_any(tmp_path: Path) -> None:
    events = [event for _, event in Trace.open(TRACES / "coding.jsonl") if getattr(event, "lane", "ar") == "ar"]
    alone = (replace(one, lanes=one.lanes[:1]) if isinstance(one, RunStarted) else one for one in events)
    path = file_of(tmp_path / "ar.jsonl", alone)
    async with replaying(path) as rig:
        await rig.pilot.press("d")
        await rig.settle()
        assert "No lane of this trace drafts." in rig.text
        assert "start one" not in rig.text


async def test_a_replay_shows_the_whole_trace_wherever_it_is() -> None:
    path = TRACES / "coding.jsonl"
    steps = sum(isinstance(event, Step) for _, event in Trace.open(path))
    async with replaying(path) as rig:
        await rig.pilot.press("d")
        await found(rig, steps)
        assert f"the whole trace, {steps} steps" in rig.text
        first = rig.app.analyst.found
        await rig.pilot.press("escape")
        await rig.pilot.press("d")
        await rig.settle()
        assert rig.app.analyst.found is first, "it is read once"
        await rig.pilot.press("r")
        await rig.settle()
        assert rig.app.analyst.found is first


async def test_a_trace_that_has_gone_is_said(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes((TRACES / "coding.jsonl").read_bytes())
    async with replaying(path) as rig:
        await rig.settle(lambda: rig.view.playhead is not None and rig.view.playhead.known == 1.0)
        path.unlink()
        await rig.pilot.press("d")
        await rig.settle(lambda: bool(rig.app.analyst.fault))
        assert "run.jsonl: no such file" in rig.text


async def test_an_analysis_that_fails_is_said_and_the_race_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(columns: object) -> None:
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr("spectui.core.analysis.analyse.analyse", fail)
    async with running() as rig:
        await rig.steps(5)
        await rig.press("d")
        await rig.settle(lambda: bool(rig.app.analyst.fault))
        assert "the analysis failed: of nothing; the log has the details" in rig.text
        await rig.press("d")
        await rig.steps(5)


async def test_a_source_that_cannot_pause_is_not_asked_to() -> None:
    async with running(sampling=LONG) as rig:
        rig.source.accepts -= {cmd.Pause}
        rig.app._mailbox.emit(Paused(False))
        await rig.settle(lambda: not rig.view.paused)
        await rig.steps(10)
        await rig.pilot.press("d")
        await found(rig)
        assert cmd.Pause() not in rig.source.commands
