"""One answer of the doctor, and the words that all answers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.sources.demo_model.progress import megabytes

Status: TypeAlias = Literal["ok", "warning", "problem", "—"]
"""A problem stops something that was asked for, a warning does not; the em dash is for what does not apply here."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found in one area."""

    area: str
    status: Status
    what: str
    """What was found, and where."""
    fix: str = ""
    """What to do about it, in one sentence; empty when there is nothing to do."""


Rows: TypeAlias = list[Check]

_ORDERS = ("ask", "correct", "free", "install", "let", "load", "look", "make", "pip", "restart", "see", "set", "start")


def attempted(area: str, check: Callable[[], Iterable[Check]]) -> Rows:
    """The rows of `check`, or one row that says why they could not be had."""
    try:
        return list(check())
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        fix = "repeat the command, and report it with the output of `spectui doctor --json` if it stays so"
        return [Check(area, "warning", f"could not be checked: {reason}", fix)]


def split_fix(sentence: str) -> tuple[str, str]:
    """What happened, and what to do about it: an order after a colon, empty in a sentence that has none."""
    sentence = " ".join(sentence.split()).rstrip(".")
    reason, _, rest = sentence.partition(": ")
    return (reason, rest) if rest.partition(" ")[0] in _ORDERS else (sentence, "")


def amount(count: int) -> str:
    """A byte count for people, in powers of ten."""
    return megabytes(count) if count < 1_000_000_000 else f"{count / 1e9:.1f} GB"
