"""The registry of actions: complete, without clashes, and every key of it does something in the running app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.playback import Playhead
from spectui.sources.synthetic.race import demo_lanes
from spectui.sources.synthetic.source import SyntheticSource
from spectui.ui.actions import ACTIONS, TALK_GROUP, Action, bindings, groups, keys_table
from spectui.ui.screens.costs import CostsScreen
from spectui.ui.screens.help import HelpScreen
from spectui.ui.screens.inspect import InspectScreen
from spectui.ui.screens.log import LogScreen
from spectui.ui.screens.machine import MachineScreen
from spectui.ui.screens.prompt import PromptLine
from spectui.ui.widgets.token_stream import TokenStream
from tests.support.stage import FakeLog, Stage, running

Check = Callable[[Stage, str], Awaitable[None]]


def sends(*commands: cmd.Command) -> Check:
    async def check(stage: Stage, key: str) -> None:
        before = len(stage.source.commands)
        await stage.press(key)
        assert stage.source.commands[before:] == list(commands)

    return check


def sends_in_a_replay(command: cmd.Command) -> Check:
    """And does nothing in a live race."""

    async def check(stage: Stage, key: str) -> None:
        await sends()(stage, key)
        stage.app.reduce(Playhead(number=5, total=10, lane_ns=5, total_ns=10, known=1.0, speed=1.0))
        await sends(command)(stage, key)

    return check


def shows(kind: type) -> Check:
    async def check(stage: Stage, key: str) -> None:
        await stage.press(key)
        assert isinstance(stage.app.screen, kind)
        await stage.press("escape")
        assert not isinstance(stage.app.screen, kind)

    return check


def focuses(by_key: Callable[[int], int]) -> Check:
    async def check(stage: Stage, key: str) -> None:
        before = stage.app.choices.focus
        await stage.press(key)
        assert stage.app.choices.focus == by_key(before)

    return check


def focuses_lane(place: int) -> Check:
    return focuses(lambda _: place)


async def opens_the_prompt(stage: Stage, key: str) -> None:
    await stage.press(key)
    line = stage.app.screen.query_one(PromptLine)
    assert line.is_open
    await stage.press("escape")
    assert not line.is_open


async def inspects(stage: Stage, key: str) -> None:
    await stage.press(key)
    await stage.settle(lambda: "a synthetic race has no target to ask" in stage.text)
    assert isinstance(stage.app.screen, InspectScreen)


async def shows_of_the_rejected(stage: Stage, key: str) -> None:
    await stage.pilot.resize_terminal(200, 50)
    stream = stage.app.screen.query(TokenStream).first()
    assert stream.rejected == "first"
    for shown, offered in (("all", "hide rejected"), ("none", "first rejected"), ("first", "all rejected")):
        await stage.press(key)
        assert stream.rejected == shown
        assert f"{key} {offered}" in stage.text


async def stops(stage: Stage, key: str) -> None:
    """What a terminal does then is the matter of its own tests."""
    stopped: list[bool] = []
    driver = SimpleNamespace(can_suspend=True, stand_still=lambda *, group: stopped.append(group))
    stage.app._suspension._driver = driver  # type: ignore[assignment]
    await stage.pilot.press(key)
    await stage.settle(lambda: stopped == [True])


async def presents(stage: Stage, key: str) -> None:
    await stage.pilot.resize_terminal(120, 36)
    await stage.settle()
    assert "accepted per step" in stage.text
    await stage.press(key)
    assert "accepted per step" not in stage.text
    await stage.press(key)
    assert "accepted per step" in stage.text


async def slows_down(stage: Stage, key: str) -> None:
    await stage.press(key)
    assert not stage.app.slow.on, "slow motion is a part of presenting"
    await stage.press("p", key)
    assert stage.app.slow.on
    assert "slow motion" in stage.text
    await stage.press(key)
    assert not stage.app.slow.on


async def changes_the_window(stage: Stage, key: str) -> None:
    await stage.pilot.resize_terminal(120, 36)
    await stage.settle()
    assert "window " in stage.text
    before = stage.text
    await stage.press(key)
    assert not stage.app.choices.windowed
    assert "all " in stage.text
    assert stage.text != before


async def offers_themes(stage: Stage, key: str) -> None:
    before = stage.app.theme
    await stage.press(key)
    assert all(name in stage.text for name in stage.app.themes.by_name)
    await stage.press("down")
    assert stage.app.theme != before
    await stage.press("escape")
    assert stage.app.theme == before


async def scrolls(stage: Stage, key: str) -> None:
    """Up from the end, or down from the beginning, changes what is in sight."""
    down = key in ("down", "pagedown", "end")
    await stage.press("home" if down else "end")
    before = stage.text
    await stage.press(key)
    assert stage.text != before


async def saves_a_picture(stage: Stage, key: str) -> None:
    await stage.press(key)
    [picture] = Path.cwd().glob("*.svg")
    assert "Fibonacci" in picture.read_text()
    assert stage.view.notice == f"saved {picture}"


async def quits(stage: Stage, key: str) -> None:
    await stage.pilot.press(key)
    await stage.pilot.pause()
    assert stage.app._exit
    assert stage.source.commands[-1] == cmd.Shutdown()


CHECKS: dict[str, Check] = {
    "race.pause": sends(cmd.Resume()),
    "race.step": sends(cmd.StepOnce()),
    "race.next": sends(cmd.NextPrompt(1)),
    "race.previous": sends(cmd.NextPrompt(-1)),
    "race.prompt": opens_the_prompt,
    "race.category": sends(cmd.NextCategory()),
    "race.temperature": opens_the_prompt,
    "race.restart": sends(cmd.Restart()),
    "race.more": sends(cmd.SetConcurrency(3)),
    "race.fewer": sends(cmd.SetConcurrency(1)),
    "lane.next": focuses(lambda focus: (focus + 1) % 3),
    "lane.previous": focuses(lambda focus: (focus - 1) % 3),
    "lane.more_k": sends(cmd.SetK("mtp", 2)),
    "lane.fewer_k": sends(cmd.SetK("mtp", 0)),
    "lane.k": opens_the_prompt,
    "lane.tune": sends(cmd.Tune("mtp")),
    "replay.back": sends_in_a_replay(cmd.StepBack()),
    "replay.later": sends_in_a_replay(cmd.Seek(1)),
    "replay.earlier": sends_in_a_replay(cmd.Seek(-1)),
    "replay.much_later": sends_in_a_replay(cmd.Seek(10)),
    "replay.much_earlier": sends_in_a_replay(cmd.Seek(-10)),
    "replay.begin": sends_in_a_replay(cmd.SeekTo(0)),
    "replay.end": sends_in_a_replay(cmd.SeekTo(1)),
    "replay.faster": sends_in_a_replay(cmd.ChangeSpeed(1)),
    "replay.slower": sends_in_a_replay(cmd.ChangeSpeed(-1)),
    "program.record": sends(cmd.Record()),
    "view.machine": shows(MachineScreen),
    "view.inspect": inspects,
    "view.present": presents,
    "view.slow": slows_down,
    "view.costs": shows(CostsScreen),
    "view.rejected": shows_of_the_rejected,
    "view.window": changes_the_window,
    "view.request_next": lambda stage, key: shows_request(stage, key),
    "view.request_previous": lambda stage, key: shows_request(stage, key),
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


async def shows_request(stage: Stage, key: str) -> None:
    log = stage.lane("mtp").stream
    await stage.press(key)
    assert stage.app.choices.slot == 1
    assert "request 2 of 2" in stage.text or stage.lane("mtp").slot == 1
    other = stage.lane("mtp").stream
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
    async with running((120, 20), log=FakeLog("a line"), concurrency=2) as stage:
        stage.source.send(cmd.SetK("mtp", 1))
        await stage.steps(120)
        assert stage.lane("mtp").k == 1
        await CHECKS[action.id](stage, key)


@pytest.mark.parametrize("key", ["question_mark", "i", "s", "g", "l"])
async def test_every_screen_can_be_saved_as_a_picture(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with running((120, 36), log=FakeLog("a line")) as stage:
        await stage.steps(60)
        await stage.press(key, "S")
        [picture] = tmp_path.glob("*.svg")
        title = stage.text.split("\n")[0].split()[0]
        assert f">{title}" in picture.read_text()
        await stage.press("escape")
        assert f"saved {picture}" in stage.text


def test_ids_and_keys_are_unique_and_every_action_is_checked() -> None:
    ids = [action.id for action in ACTIONS]
    keys = [key for action in ACTIONS for key in action.keys.split(",")]
    assert len(set(ids)) == len(ids)
    assert len(set(keys)) == len(keys)
    assert set(CHECKS) == set(ids)
    assert len(bindings()) == len(keys)


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
    assert set(groups()) == {"Race", "Replay", "Lanes", "View", "Program", TALK_GROUP}


async def test_what_cannot_be_done_is_dimmed_and_does_nothing() -> None:
    async with running(lanes=demo_lanes()[:1]) as stage:
        screen = stage.app.screen
        assert screen.check_action("move_focus", (1,)) is None
        assert screen.check_action("change_k", (1,)) is None
        assert screen.check_action("request", (1,)) is None
        assert screen.check_action("concurrency", (-1,)) is None
        assert screen.check_action("pause", ()) is True
        before = list(stage.source.commands)
        await stage.press("plus", "minus", "left_square_bracket", "greater_than_sign", "tab", "2")
        assert stage.source.commands == before
        assert stage.app.choices.focus == 0
        await stage.press("space")
        await stage.settle(lambda: stage.view.round_over)
        await stage.press("space")
        assert stage.source.commands[-1] == cmd.Resume()
        assert screen.check_action("step", ()) is None


async def test_k_counts_every_press_even_before_the_source_answers() -> None:
    async with running() as stage:
        await stage.press("3")
        await stage.press("minus", "minus", "minus", "plus")
        assert stage.lane("dflash").k == 3
        asked = [command.k for command in stage.source.commands if isinstance(command, cmd.SetK)]
        assert asked == [4, 3, 2, 3]


async def test_the_palette_offers_what_can_be_done() -> None:
    async with running() as stage:
        offered = {command.title for command in stage.app.get_system_commands(stage.app.screen)}
        assert {"step", "restart", "theme", "help"} <= offered
        assert "next request" not in offered


async def test_a_footer_key_can_be_clicked() -> None:
    async with running((120, 36)) as stage:
        row = stage.text.splitlines()[-1]
        await stage.pilot.click(offset=(row.index("restart"), 35))
        await stage.settle(lambda: cmd.Restart() in stage.source.commands)


def test_the_source_protocol_is_kept() -> None:
    from spectui.protocol.source import Source

    source: Source = SyntheticSource()
    assert source.slot.busy is False


async def test_a_folder_that_is_gone_takes_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    async with running((120, 36)) as stage:
        (tmp_path / "gone").rmdir()
        await stage.press("S")
        assert "no picture can be saved in the current folder, which is gone" in stage.text
