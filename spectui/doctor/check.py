"""A check, the wording that all checks share, and the checks as text and as JSON. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeAlias

from spectui.runtime.output import visible
from spectui.sources.demo_model.progress import megabytes

Status: TypeAlias = Literal["ok", "warning", "problem", "—"]
"""A problem prevents something that was asked for, a warning does not; an em dash means that nothing applies here."""


NARROWEST = 40

_SIGNS: dict[Status, str] = {"ok": "✓ ok", "warning": "! warning", "problem": "✗ problem", "—": "—"}
_COLOURS: dict[Status, str] = {"ok": "32", "warning": "33", "problem": "1;31", "—": "2"}
_KEPT = "\0"


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check, in one area."""

    area: str
    status: Status
    what: str
    """What was found, and where."""
    fix: str = ""
    """What to do about it, in one sentence; empty if there is nothing to do."""


Rows: TypeAlias = list[Check]


def attempted(area: str, check: Callable[[], Iterable[Check]]) -> Rows:
    """Return the rows of `check`, or one row that says why the check failed."""
    try:
        return list(check())
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        fix = "run the command again; if it fails again, report it with the output of `spectui doctor --json`"
        return [Check(area, "warning", f"could not be checked: {reason}", fix)]


def amount(count: int) -> str:
    """Format a byte count for people, in powers of ten."""
    return megabytes(count) if count < 1_000_000_000 else f"{count / 1e9:.1f} GB"


def text(checks: Sequence[Check], width: int, *, colour: bool = False, home: str = "") -> str:
    """Format the checks in aligned columns, each fix below its problem, and the summary.

    Args:
        checks: The checks, in the order in which they are shown.
        width: Columns that a line may take; a long path may take more, so that it can be copied.
        colour: Whether to colour the statuses.
        home: The user's home directory, shown as ``~``.
    """
    if len(home) > 1:
        checks = [replace(check, what=check.what.replace(f"{home}/", "~/")) for check in checks]
    return "\n".join([*_lines(checks, max(width, NARROWEST), colour), "", summary(checks)])


def _lines(checks: Sequence[Check], width: int, colour: bool) -> Iterator[str]:
    status_width = max((len(_SIGNS[check.status]) for check in checks), default=0) + 2
    area_width = max((len(check.area) for check in checks), default=0) + 2
    room = width - status_width - area_width
    before = ""
    for check in checks:
        sign = _SIGNS[check.status]
        padding = " " * (status_width - len(sign))
        shown = f"\x1b[{_COLOURS[check.status]}m{sign}\x1b[0m" if colour else sign
        area = check.area if check.area != before else ""
        before = check.area
        what, *rest = _wrapped(check.what, room)
        yield f"{shown}{padding}{area:<{area_width}}{what}"
        indent = " " * (status_width + area_width)
        yield from (indent + line for line in rest)
        if check.fix:
            first, *rest = _wrapped(check.fix, room - 2)
            yield f"{indent}→ {first}"
            yield from (f"{indent}  {line}" for line in rest)


def _wrapped(words: str, room: int) -> list[str]:
    # Paths and error messages may contain anything. A command stays on one line.
    parts = visible(words).split("`")
    whole = "`".join(part.replace(" ", _KEPT) if index % 2 else part for index, part in enumerate(parts))
    lines = textwrap.wrap(whole, room, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_KEPT, " ") for line in lines] or [""]


def summary(checks: Sequence[Check]) -> str:
    """Summarise all checks in one line."""
    problems, warnings = (_counted(checks, status) for status in ("problem", "warning"))
    if problems:
        first = "it" if not warnings and problems.startswith("1 ") else "the " + problems.partition(" ")[2]
        return f"{problems}{f' and {warnings}' if warnings else ''}: fix {first} first"
    return f"{warnings or 'no warnings'}, nothing that stops the demo"


def _counted(checks: Sequence[Check], status: str) -> str:
    count = sum(check.status == status for check in checks)
    return f"{count} {status}{'' if count == 1 else 's'}" if count else ""


def document(checks: Sequence[Check], machine: str, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return the checks for JSON, with full paths."""
    return {"checks": [asdict(check) for check in checks], "machine": machine, "versions": dict(versions)}
