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
from tests.support.rig import SIZES, Rig, running
from tests.trace.making import folded, made_run
from tests.ui.test_app import check_screen, panes


async def act_out(rig: Rig) -> None:
    """Let the step that is acted out come to its end."""
    await rig.until(lambda: rig.app.slow.acted is not None)
    await rig.until(lambda: rig.app.slow.idle)
    await rig.settle()


def taken(rig: Rig) -> int:
    return sum(lane.steps for lane in rig.view.lanes)


def pane_of(rig: Rig, lane: str) -> LanePane:
    place = [one.info.name for one in rig.view.lanes].index(lane)
    return list(rig.app.screen.query(LanePane))[place]


def shown(pane: LanePane) -> str:
    """The pane's text in one line, without spaces."""
    rows = (pane.stream.render_line(y).text.strip() for y in range(pane.stream.size.height))
    return "".join(rows).replace(" ", "")


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
async def test_it_shows_an_audience_what_matters_and_gives_the_screen_back(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        await rig.steps(40)
        before = rig.text
        text_rows = panes(rig)[0].stream.size.height
        await rig.press("p")
        check_screen(rig)
        pane = panes(rig)[-1]
        assert pane.head.size.height == 7
        assert not pane.ledger.display
        assert pane.sentence.size.height > 0
        assert "guess" in rig.text
        assert "look at the model" in " ".join(rig.text.split())
        assert "accepted per step" not in rig.text
        assert ("acceptance" in rig.text) == (size[1] >= 44)
        assert pane.stream.size.height >= text_rows - 5
        await rig.press("p")
        assert rig.text == before
        check_screen(rig)


async def test_a_lane_that_is_done_says_what_it_took() -> None:
    async with running((200, 50), paused=False) as rig:
        await rig.settle(lambda: rig.view.round_over)
        await rig.press("p")
        assert "64 tokens in " in rig.text
        assert "times as fast as AR" in rig.text


@pytest.mark.parametrize("size", SIZES)
async def test_a_step_is_acted_out_beat_by_beat(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        await rig.steps(9)
        await rig.press("3", "p", "m")
        slow = rig.app.slow
        while slow.acted is None or slow.acted.lane != "dflash":
            await rig.press("full_stop")
            await rig.settle(lambda: slow.acted is not None or slow.idle)
        acted, pane = slow.acted, pane_of(rig, "dflash")
        steps = taken(rig)
        before = "".join(
            text
            for text, role in (rig.lane("dflash").stream.log[place] for place in range(acted.before))  # type: ignore[union-attr]
            if role is not Role.REJECTED
        )
        while slow.acted is acted:
            place = acted.place
            await rig.pilot.pause()
            tokens = "".join(text for text, _ in acted.beat.tokens)
            plain = (before + tokens).replace(" ", "").replace("\n", "")
            assert shown(pane).replace("⏎", "").endswith(plain[-30:].replace("⏎", "")) or "\n" in tokens
            assert taken(rig) == steps
            rig.clock.run_for(BEAT_S)
            assert slow.acted is None or slow.acted.place == place + 1
        await rig.settle()
        assert acted.place == len(acted.beats) - 1
        assert acted.beats == beats(acted.step)
        assert taken(rig) == steps, "a single step is followed by none"
        check_screen(rig)


async def test_the_next_step_is_asked_for_when_the_last_one_has_ended() -> None:
    async with running((120, 36), pace=Pace(tokens_s=200.0), paused=False) as rig:
        await rig.until(lambda: taken(rig) > 6)
        await rig.pilot.press("p", "m")
        slow = rig.app.slow
        await rig.until(lambda: slow.acted is not None)
        for _ in range(5):
            acted, steps = slow.acted, taken(rig)
            assert acted is not None
            asked = rig.source.commands.count(cmd.StepOnce())
            await rig.until(lambda now=acted: slow.acted is not now)  # type: ignore[misc]
            assert acted.place == len(acted.beats) - 1
            await rig.until(lambda now=acted: slow.acted not in (now, None))  # type: ignore[misc]
            assert rig.source.commands.count(cmd.StepOnce()) == asked + 1
            assert taken(rig) == steps + 1
        assert "paused" not in rig.text
        assert "slow motion: Space pauses" in rig.text


async def test_space_holds_the_picture_and_a_point_skips_to_the_next_step() -> None:
    async with running((120, 36), pace=Pace(tokens_s=200.0), paused=False) as rig:
        await rig.until(lambda: taken(rig) > 6)
        await rig.pilot.press("p", "m")
        slow = rig.app.slow
        await rig.until(lambda: slow.acted is not None)
        await rig.pilot.press("space")
        acted, steps = slow.acted, taken(rig)
        assert acted is not None
        place = acted.place
        rig.clock.run_for(20.0)
        await rig.pilot.pause()
        assert slow.acted is acted
        assert acted.place == place
        assert "slow motion, paused" in rig.text
        await rig.pilot.press("full_stop")
        await rig.until(lambda: slow.acted not in (None, acted))
        assert taken(rig) == steps + 1
        await rig.until(lambda: slow.idle)
        rig.clock.run_for(20.0)
        await rig.settle()
        assert taken(rig) == steps + 1
        await rig.pilot.press("space")
        await rig.until(lambda: taken(rig) > steps + 2)


async def test_lanes_out_of_sight_step_without_being_acted_out() -> None:
    async with running((80, 24)) as rig:
        await rig.steps(3)
        await rig.press("p", "m", "space")
        slow, seen = rig.app.slow, set()
        for _ in range(3):
            await rig.until(lambda: slow.acted is not None)
            assert slow.acted is not None
            seen.add(slow.acted.lane)
            await rig.until(lambda: slow.acted is None)
        assert seen == {"mtp"}
        assert rig.lane("dflash").steps > 1


async def test_leaving_goes_on_at_true_speed_or_stays_paused() -> None:
    async with running((120, 36)) as rig:
        await rig.steps(6)
        await rig.press("p", "m", "m")
        assert rig.view.paused
        assert cmd.Resume() not in rig.source.commands
        await rig.press("m", "space")
        await rig.until(lambda: rig.app.slow.acted is not None)
        await rig.pilot.press("m")
        await rig.settle(lambda: rig.view.round_over)
        assert "r races again from the beginning" in rig.text
        await rig.press("m")
        await rig.until(lambda: rig.view.round == 1 and rig.app.slow.acted is not None)
        await rig.pilot.press("p")
        await rig.settle(lambda: rig.view.round_over)
        assert not rig.app.slow.on
        assert all(pane.stream.rejected == "first" for pane in rig.app.screen.query(LanePane))


async def test_again_at_true_speed_races_the_same_prompts() -> None:
    async with running((120, 36)) as rig:
        await rig.steps(6)
        prompts = rig.view.prompts
        await rig.press("p", "m")
        await rig.press("r")
        assert rig.source.commands[-1] == cmd.Restart()
        await rig.settle(lambda: rig.view.round == 1 and rig.view.round_over)
        assert rig.view.prompts == prompts
        assert rig.app.choices.presenting
        assert not rig.app.slow.on


async def test_at_the_end_of_a_round_it_offers_true_speed() -> None:
    sampling = ev.Sampling(max_tokens=6)
    async with running((120, 36), sampling=sampling) as rig:
        await rig.press("p", "m", "space")
        await rig.until(lambda: rig.view.round_over)
        await rig.settle(lambda: rig.app.slow.idle)
        assert "finished: r races again at true speed" in rig.text
        await rig.press("n")
        asked = rig.source.commands.index(cmd.NextPrompt(1))
        assert rig.source.commands[asked + 1] == cmd.Pause()
        await rig.until(lambda: rig.view.round == 1 and rig.app.slow.acted is not None)
        assert taken(rig) <= 2


async def test_a_replay_plays_the_round_again_at_its_own_speed() -> None:
    async with running((120, 36)) as rig:
        await rig.steps(6)
        rig.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=20.0))
        await rig.press("p", "m", "r")
        assert rig.source.commands[-2:] == [cmd.SetSpeed(1.0), cmd.Restart()]


