"""The app as a user meets it, on a synthetic race: what each moment looks like at every size."""

from __future__ import annotations

import random

import pytest
from rich.cells import cell_len
from textual import events
from textual.geometry import Size

from spectui.core.tokens import Role
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.sources.synthetic.race import SyntheticLane, demo_lanes
from spectui.sources.synthetic.source import Pace
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.frames import FRAME_S
from spectui.ui.screens.arrangement import MAX_PANES, PANE_CELLS, arrange, visible
from spectui.ui.screens.log import LogReader
from spectui.ui.screens.message import NOTICE_S
from spectui.ui.screens.pane import LanePane
from spectui.ui.screens.prompt import PromptLine
from spectui.ui.theme.files import shipped_themes
from spectui.ui.widgets.token_stream import TokenStream
from tests.support.rig import SIZES, FakeLog, Rig, running

AR, MTP, DFLASH = demo_lanes()
MANY = (*demo_lanes(), *(SyntheticLane(ev.LaneInfo(f"n{i}", "ngram", f"n-gram {i}", 5, ""), (0.5,)) for i in range(4)))


def panes(rig: Rig) -> list[LanePane]:
    return [pane for pane in rig.app.screen.query(LanePane) if pane.display]


def check_screen(rig: Rig) -> None:
    """Nothing overlaps, nothing sticks out, and every canvas shows what it would draw now."""
    width, height = rig.app.size
    lines = rig.text.splitlines()
    assert len(lines) == height
    taken: set[tuple[int, int]] = set()
    for canvas in rig.app.screen.query(Canvas):
        region = canvas.region
        if not canvas.display or not region or canvas not in rig.app.screen._compositor.visible_widgets:
            continue
        assert region.right <= width
        assert region.bottom <= height
        cells = {(x, y) for x in range(region.x, region.right) for y in range(region.y, region.bottom)}
        assert not taken & cells, f"{canvas} covers another widget"
        taken |= cells
        drawn = [canvas.render_line(y).text for y in range(region.height)]
        canvas.restyle()
        assert drawn == [canvas.render_line(y).text for y in range(region.height)], f"{canvas} shows something old"


