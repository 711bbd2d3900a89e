"""Forks on the screen: the ways to go on from a step, the new round, and the way back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from spectui.cli.shot import indexed
from spectui.core.history import PastStep
from spectui.core.tokens import Role
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.sources.manual_replay import ManualReplay
from spectui.sources.synthetic.source import Pace
from spectui.trace.reader import Trace
from spectui.ui.app import SpecTUIApp
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.screens.fork import ForkReader, ForkScreen
from spectui.ui.screens.inspect import NO_FORK, InspectScreen
from spectui.ui.screens.live import LiveScreen
from spectui.ui.widgets.fork_rows import choices, fork_rows
from spectui.ui.widgets.ledger import Ledger
from spectui.ui.widgets.stream_layout import BRACKETS
from tests.sources.test_forks import forks
from tests.support.rig import SIZES, running
from tests.trace.making import file_of
from tests.ui.test_inspect_screen import ANSWER, BONUS, LOG, PAST, PLACES, PLAIN


def labels(past: PastStep, answer: ev.Inspected | None) -> list[tuple[str, int, int | None, bool]]:
    return [(one.text, one.keep, one.put, one.typed) for one in choices(past, answer)]


def test_a_refused_place_offers_what_the_target_found_likeliest_and_the_draft() -> None:
    # The step begins after 7 tokens, and the first of its drafted tokens was accepted.
    assert labels(PAST, ANSWER) == [
        ("change nothing", 7, None, False),
        ('"␣brown"', 8, 12, False),
        ('"␛[31mred"', 8, 14, False),
        ("a text of your own ...", 8, None, True),
    ]
    brown = choices(PAST, ANSWER)[1]
    assert brown.note.split("   ")[-2:] == [" 25.0 %", "the rejected draft"]
    rows, row = fork_rows(PAST, LOG, ANSWER, 1, 76)
    lines = [plain(one).rstrip() for one in rows]
    assert lines[0] == "The very quick"
    assert 'in place of "↵", which the target gave 60.0 %' in lines
    assert lines[row].startswith('▸ "␣brown"')


def test_without_an_answer_there_is_the_draft_and_what_one_types() -> None:
    assert [one[0] for one in labels(PAST, None)] == ["change nothing", '"␣brown"', "a text of your own ..."]
    assert any("asking the target" in plain(row) for row in fork_rows(PAST, LOG, None, 0, 76)[0])
    silent = ev.Inspected("mtp", 0, 4, (), "the lane is not running")
    assert not any("asking" in plain(row) for row in fork_rows(PAST, LOG, silent, 0, 76)[0])


def test_a_bonus_a_plain_token_and_a_cut_step() -> None:
    bonus = PastStep(BONUS, 7, 9)
    told = replace(ANSWER, places=(*PLACES, ev.TokenVerdict(14, " ran", 0.5, 1, (ev.Likely(9, " sat", 0.3),))))
    assert labels(bonus, told)[1:2] == [('"␣sat"', 10, 9, False)]
    assert [one[0] for one in labels(PastStep(PLAIN, 7, 9), None)] == ["change nothing", "a text of your own ..."]
    cut = replace(BONUS, emitted=(11, 12), cut=(13, 14), own=None, cut_reason="length")
    assert labels(PastStep(cut, 7, 9), told) == [("change nothing", 7, None, False)]
    canvas = replace(PLAIN, canvas=256)
    assert labels(PastStep(canvas, 7, 9), None) == [("change nothing", 7, None, False)]


@pytest.mark.parametrize("width", [38, 76, 116, 196])
@pytest.mark.parametrize("answer", [None, ANSWER])
def test_rows_fit_and_the_chosen_one_stays_in_sight(width: int, answer: ev.Inspected | None) -> None:
    reader = ForkReader(PAST, LOG, answer)
    for chosen in range(len(reader.choices)):
        reader.chosen = chosen
        assert all(row_width(row) <= width for row in reader.content(width))
        for height in (3, 5, 20):
            assert any(plain(row).startswith("▸") for row in reader.rows(width, height))


@pytest.mark.parametrize("size", SIZES)
async def test_a_fork_with_the_rejected_draft_and_back_to_the_parent(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        await rig.steps(60)
        await rig.press("i", "r", "f")
        assert isinstance(rig.app.screen, ForkScreen)
        assert "change nothing" in rig.text
        assert "the rejected draft" in rig.text
        await rig.press("down", "enter")
        assert isinstance(rig.app.screen, LiveScreen)
        await rig.settle(lambda: rig.view.round_over)
        (asked,) = [command for command in rig.source.commands if isinstance(command, cmd.Fork)]
        branch = rig.view.parent
        assert branch is not None
        assert (branch.round, branch.kept, branch.put) == (0, asked.keep, (asked.put,))
        assert branch.instead != branch.put_text
        assert branch.put_text.join(BRACKETS[Role.PUT]) in rig.text
        assert "fork" in rig.text.splitlines()[0]
        assert "u parent" in rig.text
        for lane in rig.view.lanes:
            assert lane.stream is not None
            assert [lane.stream.log[n] for n in range(2)] == [(branch.text, Role.KEPT), (branch.put_text, Role.PUT)]
        await rig.press("u")
        await rig.settle(lambda: rig.view.round == 2)
        assert rig.view.parent is None
        await rig.press("u")
        assert rig.view.round == 2


async def test_f_forks_the_newest_step_and_a_text_can_be_typed() -> None:
    async with running((80, 24)) as rig:
        await rig.steps(60)
        await rig.press("f", "end")
        assert isinstance(rig.app.screen, ForkScreen)
        await rig.press("enter")
        await rig.settle(lambda: isinstance(rig.app.screen, LiveScreen) and rig.app.live.typing is not None)
        assert "Enter put it in place of" in rig.text
        await rig.press("x", "y", "enter")
        await rig.settle(lambda: rig.view.round == 1)
        (asked,) = [command for command in rig.source.commands if isinstance(command, cmd.Fork)]
        stood = rig.view.parent.instead if rig.view.parent else ""
        # A space that stood there stands there again, unless it is deleted.
        assert asked.text == (" xy" if stood.startswith(" ") else "xy")


async def test_whoever_changes_their_mind_is_where_they_were_and_the_race_goes_on() -> None:
    endless = ev.Sampling(max_tokens=100_000, ignore_eos=True)
    async with running((120, 36), paused=False, pace=Pace(real_time=1.0), wait=False, sampling=endless) as rig:
        await rig.until(lambda: rig.view.round is not None and all(lane.steps > 4 for lane in rig.view.lanes))
        await rig.pilot.press("f")
        await rig.until(lambda: isinstance(rig.app.screen, ForkScreen) and rig.view.paused)
        await rig.pilot.press("escape")
        assert isinstance(rig.app.screen, InspectScreen)
        await rig.pilot.press("f", "end", "enter")
        await rig.until(lambda: isinstance(rig.app.screen, LiveScreen) and rig.app.live.typing is not None)
        assert rig.view.paused
        await rig.pilot.press("escape")
        await rig.until(lambda: not rig.view.paused)
        assert rig.view.round == 0
        assert not [command for command in rig.source.commands if isinstance(command, cmd.Fork)]


async def test_a_click_on_the_ledger_looks_at_that_step() -> None:
    async with running((120, 36)) as rig:
        await rig.steps(60)
        ledger = list(rig.app.screen.query(Ledger))[2]
        row = rig.view.lanes[2].ledger[-3]
        await rig.pilot.click(ledger, offset=(4, 2))
        await rig.answered()
        assert isinstance(rig.app.screen, InspectScreen)
        assert rig.app.choices.focus == 2
        assert f"DFlash   step {row.index + 1} of" in rig.text
        await rig.press("f")
        assert isinstance(rig.app.screen, ForkScreen)


async def test_every_key_of_the_inspector_fits_80_columns() -> None:
    async with running((80, 24)) as rig:
        await rig.steps(20)
        await rig.press("i")
        head, *_, foot = [line.strip() for line in rig.text.splitlines() if line.strip()]
        assert head == "step inspector   one step, and what the target thought of each token"
        assert foot.endswith("f fork  Esc back")


async def test_a_replay_says_why_it_cannot_fork(tmp_path: Path) -> None:
    trace = Trace.open(file_of(tmp_path / "forks.jsonl", forks()))
    timeline = indexed(trace)
    app = SpecTUIApp(ManualReplay(timeline, timeline.known))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("i")
        await pilot.pause()
        assert isinstance(app.screen, InspectScreen)
        await pilot.press("f")
        await pilot.pause()
        assert isinstance(app.screen, InspectScreen)
        text = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert NO_FORK in text
        assert "f fork" not in text
