"""Single steps on the screen, and the ways between them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.history import History, PastStep
from spectui.core.tokens import Role, Token
from spectui.protocol import commands as cmd
from spectui.protocol.events import Inspected, Likely, Step, TokenVerdict
from spectui.ui.controls import Choices, Controls
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.screens.inspect import InspectScreen
from spectui.ui.screens.live import LiveScreen
from spectui.ui.talk.slow_motion import SlowMotion
from spectui.ui.widgets.inspect_rows import inspect_rows
from tests.support.rig import Rig, running

STEP = Step(
    lane="mtp",
    request="0.0",
    slot=0,
    index=4,
    k=3,
    drafted=(11, 12, 13),
    accepted=1,
    emitted=(11, 22),
    cut=(),
    own="recovered",
    cut_reason=None,
    text=(" quick", "\n"),
    drafted_text=(" quick", " brown", " fox"),
    batch=1,
    wall_ns=30_000_000,
    clock_ns=90_000_000,
    draft_ns=4_000_000,
    verify_ns=25_000_000,
)
LIKELIEST = (Likely(22, "\n", 0.6), Likely(12, " brown", 0.25), Likely(14, "\x1b[31mred", 0.0001))
PLACES = (
    TokenVerdict(11, " quick", 0.9, 1, (Likely(11, " quick", 0.9),)),
    TokenVerdict(12, " brown", 0.25, 2, LIKELIEST),
    TokenVerdict(13, " fox", 0.0001, 4711, LIKELIEST),
)
PAST = PastStep(STEP, 7, 9)
LOG: list[Token] = [("The", Role.PLAIN), (" slow", Role.REJECTED), (" very", Role.ACCEPTED)]
ANSWER = Inspected("mtp", 0, 4, PLACES)
BONUS = replace(STEP, accepted=3, emitted=(11, 12, 13, 14), own="bonus", text=(" quick", " brown", " fox", " ran"))
PLAIN = replace(STEP, drafted=(), drafted_text=(), accepted=0, emitted=(11,), text=("The",), own="bonus")


def texts(past: PastStep, answer: Inspected | None, width: int = 116) -> list[str]:
    return [plain(row).rstrip() for row in inspect_rows(past, LOG, answer, width)]


@pytest.mark.parametrize("width", [40, 76, 116, 196])
@pytest.mark.parametrize("answer", [None, ANSWER, Inspected("mtp", 0, 4, (), "the lane is not running")])
@pytest.mark.parametrize("step", [STEP, BONUS, PLAIN, replace(STEP, draft_ns=None, batch=4)])
def test_rows_fit(step: Step, answer: Inspected | None, width: int) -> None:
    rows = inspect_rows(PastStep(step, 7, 9), LOG, answer, width)
    assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]


def test_a_rejection_is_told_in_words_and_in_figures() -> None:
    lines = texts(PAST, ANSWER)
    assert lines[0] == "The very"
    assert lines[2].startswith('3 drafted, 1 accepted: it broke off at "␣brown", which the target gave 25.0 % (rank 2)')
    assert lines[2].endswith('the target wrote "↵".')
    table = [line.split() for line in lines[5:9]]
    assert table[0][:6] == ["1", "␣quick", "accepted", "90.0", "%", "1"]
    assert table[1][:6] == ["2", "␣brown", "rejected", "25.0", "%", "2"]
    assert table[2] == ["+1", "↵", "recovered", "60.0", "%", "1"]
    assert table[3][:7] == ["3", "␣fox", "not", "reached", "<0.1", "%", "4711"]
    assert "\x1b" not in "".join(lines)
    assert any("4.0 + 25.0 + 1.0" in line for line in lines)


def test_what_is_not_known_is_a_dash_with_the_reason() -> None:
    asking = texts(PAST, None)
    assert any("asking the target" in line for line in asking)
    assert asking[5].split() == ["1", "␣quick", "accepted", "—", "—"]
    refused = texts(PAST, Inspected("mtp", 0, 4, (), "the lane is not running"))
    assert "— unknown: the lane is not running" in refused
    assert any("The drafter's own: —" in line for line in texts(PAST, ANSWER))


def test_a_bonus_and_a_step_without_draft_have_a_place_of_their_own() -> None:
    places = (*PLACES, TokenVerdict(14, " ran", 0.5, 1, LIKELIEST))
    lines = texts(PastStep(BONUS, 7, 9), Inspected("mtp", 0, 4, places))
    assert lines[8].split()[:5] == ["+1", "␣ran", "bonus", "50.0", "%"]
    assert PastStep(BONUS, 7, 9).asked == (11, 12, 13, 14)
    lines = texts(PastStep(PLAIN, 7, 9), Inspected("mtp", 0, 4, PLACES[:1]))
    assert lines[2] == "No draft: the target wrote one token."
    assert PastStep(PLAIN, 7, 9).asked == (11,)
    lines = texts(PastStep(replace(PLAIN, canvas=256), 7, 9), None)
    assert lines[2] == "256 positions denoised, 1 committed."
    assert not any(line.startswith("+1") for line in lines)
    assert PAST.asked == (11, 12, 13)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 12))
def test_the_ways_through_a_history(accepted: list[int], limit: int) -> None:
    history = History(limit)
    for index, count in enumerate(accepted):
        history.append(PastStep(replace(STEP, index=index, accepted=count), 0, 0))
    assert history.last == len(accepted) - 1
    assert history.first == max(0, len(accepted) - limit)
    kept = range(history.first, history.last + 1)
    assert [past.step.index for index in kept if (past := history.at(index))] == list(kept)
    assert history.at(history.first - 1) is None
    assert history.at(history.last + 1) is None
    rejections = [index for index in kept if accepted[index] < 3]
    most = max(accepted[index] for index in kept)
    for index in kept:
        behind = [one for one in rejections if one > index] or rejections
        assert history.next_rejection(index) == (behind[0] if behind else None)
        longest = [one for one in kept if accepted[one] == most and one > index]
        longest = longest or [one for one in kept if accepted[one] == most]
        assert history.next_longest(index) == (longest[0] if most else None)


async def opened(rig: Rig) -> InspectScreen:
    await rig.steps(60)
    await rig.press("i")
    assert isinstance(rig.app.screen, InspectScreen)
    return rig.app.screen


def place(rig: Rig) -> str:
    """What the title says about where one is."""
    return next(line for line in rig.text.splitlines() if " of " in line and "K = " in line)


async def test_keys_move_between_steps_and_lanes() -> None:
    async with running((120, 36)) as rig:
        await opened(rig)
        newest = place(rig)
        await rig.press("left")
        assert place(rig) != newest
        await rig.press("right")
        assert place(rig) == newest
        await rig.press("right")
        assert place(rig) == newest
        for key in ("r", "m"):
            before = place(rig)
            await rig.press(key)
            assert place(rig) != before
        title = place(rig).split()[0]
        await rig.press("tab")
        assert place(rig).split()[0] != title
        asked = [command for command in rig.source.commands if isinstance(command, cmd.Inspect)]
        assert len({(one.lane, one.index) for one in asked}) == len(asked) > 3
        await rig.press(".")
        assert isinstance(rig.source.commands[-2], cmd.StepOnce)
        await rig.press("escape")
        assert isinstance(rig.app.screen, LiveScreen)


async def test_a_running_race_stands_still_while_one_looks() -> None:
    async with running((120, 36)) as rig:
        view = rig.view
    sent: list[cmd.Command] = []
    slow = SlowMotion(sent.append, lambda seconds, call: None, lambda: None)
    app: Any = SimpleNamespace(choices=Choices(), slow=slow, view=replace(view, paused=False))
    Controls(app).stand_still()()
    assert sent == [cmd.Pause(), cmd.Resume()]
    for standing in (replace(view, paused=True), replace(view, paused=False, round_over=True)):
        app.view = standing
        Controls(app).stand_still()()
    assert len(sent) == 2
