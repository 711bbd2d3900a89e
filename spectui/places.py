"""Where the program's own files lie: settings, cache, logs; and what ``~`` means in a path of the user's.

Where nobody has a home (a container that runs as a number without a name) all of it lies in a temporary folder of this
user's. Loads nothing heavy.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

CONFIG_VARIABLE = "SPECTUI_CONFIG_DIR"
CACHE_VARIABLE = "SPECTUI_CACHE_DIR"
LOG_VARIABLE = "SPECTUI_LOG_DIR"

RUN_PREFIX = "spectui-run-"
"""How the temporary folder of a run is called, see `spectui.runtime.scratch`."""

_CONFIG, _CACHE, _LOGS = ".config/spectui", ".cache/spectui", ".local/state/spectui/log"
"""Below a home, as platformdirs has them."""


def expanded(text: str) -> Path:
    """A path of the user's, with the home that ``~`` or ``~name`` stands for, unchanged where there is none."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - pathlib's own raises RuntimeError


def user_path(text: str) -> Path:
    """The same for a file that may be made: a folder called ``~`` is never meant.

    Raises:
        FileNotFoundError: There is no such home.
    """
    path = expanded(text)
    if text.startswith("~") and not path.is_absolute():
        raise FileNotFoundError(errno.ENOENT, f"no home folder for '{text.partition('/')[0]}'", text)
    return path


def chosen(variable: str) -> Path | None:
    """The folder that an environment variable names, None where it names none.

    Raises:
        FileNotFoundError: It begins with a home that is not there.
    """
    value = os.environ.get(variable)
    return user_path(value).absolute() if value else None


def config_folder() -> Path:
    """Where the user's settings are read from; it need not exist."""
    if (folder := chosen(CONFIG_VARIABLE)) is not None:
        return folder
    return _in_a_home("user_config_path", _CONFIG)


def cache_folder() -> Path:
    """Where what can be made anew is kept; it need not exist."""
    if (folder := chosen(CACHE_VARIABLE)) is not None:
        return folder
    folder = _in_a_home("user_cache_path", _CACHE)
    return folder if writable(folder) else temporary_home() / _CACHE


def log_folder() -> Path:
    """Where logs are kept unless it cannot be written to; it need not exist."""
    if (folder := chosen(LOG_VARIABLE)) is not None:
        return folder
    return _in_a_home("user_log_path", _LOGS)


def spare_log_folder() -> Path:
    """Where logs are kept when the user's own folder cannot be written to."""
    return temporary_home() / _LOGS


def substitutes() -> dict[str, str]:
    """Environment variables that say where this user's home is and what they are called, where nothing else does."""
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
    """A folder in the temporary one that only this user can look into, the same in each process; made if need be."""
    import tempfile

    base = Path(tempfile.gettempdir())
    # A run's own temporary folder goes with the run.
    base = base.parent if base.name.startswith(RUN_PREFIX) else base
    first = base / f"spectui-{os.getuid()}"
    for folder in (first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 10))):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError:
            continue
        # Everybody may make files there: what somebody else has made under that name is not for us.
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid():
            return folder
    return first


def existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists as far as this user can see."""
    return next((place for place in (folder, *folder.parents) if _exists(place)), folder)


def writable(folder: Path) -> bool:
    """Whether files can be made in ``folder``, or the folder itself where it does not exist yet."""
    place = existing(folder)
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except OSError:
        return False


def _in_a_home(name: str, below: str) -> Path:
    """The folder of that name of platformdirs', or one like it where nobody knows the home that it should lie in."""
    import platformdirs

    try:
        folder = Path(getattr(platformdirs, name)("spectui", appauthor=False))
    except RuntimeError:
        folder = Path()
    return folder if folder.is_absolute() else temporary_home() / below