@pytest.mark.parametrize("size", SIZES)
async def test_a_race_from_loading_to_the_end(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        assert "synthetic" in rig.text
        assert "paused" in rig.text
        await rig.steps(40)
        check_screen(rig)
        assert len(panes(rig)) == (1 if size[0] == 80 else 3)
        for title in ("AR", "MTP", "DFlash"):
            assert title in rig.text
        await rig.press("space")
        await rig.settle(lambda: rig.view.round_over)
        check_screen(rig)
        assert "finished: n next prompt, r restart" in rig.text
        assert "done, length" in rig.text
        await rig.press("n")
        await rig.settle(lambda: rig.view.round == 1 and rig.view.round_over)
        assert "2/6" in rig.text or size[0] == 80
        check_screen(rig)


@pytest.mark.parametrize("size", SIZES)
async def test_the_text_on_the_screen_is_the_lane_s_text(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        await rig.steps(30)
        await rig.press("x", "x")
        stream = panes(rig)[0].stream
        lane = rig.view.lanes[rig.app.choices.focus if size[0] == 80 else 0]
        assert lane.stream is not None
        shown = "".join(stream.render_line(y).text.strip() for y in range(stream.size.height)).replace(" ", "")
        assert shown == lane.stream.log.output().replace(" ", "").replace("\n", "")


async def test_one_step_of_a_paused_race_shows_up_in_one_lane() -> None:
    async with running() as rig:
        await rig.steps(9)
        before = [lane.steps for lane in rig.view.lanes]
        await rig.press("full_stop")
        after = [lane.steps for lane in rig.view.lanes]
        assert sum(after) == sum(before) + 1
        assert "paused: . takes one step" in rig.text
        check_screen(rig)


async def test_pausing_a_running_race_holds_it_and_space_goes_on() -> None:
    endless = ev.Sampling(max_tokens=10**9, ignore_eos=True)
    async with running(pace=Pace(tokens_s=2_000.0), paused=False, sampling=endless, wait=False) as rig:
        await rig.until(lambda: rig.view.lane_time_s > 1.0)
        await rig.pilot.press("space")
        await rig.settle(lambda: rig.view.paused)
        steps = sum(lane.steps for lane in rig.view.lanes)
        rig.clock.run_for(5.0)
        await rig.settle()
        assert sum(lane.steps for lane in rig.view.lanes) == steps
        check_screen(rig)
        await rig.pilot.press("space")
        await rig.until(lambda: sum(lane.steps for lane in rig.view.lanes) > steps)


@pytest.mark.parametrize("size", SIZES)
async def test_loading_says_what_happens_and_for_how_long(size: tuple[int, int]) -> None:
    async with running(size, pace=Pace(load_s=3_000.0), wait=False) as rig:
        await rig.settle(lambda: bool(rig.view.lanes) and rig.view.lanes[0].stage.stage == "importing")
        rig.clock.run_for(7.6)
        await rig.settle()
        assert "starting: 0 of 3 lanes ready" in rig.text
        assert "importing" in rig.text
        if size[0] > 80:
            assert "7 s" in rig.text or "8 s" in rig.text
            assert "waiting" in rig.text
        check_screen(rig)
        assert rig.app.screen.check_action("do", ("race.pause",)) is None


async def test_the_first_frame_does_not_wait_for_the_source() -> None:
    async with running(lanes=(), wait=False) as rig:
        await rig.settle()
        assert "SpecTUI" in rig.text
        assert "quit" in rig.text


@pytest.mark.parametrize("size", SIZES)
async def test_a_lane_that_fails_says_why_and_the_others_go_on(size: tuple[int, int]) -> None:
    lanes = (AR, SyntheticLane(MTP.info, fails_at="loading"), SyntheticLane(DFLASH.info, (0.6,), fails_after=5))
    async with running(size, lanes=lanes, paused=False) as rig:
        await rig.settle(lambda: rig.view.round_over)
        for key, sentence in (("2", "MTP does not fit this target"), ("3", "DFlash stopped after 5 steps")):
            await rig.press(key)
            assert sentence in rig.text
        assert rig.lane("ar").finished == "length"
        check_screen(rig)


async def test_when_every_lane_failed_it_is_said_and_only_looking_and_leaving_remain() -> None:
    lanes = tuple(SyntheticLane(lane.info, fails_at="importing") for lane in demo_lanes())
    async with running(lanes=lanes, log=FakeLog("the reason")) as rig:
        assert "All lanes have failed." in rig.text
        for action in ("race.pause", "race.step", "race.restart", "race.category"):
            assert rig.app.screen.check_action("do", (action,)) is None
        await rig.press("l")
        await rig.settle(lambda: "the reason" in rig.text)


async def test_a_source_that_dies_says_so() -> None:
    async with running(dies_after=4, paused=False) as rig:
        await rig.settle(lambda: rig.view.fault is not None)
        assert "the synthetic source failed: told to fail here" in rig.text
        await rig.settle(lambda: "stopped" in rig.text)
        assert rig.app.screen.check_action("do", ("race.restart",)) is None
        assert rig.app.screen.check_action("do", ("program.help",)) is True


@pytest.mark.slow
async def test_a_resize_storm_leaves_a_right_screen() -> None:
    rng = random.Random(5)
    async with running((120, 36), lanes=MANY) as rig:
        for turn in range(25):
            rig.source.send(cmd.StepOnce())
            await rig.pilot.resize_terminal(rng.randint(20, 220), rng.randint(5, 60))
            if turn % 5 == 4:
                await rig.answered()
                check_screen(rig)
        for size in SIZES:
            await rig.pilot.resize_terminal(*size)
            await rig.settle()
            check_screen(rig)


async def test_a_terminal_too_small_says_what_it_needs() -> None:
    async with running((80, 24)) as rig:
        await rig.pilot.resize_terminal(30, 8)
        await rig.settle()
        assert "needs more room" in rig.text
        await rig.pilot.resize_terminal(80, 24)
        await rig.settle()
        assert "needs more room" not in rig.text
        check_screen(rig)


async def test_more_lanes_than_panes_are_named_and_reached() -> None:
    async with running((120, 36), lanes=MANY) as rig:
        await rig.steps(14)
        assert len(panes(rig)) == 3
        for number in range(1, len(MANY) + 1):
            await rig.press(str(number))
            assert any(f"{number} {MANY[number - 1].info.title}" in line for line in rig.text.splitlines()[3:])
            check_screen(rig)
        assert len(panes(rig)) == 3
        await rig.press("tab")
        assert rig.app.choices.focus == 0


async def test_a_click_focuses_a_pane_or_a_lane_of_the_strip() -> None:
    async with running((120, 36)) as rig:
        await rig.pilot.click(offset=(100, 15))
        await rig.settle(lambda: rig.app.choices.focus == 2)
        await rig.pilot.resize_terminal(80, 24)
        await rig.settle()
        await rig.pilot.click(offset=(rig.text.splitlines()[1].index("AR"), 1))
        await rig.settle(lambda: rig.app.choices.focus == 0)


async def test_a_prompt_of_one_s_own_is_raced_and_remembered() -> None:
    async with running() as rig:
        await rig.press("slash", *"q?[x] ", "ü", "enter")
        assert rig.source.commands[-1] == cmd.SetPrompt("q?[x] ü")
        await rig.settle(lambda: rig.view.round_over)
        assert rig.view.prompts[0].text == "q?[x] ü"
        await rig.press("slash", *"two")
        line = rig.app.screen.query_one(PromptLine)
        await rig.press("up")
        assert line.value == "q?[x] ü"
        await rig.press("up", "down")
        assert line.value == "two"
        assert "Enter race it" in rig.text
        await rig.press("escape")
        assert not line.is_open
        sent = len(rig.source.commands)
        await rig.press("slash", "space", "enter", "n")
        assert rig.source.commands[sent:] == [cmd.NextPrompt(1)]


async def test_keys_typed_at_once_reach_the_prompt_line_and_then_the_race() -> None:
    async with running() as rig:
        for _ in range(2):
            keys = ("slash", *"Count n", "left", "left", "backspace", "!", "enter", "n")
            for key in keys:
                rig.app.post_message(events.Key(key, "/" if key == "slash" else key if len(key) == 1 else None))
            sent = len(rig.source.commands) + 2
            await rig.settle(lambda: len(rig.source.commands) >= sent)  # noqa: B023 - awaited here
            assert rig.source.commands[-2:] == [cmd.SetPrompt("Coun! n"), cmd.NextPrompt(1)]


async def test_a_paste_right_behind_the_slash_reaches_the_prompt_line() -> None:
    async with running() as rig:
        rig.app.post_message(events.Key("slash", "/"))
        rig.app.post_message(events.Paste("one line\nanother"))
        rig.app.post_message(events.Key("!", "!"))
        rig.app.post_message(events.Key("enter", None))
        await rig.settle(lambda: rig.source.commands == [cmd.SetPrompt("one line\nanother!")])


async def test_a_paste_keeps_its_lines_and_is_shown_on_one() -> None:
    async with running() as rig:
        await rig.press("slash")
        rig.app.post_message(events.Paste("def f():\r\n\treturn 漢\r\x1b[31m\u202ex\n"))
        await rig.settle()
        line = rig.app.screen.query_one(PromptLine)
        assert "def f():↵⇥return 漢↵␛[31m\N{REPLACEMENT CHARACTER}x↵" in line.render_line(0).text
        assert rig.source.commands == []
        assert line.is_open
        await rig.press("left", "left", "backspace", "!")
        await rig.pilot.click(line, offset=(1 + len("def f():↵⇥return ") + 2, 0))
        assert line.value[line.cursor_position :].startswith("\n\x1b"), "a click goes to the cell that is shown"
        await rig.press("enter")
        assert rig.source.commands == [cmd.SetPrompt("def f():\n\treturn 漢\n\x1b[31m!x")]
        await rig.press("slash", "up")
        assert line.value.count("\n") == 2


async def test_the_log_wraps_wide_characters_by_their_cells() -> None:
    lines = ["漢字" * 60, "👍" * 90, "a" * 118 + "漢", "short"]
    async with running((120, 36), log=FakeLog(*lines)) as rig:
        await rig.press("l")
        await rig.settle(lambda: "short" in rig.text)
        width = rig.app.screen.query_one(LogReader).size.width
        rows = [row.strip() for row in rig.text.splitlines()]
        assert all(cell_len(row) <= width for row in rows)
        shown = "".join(row for row in rows if not row.startswith(("engine", "Esc")))
        assert shown == "".join(lines)


@pytest.mark.parametrize(
    ("keys", "sent"),
    [
        (("k", "2"), cmd.SetK("mtp", 2)),
        (("k", *"99"), cmd.SetK("mtp", 99)),
        (("T", *"0.7"), cmd.SetTemperature(0.7)),
        (("c",), cmd.NextCategory()),
    ],
)
async def test_figures_can_be_typed(keys: tuple[str, ...], sent: cmd.Command) -> None:
    async with running() as rig:
        await rig.press(*keys, *([] if sent == cmd.NextCategory() else ["enter"]))
        assert rig.source.commands == [sent]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("k", *"two"), "'two' is not a valid K: enter 0 to"),
        (("k", *"-1"), "'-1' is not a valid K"),
        (("T", *"hot"), "'hot' is not a valid temperature: enter 0 (greedy) to 10"),
        (("T", *"nan"), "'nan' is not a valid temperature"),
        (("T", *"10.5"), "'10.5' is not a valid temperature"),
    ],
)
async def test_what_cannot_be_meant_is_said_to_the_user_alone(keys: tuple[str, ...], said: str) -> None:
    async with running() as rig:
        await rig.press(*keys, "enter")
        await rig.settle(lambda: said in rig.text)
        assert rig.source.commands == []


