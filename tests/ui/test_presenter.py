"""Presenter mode: what an audience sees, slow motion, and the way back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spectui.core.beats import BEAT_S, beats
from spectui.core.tokens import Role
from spectui.core.views import Viewer
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.playback import Playhead
from spectui.sources.synthetic.source import Pace
from spectui.ui.screens.arrangement import MAX_PANES, arrange_for_audience
from spectui.ui.screens.pane import LanePane
from spectui.ui.screens.panes import Panes
from spectui.ui.talk.slow_motion import PATIENCE_S, SlowMotion
from tests.support.stage import SIZES, Stage, running
from tests.trace.making import folded, made_run
from tests.ui.test_app import check_screen, panes


async def act_out(stage: Stage) -> None:
    """Let the step that is acted out come to its end."""
    await stage.until(lambda: stage.app.slow.acted is not None)
    await stage.until(lambda: stage.app.slow.idle)
    await stage.settle()


def taken(stage: Stage) -> int:
    return sum(lane.steps for lane in stage.view.lanes)


def pane_of(stage: Stage, lane: str) -> LanePane:
    place = [one.info.name for one in stage.view.lanes].index(lane)
    return list(stage.app.screen.query(LanePane))[place]


def shown(pane: LanePane) -> str:
    """The pane's text in one line, without spaces."""
    rows = (pane.stream.render_line(y).text.strip() for y in range(pane.stream.size.height))
    return "".join(rows).replace(" ", "")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
async def test_it_shows_an_audience_what_matters_and_gives_the_screen_back(size: tuple[int, int]) -> None:
    async with running(size) as stage:
        await stage.steps(40)
        before = stage.text
        text_rows = panes(stage)[0].stream.size.height
        await stage.press("p")
        check_screen(stage)
        pane = panes(stage)[-1]
        assert pane.head.size.height == 7
        assert not pane.ledger.display
        assert pane.sentence.size.height > 0
        assert "guess" in stage.text
        assert "look at the model" in " ".join(stage.text.split())
        assert "accepted per step" not in stage.text
        assert ("acceptance" in stage.text) == (size[1] >= 44)
        assert pane.stream.size.height >= text_rows - 5
        await stage.press("p")
        assert stage.text == before
        check_screen(stage)


async def test_a_lane_that_is_done_says_what_it_took() -> None:
    async with running((200, 50), paused=False) as stage:
        await stage.settle(lambda: stage.view.round_over)
        await stage.press("p")
        assert "64 tokens in " in stage.text
        assert "times as fast as AR" in stage.text


@pytest.mark.parametrize("size", SIZES)
async def test_a_step_is_acted_out_beat_by_beat(size: tuple[int, int]) -> None:
    async with running(size) as stage:
        await stage.steps(9)
        await stage.press("3", "p", "m")
        slow = stage.app.slow
        while slow.acted is None or slow.acted.lane != "dflash":
            await stage.press("full_stop")
            await stage.settle(lambda: slow.acted is not None or slow.idle)
        acted, pane = slow.acted, pane_of(stage, "dflash")
        steps = taken(stage)
        before = "".join(
            text
            for text, role in (stage.lane("dflash").stream.log[place] for place in range(acted.before))  # type: ignore[union-attr]
            if role is not Role.REJECTED
        )
        while slow.acted is acted:
            place = acted.place
            await stage.pilot.pause()
            tokens = "".join(text for text, _ in acted.beat.tokens)
            plain = (before + tokens).replace(" ", "").replace("\n", "")
            assert shown(pane).replace("⏎", "").endswith(plain[-30:].replace("⏎", "")) or "\n" in tokens
            assert taken(stage) == steps
            stage.clock.run_for(BEAT_S)
            assert slow.acted is None or slow.acted.place == place + 1
        await stage.settle()
        assert acted.place == len(acted.beats) - 1
        assert acted.beats == beats(acted.step)
        assert taken(stage) == steps, "a single step is followed by none"
        check_screen(stage)


