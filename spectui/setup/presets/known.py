"""All presets by name: those that ship and the user's own, which win. The user's broken files are named and skipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from spectui.errors import UsageError, did_you_mean
from spectui.places import config_folder
from spectui.setup.presets.preset import Preset
from spectui.setup.presets.reading import PresetError, made, read_tables


@dataclass(frozen=True, slots=True)
class Known:
    """The presets that can be used.

    Attributes:
        by_name: The presets, in the order of their files.
        broken: A sentence about each of the user's files, or of the presets in them, that cannot be used.
    """

    by_name: Mapping[str, Preset]
    broken: tuple[str, ...] = ()

    def find(self, name: str) -> Preset:
        """The preset called ``name``.

        Raises:
            UsageError: There is none; the message names the nearest one, and the user's broken files.
        """
        if name in self.by_name:
            return self.by_name[name]
        near = did_you_mean(name, self.by_name) or "; `spectui presets` lists them"
        broken = f" ({'; '.join(self.broken)})" if self.broken else ""
        raise UsageError(f"'{name}': no such preset{near}{broken}")


def user_folder() -> Path:
    """Where the user's presets are read from; it need not exist."""
    return config_folder() / "presets"


def known_presets() -> Known:
    """Read every file of presets.

    Raises:
        PresetError: A file that ships is broken.
    """
    presets = dict(shipped_presets())
    broken: list[str] = []
    for path in sorted(user_folder().glob("*.toml")):
        try:
            tables = read_tables(path.read_text(encoding="utf-8-sig"), str(path))
        except PresetError as error:
            broken.append(str(error))
            continue
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            broken.append(f"{path} cannot be read: {why}")
            continue
        for table in tables:
            try:
                presets[table["name"]] = made(table, presets, str(path), yours=True)
            except PresetError as error:
                broken.append(str(error))
    return Known(presets, tuple(broken))


@cache
def shipped_presets() -> Mapping[str, Preset]:
    """The presets that ship, by name.

    Raises:
        PresetError: One of their files is broken.
    """
    presets: dict[str, Preset] = {}
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        for table in read_tables(path.read_text(encoding="utf-8"), path.name):
            presets[table["name"]] = made(table, presets, path.name, yours=False)
    return presets
