"""The user's own keys: ``keys.toml`` in the configuration folder, with an action's id and its key on each line.

An invalid line is reported and skipped; the action keeps its key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from textual.keys import Keys

from spectui.errors import did_you_mean
from spectui.ui.action import Action
from spectui.ui.paint.textual_private import key_of

FILE = "keys.toml"
_NAMED = frozenset(key.value for key in Keys) | {"space", "pageup", "pagedown", "enter", "tab", "escape"}
_MODIFIERS = ("ctrl+", "shift+", "alt+")


@dataclass(frozen=True, slots=True)
class Keymap:
    """Textual's names for the keys that the user moved, by the action's id, and what is wrong with other lines."""

    keys: Mapping[str, str]
    faults: tuple[str, ...] = ()


def read_keymap(path: Path, actions: Sequence[Action]) -> Keymap:
    """Read the keymap from a file; it is empty if there is no file."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return Keymap({})
    except OSError as error:
        return Keymap({}, (f"{path} cannot be read: {error.strerror or error}",))
    except UnicodeDecodeError:
        return Keymap({}, (f"{path} is not UTF-8 text",))
    except (ValueError, RecursionError) as error:
        return Keymap({}, (f"{path} is not valid TOML: {error}",))
    try:
        return _checked(path, dict(_flat(data)), actions)
    except RecursionError:
        return Keymap({}, (f"{path}: tables nested too deeply",))


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten tables: ``race.pause = "p"`` is a nested table in TOML, but one name here."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _checked(path: Path, wanted: Mapping[str, Any], actions: Sequence[Action]) -> Keymap:
    ids = {action.id: action for action in actions}
    keys: dict[str, str] = {}
    faults: list[str] = []
    for name, value in wanted.items():
        if name not in ids:
            faults.append(f"{path.name}: unknown action '{name}'{did_you_mean(name, ids)}")
        elif (sent := _sent_instead(value)) is not None:
            faults.append(f'{path.name}: {name} = {value!r} is not a key that terminals send: use "{sent}"')
        elif (key := textual_key(value)) is None:
            faults.append(f'{path.name}: {name} = {value!r} is not a key: use one like "p", "f5" or "ctrl+o"')
        else:
            keys[name] = key
    faults += _take_clashes(path, keys, actions)
    return Keymap(keys, tuple(faults))


def _take_clashes(path: Path, keys: dict[str, str], actions: Sequence[Action]) -> Iterator[str]:
    """Remove keys that another action has, and report them; a key that its action gives up is free for others."""
    while clash := _clash(keys, actions):
        moved, other = clash
        yield f"{path.name}: {moved} cannot use '{keys.pop(moved)}', which {other} has"


def _clash(keys: Mapping[str, str], actions: Sequence[Action]) -> tuple[str, str] | None:
    taken: dict[str, str] = {}
    for action in sorted(actions, key=lambda action: action.id in keys):
        for key in _keys(action, keys):
            if key in taken:
                return (action.id if action.id in keys else taken[key]), taken[key]
            taken[key] = action.id
    return None


def _keys(action: Action, keys: Mapping[str, str]) -> list[str]:
    """Return the action's keys, with the user's choice as the first."""
    first, *others = action.keys.split(",")
    return [keys.get(action.id, first), *others]


def _sent_instead(value: object) -> str | None:
    """Say what a terminal sends for a letter with Shift: the capital; with Ctrl or Alt, the same as without Shift."""
    if not isinstance(value, str):
        return None
    *modifiers, letter = value.lower().split("+")
    if "shift" not in modifiers or len(letter) != 1 or not letter.isalpha():
        return None
    others = [modifier for modifier in modifiers if modifier != "shift"]
    return "+".join([*others, letter]) if others else letter.upper()


def textual_key(value: object) -> str | None:
    """Return Textual's name for a key as people write it; None if it is not a key."""
    if not isinstance(value, str) or not value:
        return None
    if len(value) == 1:
        return key_of(value) if value.isprintable() and value != " " else None
    name = value.lower().replace("pgup", "pageup").replace("pgdn", "pagedown")
    bare = name
    for modifier in _MODIFIERS:
        bare = bare.removeprefix(modifier)
    return name if name in _NAMED or bare in _NAMED or (bare != name and len(bare) == 1) else None


def with_keys(actions: Sequence[Action], keymap: Keymap) -> tuple[Action, ...]:
    """Return the actions with the user's keys, for footer, help and palette."""
    return tuple(
        replace(action, keys=",".join(_keys(action, keymap.keys)), shown_as="") if action.id in keymap.keys else action
        for action in actions
    )
