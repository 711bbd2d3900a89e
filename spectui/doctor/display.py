"""Checks of the terminal: is there one, its size, colours and characters. Pure."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spectui.doctor.check import Check

COMFORTABLE = (80, 24)
_STREAMS = ("input", "output", "error output")


@dataclass(frozen=True)
class Display:
    """What the program would draw on."""

    terminals: tuple[bool, bool, bool]
    """Whether standard input, output and error output are terminals."""
    size: tuple[int, int] | None
    """Columns and rows; None without a terminal."""
    encoding: str
    """Of the locale."""


def terminal_checks(display: Display, environ: Mapping[str, str]) -> Iterator[Check]:
    """Whether the live screen can be shown, and in which colours."""
    size = "" if display.size is None else f"{display.size[0]}x{display.size[1]}"
    if not any(display.terminals):
        yield Check("terminal", "—", "there is none here: a race prints plain lines")
        yield Check("colours", "—", "there is no terminal here")
        return
    others = " and ".join(name for name, here in zip(_STREAMS, display.terminals, strict=True) if not here)
    if others:
        yield Check("terminal", "—", f"standard {others} is elsewhere: the screen needs the terminal for all three")
    elif display.size is None:
        yield Check("terminal", "warning", "it does not tell its size", "set its size with `stty cols 120 rows 36`")
    elif display.size[0] < COMFORTABLE[0] or display.size[1] < COMFORTABLE[1]:
        fix = "enlarge the window: 80x24 is comfortable, and 120x36 shows all lanes"
        yield Check("terminal", "warning", f"{size} is cramped", fix)
    else:
        yield Check("terminal", "ok", size)
    yield _colours(environ)


def _colours(environ: Mapping[str, str]) -> Check:
    term = environ.get("TERM", "")
    if environ.get("NO_COLOR"):
        return Check("colours", "ok", "none, as NO_COLOR asks: signs stand for them")
    if term in ("", "dumb", "unknown"):
        what = f"TERM={term} names no terminal that can show the screen"
        return Check("colours", "warning", what, "set TERM to your terminal's name, such as xterm-256color")
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return Check("colours", "ok", f"16 million (COLORTERM={environ['COLORTERM']}, TERM={term})")
    if term.endswith(("-256color", "-kitty")):
        return Check("colours", "ok", f"256 (TERM={term}); COLORTERM=truecolor promises more")
    what = f"16, since TERM={term} promises no more"
    return Check("colours", "warning", what, "set COLORTERM=truecolor if your terminal shows 16 million, as most do")


def character_checks(display: Display) -> Iterator[Check]:
    """Whether the locale can say what the screen draws."""
    try:
        unicode = codecs.lookup(display.encoding).name == "utf-8"
    except LookupError:
        unicode = False
    if unicode:
        yield Check("unicode", "ok", "the locale is UTF-8")
    else:
        what = f"the locale's encoding is {display.encoding}, which has no signs for charts and tokens"
        yield Check("unicode", "warning", what, "set LC_ALL=C.UTF-8, or another UTF-8 locale that `locale -a` lists")
