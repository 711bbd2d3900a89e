"""``--script FILE``: reads a talk before anything is started, so that a mistake in it costs no time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spectui.errors import UsageError

if TYPE_CHECKING:
    from spectui.ui.talk.script import Talk


def talk_of(script: str | None, on_screen: bool) -> Talk | None:
    """The talk in the file ``script``; None where none was asked for.

    Raises:
        UsageError: It cannot be given.
    """
    if script is None:
        return None
    if not on_screen:
        raise UsageError("--script needs the screen: run it in a terminal, without --headless or --json")
    from spectui.ui.actions import ACTIONS
    from spectui.ui.talk.script import TalkError, parse_talk
    from spectui.ui.theme.themes import Themes

    keys = [key for action in ACTIONS for key in action.keys.split(",")]
    path = Path(script)
    try:
        return parse_talk(path.read_text(encoding="utf-8-sig"), path.name, keys, list(Themes().by_name))
    except OSError as error:
        raise UsageError(f"--script: {script} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--script: {script} is not UTF-8 text") from error
    except TalkError as error:
        raise UsageError(f"--script: {error}") from error