async def test_while_typing_no_other_key_acts_but_ctrl_c_quits() -> None:
    async with running() as rig:
        await rig.press("slash", "n", "tab", "space", "q")
        assert rig.app.screen.query_one(PromptLine).value == "n q"
        assert rig.source.commands == []
        await rig.pilot.press("ctrl+c")
        await rig.pilot.pause()
        assert rig.source.commands == [cmd.Shutdown()]


async def test_the_log_is_never_taken_for_markup_and_follows_its_end() -> None:
    log = FakeLog("INFO [red]no[/markup] \x1b[31m", "WARNING " + "w" * 300, *(f"line {n}" for n in range(200)))
    async with running((80, 24), log=log) as rig:
        await rig.press("l")
        await rig.settle(lambda: "line 199" in rig.text)
        log.lines.append("and more")
        await rig.settle(lambda: "and more" in rig.text)
        await rig.press("home")
        assert "[red]no[/markup] ␛[31m" in rig.text
        log.lines.append("unseen")
        await rig.settle(lambda: not log.lines)
        assert "unseen" not in rig.text
        await rig.press("end")
        assert "unseen" in rig.text
        await rig.pilot.resize_terminal(50, 20)
        await rig.settle()
        assert all(len(line) <= 50 for line in rig.text.splitlines())
        await rig.press("escape", "l")
        assert "unseen" in rig.text


