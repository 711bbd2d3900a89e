"""How a command fails: exit codes, and errors that carry theirs. Imports nothing of ours."""

from __future__ import annotations

import signal
from collections.abc import Iterable

DONE, FAILED, WRONG_USAGE = 0, 1, 2
INTERRUPTED, PIPE_CLOSED = 128 + signal.SIGINT, 128 + signal.SIGPIPE


class Fault(str):
    """What is wrong and what to do about it: one sentence, whose two halves can be told apart.

    Attributes:
        what: What happened, and where.
        fix: What to do next; empty when there is nothing to do.
    """

    what: str
    fix: str

    def __new__(cls, what: str, fix: str = "") -> Fault:
        """``what: fix``."""
        fault = super().__new__(cls, f"{what}: {fix}" if fix else what)
        fault.what, fault.fix = what, fix
        return fault

    @classmethod
    def of(cls, sentence: str) -> Fault:
        """A sentence as a fault; one that names no fix has none."""
        return sentence if isinstance(sentence, Fault) else cls(sentence)


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
