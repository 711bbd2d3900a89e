"""Reads the script of a talk from a TOML file: scenes with a caption and what happens in them.

A file is a list of ``[[scene]]``. The entries of a scene are performed in the order in which they are written. A scene
without a ``wait`` waits for a key at its end.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from spectui.errors import did_you_mean
from spectui.protocol.limits import MAX_K, MAX_SPEED, MIN_SPEED
from spectui.ui.keymap import textual_key

SCREENS = ("live", "costs", "machine", "help")
OWN_KEYS = ("space", "enter", "right", "escape", "ctrl+c", "q")
"""Keys that the presenter uses to control the talk."""

LONGEST_WAIT_S = 3600.0

Waiting: TypeAlias = Literal["round", "key"]


@dataclass(frozen=True, slots=True)
class Do:
    """One thing to do: ``what`` is its key in the file, ``value`` its checked value."""

    what: str
    value: Any


@dataclass(frozen=True, slots=True)
class Wait:
    """Give the audience time: a number of seconds, until the round is over, or until a key is pressed."""

    for_: float | Waiting


@dataclass(frozen=True, slots=True)
class Scene:
    """``caption`` stays on the screen for the whole scene; ``live`` skips the scene in a replay."""

    caption: str
    acts: tuple[Do | Wait, ...]
    live: bool = False


@dataclass(frozen=True, slots=True)
class Script:
    scenes: tuple[Scene, ...]


class ScriptError(ValueError):
    """The script cannot be performed; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class _ScriptLocation:
    """Where something is in the file, for error messages."""

    name: str
    scene: int = 0

    def error(self, what: str) -> ScriptError:
        return ScriptError(f"{self.name}{f', scene {self.scene}' if self.scene else ''}: {what}")

    def wrong(self, key: str, value: object, wanted: str) -> ScriptError:
        return self.error(f"{key} = {_shown(value)} is not valid: give {wanted}")

    def unknown(self, key: str, value: object, choices: Collection[str]) -> ScriptError:
        near = did_you_mean(value, choices) if isinstance(value, str) else ""
        return self.error(f"{key} = {_shown(value)} is unknown{near or ': choose from ' + ', '.join(choices)}")


def parse_script(text: str, name: str, keys: Collection[str] = (), themes: Collection[str] = ()) -> Script:
    """The script that ``text`` is.

    Args:
        text: The file's text.
        name: The file's name, for errors.
        keys: Names of the keys that can be pressed.
        themes: Names of the available themes.

    Raises:
        ScriptError: Something is wrong with it.
    """
    place = _ScriptLocation(name)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise place.error(f"not valid TOML: {error}") from error
    for key in data:
        if key != "scene":
            raise place.error(f"unknown key '{key}'{did_you_mean(key, ['scene']) or ': a script has only [[scene]]'}")
    scenes = data.get("scene", [])
    if not isinstance(scenes, list) or not scenes or not all(isinstance(scene, dict) for scene in scenes):
        raise place.error("no scenes: each one begins with [[scene]]")
    known = _readers(keys, themes)
    return Script(
        tuple(_scene(_ScriptLocation(name, number), scene, known) for number, scene in enumerate(scenes, start=1))
    )


_Reader: TypeAlias = Callable[[_ScriptLocation, str, Any], Any]


def _scene(place: _ScriptLocation, data: Mapping[str, Any], known: Mapping[str, _Reader]) -> Scene:
    caption, live, acts = "", False, list[Do | Wait]()
    for key, value in data.items():
        if key not in known:
            near = did_you_mean(key, known)
            raise place.error(f"unknown key '{key}'{near or ': choose from ' + ', '.join(known)}")
        read = known[key](place, key, value)
        if key == "caption":
            caption = read
        elif key == "live":
            live = read
        elif key == "wait":
            acts.append(Wait(read))
        else:
            acts.append(Do(key, read))
    if not any(isinstance(act, Wait) for act in acts):
        acts.append(Wait("key"))
    return Scene(caption, tuple(acts), live)


def _readers(keys: Collection[str], themes: Collection[str]) -> dict[str, _Reader]:
    """The keys that a scene may have, and how their values are checked."""
    return {
        "caption": _text,
        "live": _only_true,
        "present": _truth,
        "slow": _truth,
        "prompt": _text,
        "category": _text,
        "next": _only_true,
        "restart": _only_true,
        "pause": _only_true,
        "resume": _only_true,
        "step": _number(1, 1000),
        "focus": _text,
        "k": _lane_k,
        "speed": _decimal(MIN_SPEED, MAX_SPEED),
        "theme": _one_of(themes) if themes else _text,
        "screen": _one_of(SCREENS),
        "press": _keys(keys),
        "wait": _wait,
    }


def _text(place: _ScriptLocation, key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise place.wrong(key, value, 'words in quotes, such as "some words"')
    return " ".join(value.split()) if key != "prompt" else value.strip()


def _truth(place: _ScriptLocation, key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise place.wrong(key, value, "true or false")
    return value


def _only_true(place: _ScriptLocation, key: str, value: Any) -> bool:
    if value is not True:
        raise place.wrong(key, value, "true, or leave it out")
    return True


def _number(least: int, most: int) -> _Reader:
    def read(place: _ScriptLocation, key: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise place.wrong(key, value, f"a whole number from {least} to {most}")
        return value

    return read


def _decimal(least: float, most: float) -> _Reader:
    def read(place: _ScriptLocation, key: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise place.wrong(key, value, f"a number from {least:g} to {most:g}")
        return float(value)

    return read


def _one_of(choices: Collection[str]) -> _Reader:
    def read(place: _ScriptLocation, key: str, value: Any) -> str:
        if value not in choices:
            raise place.unknown(key, value, choices)
        return str(value)

    return read


def _lane_k(place: _ScriptLocation, key: str, value: Any) -> tuple[str, int]:
    wanted = 'a lane and its K, such as {lane = "mtp", k = 2}'
    if not isinstance(value, dict) or set(value) != {"lane", "k"}:
        raise place.wrong(key, value, wanted)
    return _text(place, "k.lane", value["lane"]), _number(0, MAX_K)(place, "k.k", value["k"])


def _keys(keys: Collection[str]) -> _Reader:
    def read(place: _ScriptLocation, key: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
            raise place.wrong(key, value, 'a list of keys, such as ["x", "g"]')
        named = tuple(textual_key(one) or one for one in value)
        for one, name in zip(value, named, strict=True):
            if name in OWN_KEYS:
                raise place.error(f"{key}: the key '{one}' is reserved for the presenter")
            if keys and name not in keys:
                near = did_you_mean(name, keys)
                raise place.error(f"{key}: '{one}' is not a key of the live screen{near or ': press ? for a list'}")
        return named

    return read


def _wait(place: _ScriptLocation, key: str, value: Any) -> float | str:
    if value in ("round", "key"):
        return str(value)
    if isinstance(value, str):
        near = did_you_mean(value, ("round", "key"))
        raise place.error(f"{key} = {_shown(value)} is unknown{near or ': give seconds, round or key'}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_WAIT_S:
        raise place.wrong(key, value, "seconds, 'round' or 'key'")
    return float(value)


def _shown(value: object) -> str:
    """A value as it is written in the file, if it is short."""
    text = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else repr(value)
    return text if text is not None and len(text) <= 40 else "this"
