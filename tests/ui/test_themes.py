"""Choosing themes: the user's own beside those that ship, changed while the program runs, shown before being kept."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

import pytest
from textual import events

from spectui.cli.main import build_parser
from spectui.places import CONFIG_VARIABLE
from spectui.protocol import commands as cmd
from spectui.protocol.events import Sampling
from spectui.sources.synthetic.source import Pace
from spectui.ui.app import THEMES_S
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import plain, row_width
from spectui.ui.theme.files import shipped_folders, shipped_themes
from spectui.ui.theme.palette import BrokenThemeError, ThemeError
from spectui.ui.theme.theme_list import ThemeList, theme_rows
from spectui.ui.theme.themes import Themes, find
from tests.support.rig import SIZES, Rig, running
from tests.ui.test_app import check_screen, panes

MIDNIGHT = (Path(__file__).parents[2] / "themes" / "midnight.toml").read_text(encoding="utf-8")
GROUND = 'background = "#0d1117"'
SHIPPED = ["deuteranopia", "midnight", "mono", "paper", "stage", "tritanopia"]
_versions = count(1)


class Folder:
    """The user's folder of themes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def put(self, name: str, ground: str = "#0d1117", text: str = MIDNIGHT) -> Path:
        """Write a theme with that background; every time at another moment, however fast the test is."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / f"{name}.toml"
        path.write_text(text.replace(GROUND, f'background = "{ground}"'))
        moment = 1_700_000_000 + next(_versions)
        os.utime(path, (moment, moment))
        return path


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    return Folder(tmp_path / "themes")


def ground(themes: Themes, name: str) -> str:
    return themes.find(name).base["background"]


def test_all_that_ship_are_there_and_named_by_the_command_line(mine: Folder) -> None:
    assert list(Themes().by_name) == shipped_themes() == SHIPPED
    assert ", ".join(SHIPPED) in " ".join(build_parser().parse_args(["run"]).parser.format_help().split())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_theme_from_any_editor_is_read(mine: Folder, encoding: str, end: str) -> None:
    mine.put("aurora").write_bytes(end.join(MIDNIGHT.splitlines()).encode(encoding))
    assert find("aurora").base == find("midnight").base


def test_a_theme_in_another_encoding_is_named(mine: Folder) -> None:
    mine.put("aurora").write_bytes(MIDNIGHT.encode("utf-16"))
    with pytest.raises(BrokenThemeError, match=r"aurora\.toml is not UTF-8 text"):
        find("aurora")


def test_the_user_s_own_come_first(mine: Folder) -> None:
    mine.put("midnight", "#000001")
    mine.put("aurora", "#000002")
    themes = Themes()
    assert list(themes.by_name) == ["aurora", *SHIPPED]
    assert ground(themes, "midnight") == "#000001"
    assert find("aurora").base["background"] == "#000002"
    assert find("midnight", shipped_folders()).base["background"] == "#0d1117"


def test_what_changes_is_read_anew_and_nothing_else(mine: Folder) -> None:
    themes = Themes()
    assert not themes.look()
    paper = themes.find("paper")
    path = mine.put("midnight", "#000001")
    assert themes.look()
    assert ground(themes, "midnight") == "#000001"
    mine.put("midnight", "#000002")
    assert themes.look()
    assert ground(themes, "midnight") == "#000002"
    assert themes.find("paper") is paper
    path.unlink()
    assert themes.look()
    assert ground(themes, "midnight") == "#0d1117"
    assert not themes.look()


def test_a_broken_file_is_named_once_a_version_and_keeps_its_last_good_one(mine: Folder) -> None:
    path = mine.put("midnight", "#000001")
    themes = Themes()
    mine.put("midnight", "#00000")
    assert themes.look()
    assert [str(error) for error in themes.take_broken()] == [
        f"Theme {path} needs 'base.background' to be a colour like '#rrggbb', not '#00000'."
    ]
    assert not themes.take_broken()
    assert not themes.look()
    assert ground(themes, "midnight") == "#000001"
    mine.put("midnight", text="dark =")
    assert themes.look()
    assert "is not valid TOML" in str(themes.take_broken()[0])
    mine.put("midnight", "#000002")
    assert themes.look()
    assert not themes.take_broken()
    assert ground(themes, "midnight") == "#000002"


def test_a_file_that_never_was_good_hides_nothing(mine: Folder) -> None:
    mine.put("midnight", text="dark = 1")
    mine.put("aurora", text="dark = 1")
    themes = Themes()
    assert ground(themes, "midnight") == "#0d1117"
    assert list(themes.by_name) == SHIPPED
    with pytest.raises(BrokenThemeError, match=r"aurora.toml needs 'dark' to be true or false, not 1\.$"):
        themes.find("aurora")


def test_what_is_no_file_is_no_theme(mine: Folder) -> None:
    mine.path.mkdir(parents=True)
    (mine.path / "folder.toml").mkdir()
    (mine.path / "nowhere.toml").symlink_to(mine.path / "gone")
    os.mkfifo(mine.path / "pipe.toml")
    themes = Themes()
    assert list(themes.by_name) == SHIPPED
    assert not themes.take_broken()


def test_a_wrong_name_is_answered_with_the_nearest_or_all(mine: Folder) -> None:
    with pytest.raises(ThemeError, match=r"Unknown theme 'midnite': did you mean 'midnight'\?"):
        find("midnite")
    with pytest.raises(ThemeError, match=rf"Unknown theme 'solar': choose from {', '.join(SHIPPED)}\."):
        find("solar")


@pytest.mark.parametrize(("no_colour", "theme"), [("1", "mono"), ("", "midnight")])
async def test_without_colours_the_default_is_signs(
    monkeypatch: pytest.MonkeyPatch, no_colour: str, theme: str
) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    async with running() as rig:
        await rig.steps(40)
        assert rig.app.theme == theme
        assert ("⁺" in rig.text) == (theme == "mono")
        check_screen(rig)
    async with running(theme="stage") as rig:
        assert rig.app.theme == "stage"


def grounds(rig: Rig) -> set[str]:
    """Every background on the screen, as it would be drawn anew."""
    strips = rig.app.screen._compositor.render_strips()
    styles = [segment.style for strip in strips for segment in strip]
    return {style.bgcolor.get_truecolor().hex for style in styles if style and style.bgcolor}


async def second(rig: Rig) -> None:
    """Let the time between two looks at the files pass."""
    rig.clock.run_for(THEMES_S)
    await rig.settle()


async def test_a_changed_file_is_on_the_screen_within_a_second(mine: Folder) -> None:
    mine.put("midnight", "#101112")
    async with running() as rig:
        await rig.steps(20)
        text = rig.text
        assert grounds(rig) == {"#101112"}
        mine.put("midnight", "#131415")
        await second(rig)
        assert grounds(rig) == {"#131415"}
        assert rig.text == text
        check_screen(rig)
        (mine.path / "midnight.toml").unlink()
        await second(rig)
        assert grounds(rig) == {"#0d1117"}


async def test_a_theme_that_is_taken_away_stays_on_the_screen(mine: Folder) -> None:
    path = mine.put("aurora", "#101112")
    async with running(theme="aurora") as rig:
        path.unlink()
        await second(rig)
        assert grounds(rig) == {"#101112"}


async def test_another_theme_s_file_changes_nothing_on_the_screen(mine: Folder) -> None:
    async with running() as rig:
        parsed = rig.app._css_update_count
        mine.put("aurora")
        await second(rig)
        assert "aurora" in rig.app.themes.by_name
        assert rig.app._css_update_count == parsed
        assert grounds(rig) == {"#0d1117"}


async def test_a_file_that_breaks_is_named_once_and_the_screen_stays(mine: Folder) -> None:
    mine.put("midnight", "#101112")
    async with running((80, 24)) as rig:
        mine.put("midnight", "#1011")
        await second(rig)
        assert "theme skipped: midnight.toml needs 'base." in rig.text
        assert grounds(rig) == {"#101112"}
        for _ in range(7):
            await second(rig)
        assert "theme skipped" not in rig.text
        mine.put("midnight", "#131415")
        await second(rig)
        assert grounds(rig) == {"#131415"}


async def test_files_that_are_broken_from_the_start_are_all_named(mine: Folder) -> None:
    mine.put("midnight", text="")
    mine.put("aurora", text="dark = true")
    async with running((80, 24)) as rig:
        assert "themes skipped: aurora.toml, midnight.toml; aurora.toml needs a table" in rig.text
        assert grounds(rig) == {"#0d1117"}


async def test_no_look_is_taken_after_the_end(mine: Folder) -> None:
    async with running() as rig:
        await rig.pilot.press("q")
        await rig.pilot.pause()
        mine.put("aurora")
        rig.clock.run_for(3 * THEMES_S)
        assert "aurora" not in rig.app.themes.by_name


@pytest.mark.parametrize("size", [*SIZES, (60, 12), (40, 10)])
async def test_moving_shows_a_theme_at_once_and_esc_goes_back(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        await rig.steps(30)
        before, text = grounds(rig), rig.text
        await rig.press("t")
        check_screen(rig)
        assert "▸ midnight" in rig.text
        assert "Enter keep" in rig.text
        for name in ("mono", "paper", "stage", "tritanopia", "deuteranopia", "midnight", "mono", "paper"):
            await rig.press("down")
            assert rig.app.theme == name
            assert f"▸ {name}" in rig.text
            check_screen(rig)
        assert "#fbf9f4" in grounds(rig)
        await rig.press("escape")
        assert rig.app.theme == "midnight"
        assert grounds(rig) == before
        assert rig.text == text


async def test_enter_keeps_a_theme_and_the_list_opens_there_again() -> None:
    async with running() as rig:
        await rig.press("t", "end", "up", "enter")
        assert rig.app.theme == "stage"
        assert "Enter keep" not in rig.text
        assert grounds(rig) == {"#000000"}
        await rig.press("t")
        assert "▸ stage" in rig.text
        assert "back to stage" in rig.text
        await rig.press("t", "home", "q")
        assert rig.app.theme == "stage"


async def test_keys_typed_at_once_reach_the_list_and_then_the_race() -> None:
    async with running() as rig:
        for key, character in (("t", "t"), ("down", None), ("down", None), ("enter", None), ("n", "n")):
            rig.app.post_message(events.Key(key, character))
        await rig.settle(lambda: cmd.NextPrompt(1) in rig.source.commands)
        assert rig.app.theme == "paper"


async def test_while_choosing_no_other_key_acts_but_ctrl_c_quits() -> None:
    async with running() as rig:
        await rig.press("t", "n", "space", "tab", "slash", "question_mark", "2", "x")
        assert rig.source.commands == []
        assert rig.app.choices.focus == 1
        assert rig.app.screen.query_one(ThemeList).is_open
        await rig.pilot.press("ctrl+c")
        await rig.pilot.pause()
        assert rig.source.commands == [cmd.Shutdown()]


async def test_the_race_goes_on_in_sight_while_themes_are_chosen() -> None:
    endless = Sampling(max_tokens=10**9, ignore_eos=True)
    async with running(pace=Pace(tokens_s=2_000.0), paused=False, sampling=endless, wait=False) as rig:
        await rig.until(lambda: rig.view.lane_time_s > 0.5)
        await rig.pilot.press("t")
        for _ in range(4):
            seen, steps = rig.text, sum(lane.steps for lane in rig.view.lanes)
            await rig.pilot.press("down")
            await rig.until(lambda: sum(lane.steps for lane in rig.view.lanes) > steps + 20)  # noqa: B023
            assert rig.text != seen
        assert [pane.region.height > 5 for pane in panes(rig)] == [True] * 3
        await rig.pilot.press("enter")
        await rig.pilot.press("space")
        await rig.settle(lambda: rig.view.paused)
        check_screen(rig)


@pytest.mark.parametrize("size", SIZES[1:])
async def test_the_panes_stay_where_they_are_while_themes_are_chosen(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        before = [pane.region.width for pane in panes(rig)]
        await rig.press("t")
        assert [pane.region.width for pane in panes(rig)] == before


async def test_a_screen_too_small_for_the_list_gives_it_back() -> None:
    async with running((80, 24)) as rig:
        await rig.press("t", "down")
        await rig.pilot.resize_terminal(30, 8)
        await rig.settle()
        assert "needs more room" in rig.text
        await rig.pilot.resize_terminal(120, 36)
        await rig.settle()
        await rig.press("down")
        assert "▸ paper" in rig.text
        await rig.press("escape")
        assert rig.app.theme == "midnight"
        check_screen(rig)


async def test_a_click_shows_a_theme() -> None:
    async with running((80, 24)) as rig:
        await rig.press("t")
        row = next(y for y, line in enumerate(rig.text.splitlines()) if "tritanopia" in line)
        await rig.pilot.click(offset=(4, row))
        await rig.settle(lambda: rig.app.theme == "tritanopia")


async def test_more_themes_than_rows_scroll(mine: Folder) -> None:
    for number in range(30):
        mine.put(f"own-{number:02}")
    async with running((80, 24)) as rig:
        await rig.press("t")
        for key, name in (("end", "tritanopia"), ("home", "deuteranopia"), ("up", "tritanopia"), ("down", SHIPPED[0])):
            await rig.press(key)
            assert f"▸ {name}" in rig.text
            check_screen(rig)
        for _ in range(20):
            await rig.press("down")
            assert f"▸ {rig.app.theme}" in rig.text
        assert rig.app.theme == "own-17"


@pytest.mark.slow
async def test_the_open_list_follows_the_files(mine: Folder) -> None:
    async with running() as rig:
        await rig.press("t", "down")
        mine.put("zenith", "#101112")
        mine.put("midnight", "#131415")
        await second(rig)
        assert "  zenith" in rig.text
        check_screen(rig)
        await rig.press("end")
        assert grounds(rig) >= {"#101112"}
        (mine.path / "zenith.toml").unlink()
        await second(rig)
        assert "zenith" not in rig.text
        await rig.press("escape")
        assert grounds(rig) == {"#131415"}


async def test_a_whole_screen_is_drawn_in_the_theme_at_once() -> None:
    async with running() as rig:
        await rig.steps(30)
        await rig.press("t", "end", "enter")
        fitting = set(map(id, rig.app.palette.values()))
        for canvas in rig.app.screen.query(Canvas):
            if canvas.display and canvas.size.area:
                lines = [canvas.render_line(y) for y in range(canvas.size.height)]
                assert all(id(segment.style) in fitting for line in lines for segment in line), canvas


@pytest.mark.parametrize("width", [40, 60, 78, 118])
def test_rows_show_every_theme_in_its_own_colours(width: int) -> None:
    themes = Themes().by_name
    rows = theme_rows(themes, "paper", width)
    assert [plain(row).split()[0] for row in rows] == ["themes", *("▸" if name == "paper" else name for name in themes)]
    assert width < 78 or len({row_width(row) for row in rows[1:]}) == 1
    assert width < 78 or all(plain(row).rstrip().endswith("━━━━━━") for row in rows[1:])
    for row, (name, theme) in zip(rows[1:], themes.items(), strict=True):
        named = {style.removeprefix(f"{name}/") for _, style in row[1:]}
        assert {"role.accepted", "role.rejected", "role.recovered", "role.bonus", "role.pending"} <= named
        assert ("[rejected]" in plain(row)) == bool(theme.palette.signs)
