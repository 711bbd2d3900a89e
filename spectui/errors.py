"""How a command fails: exit codes, and errors that carry theirs. Imports nothing of ours."""

from __future__ import annotations

import signal
from collections.abc import Iterable

DONE, FAILED, WRONG_USAGE = 0, 1, 2
INTERRUPTED, PIPE_CLOSED = 128 + signal.SIGINT, 128 + signal.SIGPIPE


class SpecTUIError(Exception):
    """Ends a command; the message is one line for the user.

    Attributes:
        code: The command's exit code.
    """

    code = FAILED


class UsageError(SpecTUIError):
    """Wrong usage; the message says what is wrong, and the nearest valid choice."""

    code = WRONG_USAGE


class RunError(SpecTUIError):
    """A failure at run time; the message says what failed, and what to do."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """``": did you mean 'x'?"`` with the nearest choice, or an empty string if none is near."""
    import difflib

    close = difflib.get_close_matches(word, list(choices), n=1)
    return f": did you mean '{close[0]}'?" if close else ""