async def test_the_next_step_is_asked_for_when_the_last_one_has_ended() -> None:
    async with running((120, 36), pace=Pace(tokens_s=200.0), paused=False) as stage:
        await stage.until(lambda: taken(stage) > 6)
        await stage.pilot.press("p", "m")
        slow = stage.app.slow
        await stage.until(lambda: slow.acted is not None)
        for _ in range(5):
            acted, steps = slow.acted, taken(stage)
            assert acted is not None
            asked = stage.source.commands.count(cmd.StepOnce())
            await stage.until(lambda now=acted: slow.acted is not now)  # type: ignore[misc]
            assert acted.place == len(acted.beats) - 1
            await stage.until(lambda now=acted: slow.acted not in (now, None))  # type: ignore[misc]
            assert stage.source.commands.count(cmd.StepOnce()) == asked + 1
            assert taken(stage) == steps + 1
        assert "paused" not in stage.text
        assert "slow motion: Space pauses" in stage.text


async def test_space_holds_the_picture_and_a_point_skips_to_the_next_step() -> None:
    async with running((120, 36), pace=Pace(tokens_s=200.0), paused=False) as stage:
        await stage.until(lambda: taken(stage) > 6)
        await stage.pilot.press("p", "m")
        slow = stage.app.slow
        await stage.until(lambda: slow.acted is not None)
        await stage.pilot.press("space")
        acted, steps = slow.acted, taken(stage)
        assert acted is not None
        place = acted.place
        stage.clock.run_for(20.0)
        await stage.pilot.pause()
        assert slow.acted is acted
        assert acted.place == place
        assert "slow motion, paused" in stage.text
        await stage.pilot.press("full_stop")
        await stage.until(lambda: slow.acted not in (None, acted))
        assert taken(stage) == steps + 1
        await stage.until(lambda: slow.idle)
        stage.clock.run_for(20.0)
        await stage.settle()
        assert taken(stage) == steps + 1
        await stage.pilot.press("space")
        await stage.until(lambda: taken(stage) > steps + 2)


async def test_lanes_out_of_sight_step_without_being_acted_out() -> None:
    async with running((80, 24)) as stage:
        await stage.steps(3)
        await stage.press("p", "m", "space")
        slow, seen = stage.app.slow, set()
        for _ in range(3):
            await stage.until(lambda: slow.acted is not None)
            assert slow.acted is not None
            seen.add(slow.acted.lane)
            await stage.until(lambda: slow.acted is None)
        assert seen == {"mtp"}
        assert stage.lane("dflash").steps > 1


async def test_leaving_goes_on_at_true_speed_or_stays_paused() -> None:
    async with running((120, 36)) as stage:
        await stage.steps(6)
        await stage.press("p", "m", "m")
        assert stage.view.paused
        assert cmd.Resume() not in stage.source.commands
        await stage.press("m", "space")
        await stage.until(lambda: stage.app.slow.acted is not None)
        await stage.pilot.press("m")
        await stage.settle(lambda: stage.view.round_over)
        assert "r plays it again from the beginning" in stage.text
        await stage.press("m")
        await stage.until(lambda: stage.view.round == 1 and stage.app.slow.acted is not None)
        await stage.pilot.press("p")
        await stage.settle(lambda: stage.view.round_over)
        assert not stage.app.slow.on
        assert all(pane.stream.rejected == "first" for pane in stage.app.screen.query(LanePane))


async def test_again_at_true_speed_races_the_same_prompts() -> None:
    async with running((120, 36)) as stage:
        await stage.steps(6)
        prompts = stage.view.prompts
        await stage.press("p", "m")
        await stage.press("r")
        assert stage.source.commands[-1] == cmd.Restart()
        await stage.settle(lambda: stage.view.round == 1 and stage.view.round_over)
        assert stage.view.prompts == prompts
        assert stage.app.choices.presenting
        assert not stage.app.slow.on


async def test_at_the_end_of_a_round_it_offers_true_speed() -> None:
    sampling = ev.Sampling(max_tokens=6)
    async with running((120, 36), sampling=sampling) as stage:
        await stage.press("p", "m", "space")
        await stage.until(lambda: stage.view.round_over)
        await stage.settle(lambda: stage.app.slow.idle)
        assert "finished: r again at true speed" in stage.text
        await stage.press("n")
        asked = stage.source.commands.index(cmd.NextPrompt(1))
        assert stage.source.commands[asked + 1] == cmd.Pause()
        await stage.until(lambda: stage.view.round == 1 and stage.app.slow.acted is not None)
        assert taken(stage) <= 2


