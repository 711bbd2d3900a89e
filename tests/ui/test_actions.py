"""The registry of actions: complete, without clashes, and every key of it does something in the running app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.source import Source
from spectui.sources.replay import Replay
from spectui.sources.synthetic.race import demo_lanes
from spectui.sources.synthetic.source import SyntheticSource
from spectui.sources.vllm.host import EngineHost
from spectui.ui.action import TALK_GROUP, Action, bindings, groups
from spectui.ui.actions import ACTIONS, keys_table
from spectui.ui.paint.rows import plain
from spectui.ui.screens.analysis import AnalysisScreen
from spectui.ui.screens.costs import CostsScreen
from spectui.ui.screens.fork import ForkScreen
from spectui.ui.screens.help import HelpScreen, help_rows
from spectui.ui.screens.inspect import InspectScreen
from spectui.ui.screens.lines import KeysLine
from spectui.ui.screens.live import LiveScreen
from spectui.ui.screens.log import LogScreen
from spectui.ui.screens.machine import MachineScreen
from spectui.ui.screens.prompt import PromptLine
from spectui.ui.widgets.token_stream import TokenStream
from tests.support.rig import FakeLog, Rig, running

Check = Callable[[Rig, str], Awaitable[None]]


def sends(*commands: cmd.Command) -> Check:
    async def check(rig: Rig, key: str) -> None:
        before = len(rig.source.commands)
        await rig.press(key)
        assert rig.source.commands[before:] == list(commands)

    return check


def sends_where_it_is_taken(command: cmd.Command) -> Check:
    """And does nothing with a source that does not take it."""

    async def check(rig: Rig, key: str) -> None:
        if type(command) not in rig.source.accepts:
            await sends()(rig, key)
            rig.source.accepts |= {type(command)}
        await sends(command)(rig, key)

    return check


def shows(kind: type) -> Check:
    async def check(rig: Rig, key: str) -> None:
        await rig.press(key)
        assert isinstance(rig.app.screen, kind)
        await rig.press("escape")
        assert not isinstance(rig.app.screen, kind)

    return check


def focuses(by_key: Callable[[int], int]) -> Check:
    async def check(rig: Rig, key: str) -> None:
        before = rig.app.choices.focus
        await rig.press(key)
        assert rig.app.choices.focus == by_key(before)

    return check


def focuses_lane(place: int) -> Check:
    return focuses(lambda _: place)


async def opens_the_prompt(rig: Rig, key: str) -> None:
    await rig.press(key)
    line = rig.app.screen.query_one(PromptLine)
    assert line.is_open
    await rig.press("escape")
    assert not line.is_open


async def inspects(rig: Rig, key: str) -> None:
    await rig.press(key)
    await rig.settle(lambda: "a synthetic race has no target to ask" in rig.text)
    assert isinstance(rig.app.screen, InspectScreen)


async def does_nothing(rig: Rig, key: str) -> None:
    """In a race: what it does over servers is tested with them."""
    before = rig.text
    await rig.press(key)
    assert rig.text == before
    assert rig.app.screen is rig.app.live


async def goes_to_the_parent(rig: Rig, key: str) -> None:
    await sends()(rig, key)
    await rig.press("f", "enter")
    await rig.settle(lambda: rig.view.parent is not None)
    await sends(cmd.ToParent())(rig, key)
    assert rig.view.parent is None
    assert len(rig.view.prompts) == 2


async def shows_of_the_rejected(rig: Rig, key: str) -> None:
    await rig.pilot.resize_terminal(200, 50)
    stream = rig.app.screen.query(TokenStream).first()
    assert stream.rejected == "first"
    for shown, offered in (("all", "hide rejected"), ("none", "first rejected"), ("first", "all rejected")):
        await rig.press(key)
        assert stream.rejected == shown
        assert f"{key} {offered}" in rig.text


async def shows_heat(rig: Rig, key: str) -> None:
    stream = rig.app.screen.query(TokenStream).first()
    for shown in (True, False):
        await rig.press(key)
        assert stream.heat == shown
        assert ("per step  1" in rig.text) == shown


async def stops(rig: Rig, key: str) -> None:
    """What a terminal does then is the matter of its own tests."""
    stopped: list[bool] = []
    driver = SimpleNamespace(can_suspend=True, stand_still=lambda *, group: stopped.append(group))
    rig.app._suspension._driver = driver  # type: ignore[assignment]
    await rig.pilot.press(key)
    await rig.settle(lambda: stopped == [True])


async def presents(rig: Rig, key: str) -> None:
    await rig.pilot.resize_terminal(120, 36)
    await rig.settle()
    assert "accepted per step" in rig.text
    await rig.press(key)
    assert "accepted per step" not in rig.text
    await rig.press(key)
    assert "accepted per step" in rig.text


async def slows_down(rig: Rig, key: str) -> None:
    await rig.press(key)
    assert not rig.app.slow.on, "slow motion is a part of presenting"
    await rig.press("p", key)
    assert rig.app.slow.on
    assert "slow motion" in rig.text
    await rig.press(key)
    assert not rig.app.slow.on


async def changes_the_window(rig: Rig, key: str) -> None:
    await rig.pilot.resize_terminal(120, 36)
    await rig.settle()
    assert "window " in rig.text
    before = rig.text
    await rig.press(key)
    assert not rig.app.choices.windowed
    assert "all " in rig.text
    assert rig.text != before


async def offers_themes(rig: Rig, key: str) -> None:
    before = rig.app.theme
    await rig.press(key)
    assert all(name in rig.text for name in rig.app.themes.by_name)
    await rig.press("down")
    assert rig.app.theme != before
    await rig.press("escape")
    assert rig.app.theme == before


async def scrolls(rig: Rig, key: str) -> None:
    """Up from the end, or down from the beginning, changes what is in sight."""
    down = key in ("down", "pagedown", "end")
    await rig.press("home" if down else "end")
    before = rig.text
    await rig.press(key)
    assert rig.text != before


async def saves_a_picture(rig: Rig, key: str) -> None:
    await rig.press(key)
    [picture] = Path.cwd().glob("*.svg")
    assert "Fibonacci" in picture.read_text()
    assert rig.view.notice == f"saved {picture}"


async def quits(rig: Rig, key: str) -> None:
    await rig.pilot.press(key)
    await rig.pilot.pause()
    assert rig.app._exit
    assert rig.source.commands[-1] == cmd.Shutdown()


CHECKS: dict[str, Check] = {
    **{action.id: sends_where_it_is_taken(action.do) for action in ACTIONS if not callable(action.do)},
    "race.pause": sends(cmd.Resume()),
    "race.step": sends(cmd.StepOnce()),
    "race.prompt": opens_the_prompt,
    "race.temperature": opens_the_prompt,
    "race.restart": sends(cmd.Restart()),
    "race.fork": shows(ForkScreen),
    "race.parent": goes_to_the_parent,
    "race.more": sends(cmd.SetConcurrency(3)),
    "race.fewer": sends(cmd.SetConcurrency(1)),
    "lane.next": focuses(lambda focus: (focus + 1) % 3),
    "lane.previous": focuses(lambda focus: (focus - 1) % 3),
    "lane.more_k": sends(cmd.SetK("mtp", 2)),
    "lane.fewer_k": sends(cmd.SetK("mtp", 0)),
    "lane.k": opens_the_prompt,
    "lane.tune": sends_where_it_is_taken(cmd.Tune("mtp")),
    "replay.back": sends_where_it_is_taken(cmd.StepBack()),
    "view.machine": shows(MachineScreen),
    "served.open": inspects,
    "served.back": does_nothing,
    "served.order": does_nothing,
    "view.inspect": inspects,
    "view.present": presents,
    "view.slow": slows_down,
    "view.costs": shows(CostsScreen),
    "view.analysis": shows(AnalysisScreen),
    "view.rejected": shows_of_the_rejected,
    "view.heat": shows_heat,
    "view.window": changes_the_window,
    "view.request_next": lambda rig, key: shows_request(rig, key),
    "view.request_previous": lambda rig, key: shows_request(rig, key),
    "view.up": scrolls,
    "view.down": scrolls,
    "view.page_up": scrolls,
    "view.page_down": scrolls,
    "view.home": scrolls,
    "view.end": scrolls,
    "program.log": shows(LogScreen),
    "program.shot": saves_a_picture,
    "program.theme": offers_themes,
    "program.help": shows(HelpScreen),
    "program.suspend": stops,
    "program.quit": quits,
    **{f"lane.focus_{place + 1}": focuses_lane(place) for place in range(3)},
    **{f"lane.focus_{number}": focuses(lambda focus: focus) for number in range(4, 10)},
}


async def shows_request(rig: Rig, key: str) -> None:
    log = rig.lane("mtp").stream
    await rig.press(key)
    assert rig.app.choices.slot == 1
    assert "request 2 of 2" in rig.text or rig.lane("mtp").slot == 1
    other = rig.lane("mtp").stream
    assert log is not None
    assert other is not None
    assert other.log is not log.log


@pytest.mark.parametrize(
    ("action", "key"),
    [pytest.param(action, key, id=f"{action.id}-{key}") for action in ACTIONS for key in action.keys.split(",")],
)
async def test_every_key_does_what_the_registry_says(
    action: Action, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running((120, 20), log=FakeLog("a line"), concurrency=2) as rig:
        rig.source.send(cmd.SetK("mtp", 1))
        await rig.steps(120)
        assert rig.lane("mtp").k == 1
        await CHECKS[action.id](rig, key)


@pytest.mark.parametrize("key", ["question_mark", "i", "s", "g", "l"])
async def test_every_screen_can_be_saved_as_a_picture(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running((120, 36), log=FakeLog("a line")) as rig:
        await rig.steps(60)
        await rig.press(key, "S")
        [picture] = tmp_path.glob("*.svg")
        title = rig.text.split("\n")[0].split()[0]
        assert f">{title}" in picture.read_text()
        await rig.press("escape")
        assert f"saved {picture}" in rig.text


def test_ids_and_keys_are_unique_and_every_action_is_checked() -> None:
    ids = [action.id for action in ACTIONS]
    keys = [key for action in ACTIONS for key in action.keys.split(",")]
    assert len(set(ids)) == len(ids)
    assert len(set(keys)) == len(keys)
    assert set(CHECKS) == set(ids)
    assert len(bindings(ACTIONS)) == len(keys)


def test_every_key_is_one_that_textual_knows() -> None:
    from textual.keys import Keys, _character_to_key

    named = {key.value for key in Keys}
    for action in ACTIONS:
        for key in action.keys.split(","):
            known = key in named or (len(key) == 1 and _character_to_key(key) == key)
            signs = {_character_to_key(char) for char in ".,/?+-=[]<>{}"}
            assert known or key in signs or key in ("space", "shift+tab", "pageup", "pagedown"), key


def test_help_and_readme_list_every_action() -> None:
    table = keys_table()
    for action in ACTIONS:
        if not action.id.startswith("lane.focus_"):
            assert action.description in table
    assert "`1-9`" in table
    assert set(groups(ACTIONS)) == {"Race", "Replay", "Lanes", "Attached servers", "View", "Program", TALK_GROUP}


async def test_what_cannot_be_done_is_dimmed_and_does_nothing() -> None:
    async with running(lanes=demo_lanes()[:1]) as rig:
        screen = rig.app.screen
        for action in ("lane.next", "lane.more_k", "view.request_next", "race.fewer"):
            assert screen.check_action("do", (action,)) is None
        assert screen.check_action("do", ("race.pause",)) is True
        before = list(rig.source.commands)
        await rig.press("plus", "minus", "left_square_bracket", "greater_than_sign", "tab", "2")
        assert rig.source.commands == before
        assert rig.app.choices.focus == 0
        await rig.press("space")
        await rig.settle(lambda: rig.view.round_over)
        await rig.press("space")
        assert rig.source.commands[-1] == cmd.Resume()
        assert screen.check_action("do", ("race.step",)) is None


@pytest.mark.parametrize("source", [EngineHost, Replay])
async def test_keys_that_the_source_does_not_take_are_dimmed_in_help_and_leave_the_footer(source: type[Source]) -> None:
    async with running((200, 50)) as rig:
        rig.source.accepts = source.accepts  # type: ignore[assignment]
        rig.app.redraw()
        await rig.settle()
        footer = rig.text.splitlines()[-1]
        rows = help_rows(110, ACTIONS, rig.source.accepts)
        styles = {plain(row[:1]): row[0][1] for row in rows if row}
        for action in ACTIONS:
            taken = action.command is None or action.command in rig.source.accepts
            if not action.id.startswith("lane.focus_"):
                assert styles[action.shown] == ("key" if taken else "faint"), action.id
            if action.footer is not None and action.presenting is None and action.label_now is None:
                assert (f"{action.shown} {action.label}" in footer) == (taken and not action.served), action.id


async def test_a_key_that_can_do_something_again_is_lit_in_the_next_frame() -> None:
    async with running((120, 36)) as rig:
        screen = rig.app.screen
        assert isinstance(screen, LiveScreen)

        def style() -> str:
            [row] = screen.query_one(KeysLine).rows(120, 1)
            return next(style for (_, style), (text, _) in pairwise(row) if text.startswith(" inspect"))

        assert style() == "faint"
        await rig.steps(1)
        await rig.press("2")
        assert style() == "faint", "no step of this lane yet"
        await rig.steps(6)
        assert style() == "key"


async def test_whoever_measures_hears_of_every_action() -> None:
    async with running((120, 36)) as rig:
        heard: list[str] = []
        rig.app.acts = heard.append  # type: ignore[method-assign]
        await rig.press("w", "n")
        assert heard == ["view.window", "race.next"]


async def test_k_counts_every_press_even_before_the_source_answers() -> None:
    async with running() as rig:
        await rig.press("3")
        await rig.press("minus", "minus", "minus", "plus")
        assert rig.lane("dflash").k == 3
        asked = [command.k for command in rig.source.commands if isinstance(command, cmd.SetK)]
        assert asked == [4, 3, 2, 3]


async def test_the_palette_offers_what_can_be_done() -> None:
    async with running() as rig:
        offered = {command.title for command in rig.app.get_system_commands(rig.app.screen)}
        assert {"step", "restart", "theme", "help"} <= offered
        assert "next request" not in offered


async def test_a_footer_key_can_be_clicked() -> None:
    async with running((120, 36)) as rig:
        row = rig.text.splitlines()[-1]
        await rig.pilot.click(offset=(row.index("restart"), 35))
        await rig.settle(lambda: cmd.Restart() in rig.source.commands)


def test_the_source_protocol_is_kept() -> None:

    source: Source = SyntheticSource()
    assert source.slot.busy is False


async def test_a_folder_that_is_gone_takes_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    async with running((120, 36)) as rig:
        (tmp_path / "gone").rmdir()
        await rig.press("S")
        assert "the picture cannot be saved in the current folder, which no longer exists" in rig.text