async def test_help_can_be_read_to_its_end_at_80x24() -> None:
    async with running((80, 24)) as rig:
        await rig.press("question_mark")
        seen = rig.text
        for _ in range(12):
            await rig.press("pagedown")
            seen += rig.text
        for word in ("Colours", "recovered", "Figures", "acceptance", "Shift+Tab", "PgDn", "Quit at once"):
            assert word.lower() in seen.lower()
        await rig.press("question_mark")
        assert "AR" in rig.text


async def test_the_race_goes_on_behind_help() -> None:
    async with running() as rig:
        await rig.press("question_mark")
        rig.source.send(cmd.Resume())
        await rig.settle(lambda: rig.view.round_over)
        await rig.press("escape")
        assert "finished" in rig.text
        check_screen(rig)


async def test_scrolling_back_stays_while_the_text_grows() -> None:
    async with running((80, 24), sampling=ev.Sampling(max_tokens=400, ignore_eos=True)) as rig:
        await rig.steps(250)
        await rig.press("home")
        stream = panes(rig)[0].stream
        first = stream.render_line(0).text
        await rig.steps(20)
        assert stream.render_line(0).text == first
        assert not stream.following
        await rig.press("end")
        assert stream.following


async def test_rejected_drafts_can_be_hidden_everywhere() -> None:
    async with running() as rig:
        await rig.steps(40)
        lane = rig.lane("dflash")
        assert lane.stream is not None
        roles = {lane.stream.log[index][1] for index in range(lane.stream.length)}
        assert Role.REJECTED in roles
        await rig.press("x")
        assert all(stream.rejected == "all" for stream in rig.app.screen.query(TokenStream))