async def test_several_requests_are_acted_out_one_at_a_time() -> None:
    async with running((120, 36), concurrency=3) as rig:
        await rig.steps(6)
        await rig.press("greater_than_sign", "p", "m", "space")
        for _ in range(4):
            await rig.until(lambda: rig.app.slow.acted is not None)
            assert rig.app.slow.acted is not None
            assert rig.app.slow.acted.step.slot == 1
            before = taken(rig)
            await rig.until(lambda: rig.app.slow.acted is None)
            assert taken(rig) == before
        check_screen(rig)


async def test_an_engine_step_without_a_word_does_not_stop_it_for_ever() -> None:
    async with running((120, 36)) as rig:
        await rig.steps(6)
        rig.source._race.step = lambda lane: iter(())  # type: ignore[method-assign]
        await rig.press("p", "m", "space")
        asked = rig.source.commands.count(cmd.StepOnce())
        rig.clock.run_for(PATIENCE_S + 1)
        await rig.settle()
        assert rig.source.commands.count(cmd.StepOnce()) == asked + 1


async def test_a_resize_and_other_screens_in_slow_motion() -> None:
    async with running((120, 36)) as rig:
        await rig.steps(12)
        await rig.press("p", "m", "space")
        for size in (*SIZES, (60, 16), (42, 11), (120, 36)):
            await rig.pilot.resize_terminal(*size)
            await rig.settle()
            check_screen(rig)
        steps = taken(rig)
        await rig.pilot.press("question_mark")
        await rig.until(lambda: taken(rig) > steps)
        await rig.pilot.press("escape", "i")
        steps = taken(rig)
        rig.clock.run_for(5.0)
        assert not rig.app.slow.moving
        await rig.pilot.press("escape")
        await rig.until(lambda: taken(rig) > steps)


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
    async with running() as rig:
        await rig.steps(6)
        assert rig.app.screen.query_one(Panes)._narration(rig.lane("mtp")).sentence == ""
