"""Where theme files are. Knows no screen, so that the command line can name the themes that ship."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from spectui.places import config_folder

Stamp: TypeAlias = tuple[int, int, int]
"""Differs when a file has been rewritten: modification time in nanoseconds, bytes, inode."""


def shipped_folders() -> list[Path]:
    """Where the shipped themes are: inside the installed package, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[2]
    return [package / "themes", package.parent / "themes"]


def theme_folders() -> list[Path]:
    """Where themes are looked for; the first one of a name wins. Not all of them need exist."""
    return [config_folder() / "themes", *shipped_folders()]


def shipped_themes() -> list[str]:
    """Names of the themes that come with the program."""
    return sorted({path.stem for path in stamps(shipped_folders())})


def stamps(folders: Iterable[Path]) -> dict[Path, Stamp]:
    """Every existing theme file in order of priority, with a stamp that tells its versions apart."""
    found: dict[Path, Stamp] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                status = path.stat()
            except OSError:
                # A broken link, or a file that an editor has just removed.
                continue
            if stat.S_ISREG(status.st_mode):
                found[path] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found
