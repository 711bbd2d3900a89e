"""Reads a file of presets: TOML with a table ``[[preset]]`` each, and ``[[preset.lane]]`` for its lanes."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, TypeAlias

from spectui.errors import did_you_mean
from spectui.setup.presets.preset import Preset, PresetLane
from spectui.sources.vllm.lane_spec import LaneSpecError, parse_lane_spec

Table: TypeAlias = dict[str, Any]


class PresetError(Exception):
    """A file of presets cannot be used; the message is one sentence with file and line."""


_TEXTS = ("name", "like", "title", "target", "licence", "gate", "note", "source")
_KINDS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    **dict.fromkeys(_TEXTS, (str, "a text")),
    "also": (list, "a list of model ids"),
    "context": (int, "a whole number of tokens"),
    "memory_gb": ((int, float), "a number, in 10^9 bytes"),
    "engine": (dict, "a table of engine arguments"),
    "chat": (dict, "a table of template arguments"),
    "lane": (list, "tables, each one beginning with [[preset.lane]]"),
}
_LANE_KEYS = ("spec", "source", "licence", "gate", "note", "unverified")


class _File:
    """A file's text, to say where in it something is wrong."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.splitlines()
        self._starts = [at for at, line in enumerate(self._lines) if re.match(r"\s*\[\[\s*preset\s*\]\]", line)]

    def error(self, what: str, number: int | None = None, key: str = "") -> PresetError:
        """An error in the ``number``-th preset, counted from 0, in the line that gives ``key`` or else its first."""
        if number is None or number >= len(self._starts):
            return PresetError(f"{self._name}: {what}")
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._lines)
        given = re.compile(rf"\s*(?:\[+\s*(?:preset\s*\.\s*)?)?[\"']?{re.escape(key)}[\"']?\s*[=.\]]")
        at = next((at for at in range(start, end) if key and given.match(self._lines[at])), start)
        return PresetError(f"{self._name}, line {at + 1}: {what}")


def read_tables(text: str, name: str) -> list[Table]:
    """The presets of a file as they are written, with ``like`` not yet followed. ``name`` is the file's, for errors.

    Raises:
        PresetError: Something is wrong with it.
    """
    file = _File(name, text)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        place = re.search(r" \(at line (\d+), column \d+\)$", str(error))
        where = f"{name}, line {place[1]}" if place else name
        raise PresetError(f"{where}: not valid TOML: {str(error).removesuffix(place[0] if place else '')}") from error
    for key in data:
        if key != "preset":
            raise file.error(f"unknown key '{key}'{did_you_mean(key, ['preset']) or ': presets are in [[preset]]'}")
    tables = data.get("preset", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise file.error("each preset begins with [[preset]]")
    for number, table in enumerate(tables):
        _check(file, number, table)
    return tables


def _check(file: _File, number: int, table: Table) -> None:
    for key, value in table.items():
        if key not in _KINDS:
            near = did_you_mean(key, _KINDS) or ": choose from " + ", ".join(_KINDS)
            raise file.error(f"unknown key '{key}'{near}", number, key)
        kind, wanted = _KINDS[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise file.error(f"{key} must be {wanted}", number, key)
    if not re.fullmatch(r"\w[\w.-]*", str(table.get("name", "")), re.ASCII):
        raise file.error("a preset needs a name of letters, digits, '.', '_' and '-'", number, "name")
    if "like" not in table and not (table.get("target") and table.get("lane")):
        raise file.error(f"preset '{table['name']}' needs a target and a [[preset.lane]], or like = \"OTHER\"", number)
    if "context" in table and table["context"] < 1:
        raise file.error("context must be 1 or more", number, "context")
    if not all(isinstance(model, str) for model in table.get("also", [])):
        raise file.error("also must be a list of model ids", number, "also")
    for lane in table.get("lane", []):
        _check_lane(file, number, lane)


def _check_lane(file: _File, number: int, lane: object) -> None:
    if not isinstance(lane, dict) or not isinstance(lane.get("spec"), str):
        raise file.error('a [[preset.lane]] needs a spec, such as spec = "mtp:k=3"', number, "lane")
    for key, value in lane.items():
        if key not in _LANE_KEYS:
            near = did_you_mean(key, _LANE_KEYS) or ": choose from " + ", ".join(_LANE_KEYS)
            raise file.error(f"unknown key '{key}' of a lane{near}", number, key)
        if not isinstance(value, str):
            raise file.error(f"{key} must be a text", number, key)
    try:
        parse_lane_spec(lane["spec"])
    except LaneSpecError as error:
        raise file.error(str(error), number, "spec") from error


def made(table: Table, known: Mapping[str, Preset], file: str, *, yours: bool) -> Preset:
    """The preset that a checked table describes; what it leaves out comes from the preset that it is ``like``.

    Raises:
        PresetError: There is no such preset.
    """
    own = {key: value for key, value in table.items() if key not in ("like", "lane", "also", "engine", "chat")}
    if "like" in table:
        # What other lanes or another format of the target take is not known from those of the other preset.
        own.setdefault("memory_gb", None)
    if "lane" in table:
        own["lanes"] = tuple(PresetLane(**lane) for lane in table["lane"])
    if "also" in table:
        own["also"] = tuple(table["also"])
    base: Table = {}
    if (other := table.get("like")) is not None:
        if other not in known:
            near = did_you_mean(other, known)
            raise PresetError(
                f"{file}: preset '{table['name']}' has like = '{other}', which is no preset"
                f"{near or '; `spectui presets` lists them'}"
            )
        base = {name: getattr(known[other], name) for name in Preset.__slots__}
    for key in ("engine", "chat"):
        own[key] = {**base.get(key, {}), **table.get(key, {})}
    return Preset(**{**base, **own, "file": file, "yours": yours})
