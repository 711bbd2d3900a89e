"""Where the program's own files are: settings, cache, logs; and what ``~`` means in a path that the user gives.

If the user has no home (a container that runs under a number without a name), all of them are in a temporary folder of
this user. Loads nothing heavy.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

CONFIG_VARIABLE = "SPECTUI_CONFIG_DIR"
CACHE_VARIABLE = "SPECTUI_CACHE_DIR"
LOG_VARIABLE = "SPECTUI_LOG_DIR"
SOCKET_VARIABLE = "SPECTUI_SOCKET_DIR"

RUN_PREFIX = "spectui-run-"
"""Prefix of a run's temporary folder; see `spectui.runtime.scratch`."""

_CONFIG, _CACHE, _LOGS = ".config/spectui", ".cache/spectui", ".local/state/spectui/log"
"""Paths below a home, as in platformdirs."""


def expanded(text: str) -> Path:
    """The user's path with ``~`` or ``~name`` replaced by that home; unchanged if there is no such home."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's own raises RuntimeError


def user_path(text: str) -> Path:
    """As `expanded`, for a file that may be created: a folder named ``~`` is never meant.

    Raises:
        FileNotFoundError: There is no such home.
    """
    path = expanded(text)
    if text.startswith("~") and not path.is_absolute():
        raise FileNotFoundError(errno.ENOENT, f"no home folder for '{text.partition('/')[0]}'", text)
    return path


def chosen(variable: str) -> Path | None:
    """The folder that an environment variable names; None if it is unset or empty.

    Raises:
        FileNotFoundError: It begins with a home that does not exist.
    """
    value = os.environ.get(variable)
    return user_path(value).absolute() if value else None


def config_folder() -> Path:
    """Where the user's settings are read from; it need not exist."""
    if (folder := chosen(CONFIG_VARIABLE)) is not None:
        return folder
    return _in_a_home("user_config_path", _CONFIG)


def cache_folder() -> Path:
    """Where files are kept that can be recreated; it need not exist."""
    if (folder := chosen(CACHE_VARIABLE)) is not None:
        return folder
    folder = _in_a_home("user_cache_path", _CACHE)
    return folder if writable(folder) else temporary_home() / _CACHE


def log_folder() -> Path:
    """Where logs are kept unless the folder cannot be written to; it need not exist."""
    if (folder := chosen(LOG_VARIABLE)) is not None:
        return folder
    return _in_a_home("user_log_path", _LOGS)


def spare_log_folder() -> Path:
    """Where logs are kept if the user's own folder cannot be written to."""
    return temporary_home() / _LOGS


def socket_folders() -> list[Path]:
    """Where the sockets of servers can be, the best place first; none need exist.

    A server and its viewer may see different environments, so a viewer looks in all of them.
    """
    if (folder := chosen(SOCKET_VARIABLE)) is not None:
        return [folder]
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    possible = dict.fromkeys(Path(text) for text in (named, f"/run/user/{os.getuid()}") if text.startswith("/"))
    return [*(folder / "spectui" for folder in possible if private(folder)), temporary_home() / "sockets"]


def private(folder: Path) -> bool:
    """Whether ``folder`` exists, is this user's own, and nobody else can open it."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077


def substitutes() -> dict[str, str]:
    """Environment variables for the user's home and name, where nothing else provides them."""
    found: dict[str, str] = {}
    if not expanded("~").is_absolute():
        found["HOME"] = str(temporary_home())
    if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        import pwd

        try:
            pwd.getpwuid(os.getuid())
        except KeyError:
            found["USER"] = f"user-{os.getuid()}"
    return found


def temporary_home() -> Path:
    """A folder in the temporary one that only this user can open, the same in every process; created if necessary."""
    import tempfile

    base = Path(tempfile.gettempdir())
    # A run's own temporary folder is removed with the run.
    base = base.parent if base.name.startswith(RUN_PREFIX) else base
    first = base / f"spectui-{os.getuid()}"
    for folder in (first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 10))):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            continue
        # Everybody may create files there: what somebody else has created under that name is not ours.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return folder
    return first


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists as far as this user can see."""
    return next((place for place in (folder, *folder.parents) if _exists(place)), folder)


def writable(folder: Path) -> bool:
    """Whether files can be created in ``folder``, or the folder itself if it does not exist yet."""
    place = existing(folder)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:
        return False


def _in_a_home(name: str, below: str) -> Path:
    """The platformdirs folder of that name, or a similar one if the home that it should be in is not known."""
    import platformdirs

    try:
        folder = Path(getattr(platformdirs, name)("spectui", appauthor=False))
    except RuntimeError:
        folder = Path()
    return folder if folder.is_absolute() else temporary_home() / below