async def test_a_replay_plays_the_round_again_at_its_own_speed() -> None:
    async with running((120, 36)) as stage:
        await stage.steps(6)
        stage.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=20.0))
        await stage.press("p", "m", "r")
        assert stage.source.commands[-2:] == [cmd.SetSpeed(1.0), cmd.Restart()]


async def test_several_requests_are_acted_out_one_at_a_time() -> None:
    async with running((120, 36), concurrency=3) as stage:
        await stage.steps(6)
        await stage.press("greater_than_sign", "p", "m", "space")
        for _ in range(4):
            await stage.until(lambda: stage.app.slow.acted is not None)
            assert stage.app.slow.acted is not None
            assert stage.app.slow.acted.step.slot == 1
            before = taken(stage)
            await stage.until(lambda: stage.app.slow.acted is None)
            assert taken(stage) == before
        check_screen(stage)


async def test_an_engine_step_without_a_word_does_not_stop_it_for_ever() -> None:
    async with running((120, 36)) as stage:
        await stage.steps(6)
        stage.source._race.step = lambda lane: iter(())  # type: ignore[method-assign]
        await stage.press("p", "m", "space")
        asked = stage.source.commands.count(cmd.StepOnce())
        stage.clock.run_for(PATIENCE_S + 1)
        await stage.settle()
        assert stage.source.commands.count(cmd.StepOnce()) == asked + 1


async def test_a_resize_and_other_screens_in_slow_motion() -> None:
    async with running((120, 36)) as stage:
        await stage.steps(12)
        await stage.press("p", "m", "space")
        for size in (*SIZES, (60, 16), (42, 11), (120, 36)):
            await stage.pilot.resize_terminal(*size)
            await stage.settle()
            check_screen(stage)
        steps = taken(stage)
        await stage.pilot.press("question_mark")
        await stage.until(lambda: taken(stage) > steps)
        await stage.pilot.press("escape", "i")
        steps = taken(stage)
        stage.clock.run_for(5.0)
        assert not stage.app.slow.moving
        await stage.pilot.press("escape")
        await stage.until(lambda: taken(stage) > steps)


def test_a_step_of_a_lane_that_is_not_there_is_not_acted_out() -> None:
    """One damaged line of a trace says no more than that."""
    events = made_run(1, rounds=1, slots=1)
    state = folded(events)
    state.playhead = Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=1.0, paused=True)
    sent: list[cmd.Command] = []
    slow = SlowMotion(sent.append, lambda _, __: None, lambda: None)
    slow.in_sight = range(3)
    slow.begin(going=True)
    begun = folded(events[: events.index(next(event for event in events if isinstance(event, ev.Step)))])
    begun.playhead = state.playhead
    slow.turn(Viewer(begun).read())
    assert sent[-1] == cmd.StepOnce()
    step = next(event for event in events if isinstance(event, ev.Step))
    slow.see(replace(step, lane="mt"), state, 0)
    slow.turn(Viewer(begun).read())
    assert slow.acted is None


def test_slow_motion_without_a_run_asks_for_nothing() -> None:
    sent: list[cmd.Command] = []
    slow = SlowMotion(sent.append, lambda _, __: None, lambda: None)
    assert not slow.leave()
    assert sent == []


@pytest.mark.parametrize("lanes", range(1, 10))
def test_the_text_has_room_at_every_size(lanes: int) -> None:
    for width in range(40, 260, 3):
        for height in range(10, 70, 3):
            found = arrange_for_audience(width, height, lanes)
            assert found is not None
            assert 1 <= found.panes <= min(lanes, MAX_PANES)
            assert found.sentence >= (height >= 12)
            fixed = 3 + 2 * found.airy + found.strip * (2 - found.tight) + found.head
            fixed += (found.sentence and found.sentence + 1) + (found.chart_rows and found.chart_rows + 1)
            assert height - fixed >= 2, "the text has no room"
    assert arrange_for_audience(39, 30, lanes) is None


async def test_panes_are_told_nothing_outside_presenter_mode() -> None:
    async with running() as stage:
        await stage.steps(6)
        assert stage.app.screen.query_one(Panes)._narration(stage.lane("mtp")).sentence == ""