@pytest.mark.parametrize("theme", shipped_themes())
async def test_every_theme_draws_the_same_words(theme: str) -> None:
    async with running(theme=theme) as rig:
        await rig.steps(30)
        check_screen(rig)
        assert "identical to AR so far" in rig.text


async def test_a_notice_is_shown_for_a_while() -> None:
    async with running() as rig:
        rig.source.send(cmd.SetConcurrency(99))
        await rig.answered()
        assert "requests in flight must be 1 to 16" in rig.text
        rig.clock.run_for(NOTICE_S + 1.0)
        await rig.settle()
        assert "requests in flight" not in rig.text


async def test_lost_events_are_said() -> None:
    async with running() as rig:
        rig.app._mailbox.emit(ev.Gap(7))
        await rig.settle(lambda: rig.view.lost == 7)
        assert "7 events lost" in rig.text


async def test_a_frame_that_fails_ends_the_program_with_its_traceback() -> None:
    def broken(*_: object) -> bool:
        raise ValueError("a widget failed")

    async def fail() -> None:
        async with running() as rig:
            rig.app.screen.query_one("StatusLine").show = broken  # type: ignore[attr-defined]
            rig.app.frames.poke()
            await rig.pilot.pause()
            await rig.pilot.pause()

    with pytest.raises(ValueError, match="a widget failed"):
        await fail()


@pytest.mark.slow
async def test_no_frame_is_drawn_while_the_engine_steps() -> None:
    async with running() as rig:
        slot = rig.source.slot
        slot.stepping(True)
        figures = rig.app.frames.figures
        drawn = figures.frames
        rig.app._mailbox.emit(ev.Notice("news"))
        rig.clock.run_for(5 * FRAME_S)
        await rig.pilot.press("1")
        assert figures.frames == drawn
        slot.stepping(False)
        await rig.settle(lambda: figures.frames > drawn)


@pytest.mark.parametrize("lanes", range(1, 10))
def test_panes_are_wide_enough_at_every_size(lanes: int) -> None:
    for width in range(40, 260, 3):
        for height in range(10, 70, 3):
            found = arrange(width, height, lanes)
            assert found is not None
            assert 1 <= found.panes <= min(lanes, MAX_PANES)
            assert found.panes == 1 or width / found.panes >= PANE_CELLS - 2
            fixed = 3 + 2 * found.airy + found.strip * (2 - found.tight) + found.head
            fixed += (found.ledger and found.ledger + 1) + (found.chart_rows and found.chart_rows + 1)
            assert height - fixed >= 3, "the text has no room"
    assert arrange(39, 30, lanes) is None
    assert arrange(80, 9, lanes) is None


def test_the_lanes_in_sight_follow_the_focus_as_little_as_they_can() -> None:
    assert visible(0, 3, 5, first=0) == 0
    assert visible(2, 3, 5, first=0) == 0
    assert visible(3, 3, 5, first=0) == 1
    assert visible(4, 3, 5, first=1) == 2
    assert visible(3, 3, 5, first=2) == 2
    assert visible(0, 3, 5, first=2) == 0
    assert visible(1, 1, 3, first=0) == 1
    assert visible(0, 4, 2, first=3) == 0


def test_sizes_of_the_design_are_tested() -> None:
    assert [Size(*size).area for size in SIZES] == [1920, 4320, 10000]
