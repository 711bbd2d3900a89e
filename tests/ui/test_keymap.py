"""The user's own keys: read from a file, shown everywhere, and never in each other's way."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spectui.places import CONFIG_VARIABLE
from spectui.protocol import commands as cmd
from spectui.ui.action import written as shown
from spectui.ui.actions import ACTIONS
from spectui.ui.keymap import FILE, Keymap, read_keymap, textual_key, with_keys
from tests.support.rig import running


def keymap(folder: Path, text: str) -> Keymap:
    path = folder / FILE
    path.write_text(text)
    return read_keymap(path, ACTIONS)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", {}),
        ('race.pause = "z"', {"race.pause": "z"}),
        ('"race.pause" = "f5"', {"race.pause": "f5"}),
        ('[race]\nnext = "ctrl+o"\n[view]\ncosts = "%"', {"race.next": "ctrl+o", "view.costs": "percent_sign"}),
        # Two actions may change places.
        ('race.next = "r"\nrace.restart = "n"', {"race.next": "r", "race.restart": "n"}),
    ],
)
def test_keys_are_read(tmp_path: Path, text: str, keys: dict[str, str]) -> None:
    assert keymap(tmp_path, text) == Keymap(keys)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('race.paus = "z"', r"keys.toml: unknown action 'race.paus': did you mean 'race.pause'\?"),
        ("race.pause = 3", r"keys.toml: race.pause = 3 is not a key: use one like"),
        ('race.pause = "no key"', r"keys.toml: race.pause = 'no key' is not a key"),
        ('race.pause = "shift+a"', r"keys.toml: race.pause = 'shift\+a' is not a key that terminals send: use \"A\""),
        ('race.pause = "Shift+Z"', r"use \"Z\""),
        ('race.pause = "ctrl+shift+o"', r"use \"ctrl\+o\""),
        ('race.pause = "n"', r"keys.toml: race.pause cannot use 'n', which race.next has"),
        ('race.pause = "z"\nrace.step = "z"', r"keys.toml: race.(pause|step) cannot use 'z', which race.\w+ has"),
        ("race.pause =", r"is not valid TOML: "),
        ("race.pause = " + "9" * 5_000, r"is not valid TOML: "),
        ("race.pause = " + "[" * 5_000 + "]" * 5_000, r"is not valid TOML: "),
        ("race.pause = " + "{a = " * 5_000 + "1" + "}" * 5_000, r"is not valid TOML: "),
        ("race" + ".a" * 5_000 + ' = "p"', r": tables nested too deeply"),
        ("race.pause = [{a" + ".a" * 5_000 + " = 1}]", r": tables nested too deeply"),
    ],
    ids=lambda value: value[:40],
)
def test_a_line_that_cannot_be_followed_is_named_and_left_out(tmp_path: Path, text: str, fault: str) -> None:
    found = keymap(tmp_path, text)
    (said,) = found.faults
    assert re.search(fault, said)
    assert len(found.keys) <= 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_from_any_editor_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    (tmp_path / FILE).write_bytes(f'race.next = "r"{end}race.restart = "n"{end}'.encode(encoding))
    assert read_keymap(tmp_path / FILE, ACTIONS) == Keymap({"race.next": "r", "race.restart": "n"})


def test_a_file_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes('race.next = "r"'.encode("utf-16"))
    assert read_keymap(tmp_path / FILE, ACTIONS) == Keymap({}, (f"{tmp_path / FILE} is not UTF-8 text",))


def test_no_file_is_no_fault(tmp_path: Path) -> None:
    assert read_keymap(tmp_path / FILE, ACTIONS) == Keymap({})


@pytest.mark.parametrize(("written", "key"), [("p", "p"), ("R", "R"), ("?", "question_mark"), ("F5", "f5")])
def test_keys_are_written_as_people_do(written: str, key: str) -> None:
    assert textual_key(written) == key


@pytest.mark.parametrize("letter", ["p", "P", "ö", "ж", "ß"])
def test_a_letter_is_shown_as_it_is(letter: str) -> None:
    assert shown(letter) == letter


def test_what_was_not_moved_stays_as_it_is() -> None:
    assert with_keys(ACTIONS, Keymap({})) == ACTIONS


async def test_the_key_works_and_is_shown_and_the_old_one_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / FILE).write_text('race.restart = "f5"\nrace.step = "no key"')
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path))
    async with running((120, 36)) as rig:
        await rig.settle(lambda: "race.step = 'no key' is not a key" in rig.text)
        assert "F5 restart" in rig.text.splitlines()[-1]
        before = len(rig.source.commands)
        await rig.press("r")
        assert len(rig.source.commands) == before
        await rig.press("f5")
        assert rig.source.commands[-1] == cmd.Restart()
        await rig.press("question_mark")
        await rig.pilot.press("end")
        await rig.pilot.press("pageup")
        assert "F5" in "\n".join(str(row) for row in rig.app.screen.query_one("HelpReader").content(110))  # type: ignore[attr-defined]
