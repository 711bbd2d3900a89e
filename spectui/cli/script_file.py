"""``--script FILE``: reads the script of a talk before anything is started, so that a mistake in it costs no time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spectui.errors import UsageError

if TYPE_CHECKING:
    from spectui.ui.talk.script import Script


def script_of(script: str | None, on_screen: bool) -> Script | None:
    """The script in the file ``script``; None if none was asked for.

    Raises:
        UsageError: It cannot be read, or cannot be performed.
    """
    if script is None:
        return None
    if not on_screen:
        raise UsageError("--script needs the screen: run it in a terminal, without --headless or --json")
    from spectui.ui.actions import ACTIONS
    from spectui.ui.talk.script import ScriptError, parse_script
    from spectui.ui.theme.themes import Themes

    keys = [key for action in ACTIONS for key in action.keys.split(",")]
    path = Path(script)
    try:
        return parse_script(path.read_text(encoding="utf-8-sig"), path.name, keys, list(Themes().by_name))
    except OSError as error:
        raise UsageError(f"--script: {script} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--script: {script} is not UTF-8 text") from error
    except ScriptError as error:
        raise UsageError(f"--script: {error}") from error
