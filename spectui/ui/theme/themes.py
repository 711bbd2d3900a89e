"""All themes by name, as their files currently are: the user's own before those that ship; broken ones are skipped."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rich.color import ColorSystem

from spectui.errors import did_you_mean
from spectui.ui.theme.files import Stamp, stamps, theme_folders
from spectui.ui.theme.palette import BrokenThemeError, Theme, ThemeError, at_depth, load


class Themes:
    """Reads theme files when they change. Nothing here waits or watches: the caller decides when to `look`.

    Args:
        folders: Where to look; the first file of a name wins. None for the user's folder and those that ship.
    """

    def __init__(self, folders: Iterable[Path] | None = None) -> None:
        self._folders = list(theme_folders() if folders is None else folders)
        self._stamps: dict[Path, Stamp] = {}
        self._good: dict[Path, Theme] = {}
        self._broken: dict[Path, BrokenThemeError] = {}
        self._unnamed: list[BrokenThemeError] = []
        self._depth: ColorSystem | None = ColorSystem.TRUECOLOR
        self.by_name: dict[str, Theme] = {}
        self.look()

    def fit_to(self, depth: ColorSystem | None) -> None:
        """Adapt the themes to a terminal with ``depth`` colours; None for a terminal without colours."""
        self._depth = depth
        self._name()

    def _name(self) -> None:
        first = {path.stem: self._good[path] for path in reversed(self._stamps) if path in self._good}
        self.by_name = {name: at_depth(theme, self._depth) for name, theme in sorted(first.items())}

    def look(self) -> bool:
        """Read the files that changed since the last look; True if any changed or disappeared.

        A file that has become broken keeps its last usable version.
        """
        found = stamps(self._folders)
        if found == self._stamps:
            return False
        earlier, self._stamps = self._stamps, found
        for path in earlier.keys() - found.keys():
            self._good.pop(path, None)
            self._broken.pop(path, None)
        for path in found:
            if found[path] != earlier.get(path):
                self._read(path)
        self._name()
        return True

    def _read(self, path: Path) -> None:
        self._broken.pop(path, None)
        try:
            self._good[path] = load(path)
        except BrokenThemeError as error:
            self._broken[path] = error
            self._unnamed.append(error)

    def take_broken(self) -> list[BrokenThemeError]:
        """The files that cannot be used: each once, until it changes again."""
        broken, self._unnamed = self._unnamed, []
        return broken

    def find(self, name: str) -> Theme:
        """The theme called ``name``; `ThemeError` says what is wrong with it, or names the choices."""
        if name in self.by_name:
            return self.by_name[name]
        for path, error in self._broken.items():
            if path.stem == name:
                raise error
        near = did_you_mean(name, self.by_name)
        raise ThemeError(f"Unknown theme {name!r}{near or ': choose from ' + ', '.join(self.by_name) + '.'}")


def find(name: str, folders: Iterable[Path] | None = None) -> Theme:
    """The theme called ``name`` as its file currently is; raises `ThemeError` if none can be used."""
    return Themes(folders).find(name)
