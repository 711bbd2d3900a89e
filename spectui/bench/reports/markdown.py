"""A report as Markdown, in the dialect that GitHub, GitLab and most viewers share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from spectui.bench.reports.document import (
    Block,
    Chart,
    Code,
    Foreign,
    Heading,
    Inline,
    Items,
    Mono,
    Paragraph,
    Strong,
    Table,
    Text,
    clean,
    inlines,
)

# Underscores within a word mean nothing, and escaped ones are hard to read.
_MARKS = re.compile(r"[\\`*\[\]<>|~$&]|(?<![^\W_])_|_(?![^\W_])")
_FIRST = re.compile(r"(?=[#+>=-])|(?<=\d)(?=[.)](?:\s|$))")

_CLOSING = re.compile(r"(?<!\S)(?=#+$)")
_ESCAPE = r"\\"


def markdown(blocks: Sequence[Block], folder: str = "charts") -> str:
    """Render a report; ``folder`` is where the charts lie beside it."""
    return "\n\n".join(_block(block, folder) for block in blocks) + "\n"


def _block(block: Block, folder: str) -> str:
    match block:
        case Heading(level, text):
            # A run of # at the end would close the heading, and not be shown.
            return f"{'#' * level} {_CLOSING.sub(_ESCAPE, line(text))}"
        case Paragraph(text):
            return _start(line(text))
        case Items(items):
            return "\n".join(f"- {_start(line(item))}" for item in items)
        case Table():
            return _table(block)
        case Code(text):
            fence = "`" * max(3, _longest_run(text) + 1)
            return f"{fence}\n{clean(text)}\n{fence}"
        case Chart(name, alt):
            return f"![{line(alt)}]({folder}/{name}.svg)"
        case Foreign(text):
            return clean(text).strip("\n")


def line(text: Text, table: bool = False) -> str:
    """A text in one line, in which nothing but its own marks means anything."""
    return "".join(_inline(part, table) for part in inlines(text)).strip()


def _inline(part: Inline, table: bool) -> str:
    if isinstance(part, Mono):
        return _code(part.text, table)
    if isinstance(part, Strong):
        return f"**{escaped(part.text)}**" if part.text.strip() else ""
    return escaped(part)


def escaped(text: str) -> str:
    """Plain text: what Markdown would take for a mark gets a backslash, newlines become spaces."""
    return _MARKS.sub(r"\\\g<0>", _one_line(text))


def _code(text: str, table: bool) -> str:
    text = _one_line(text).strip()
    if not text:
        return ""
    fence = "`" * (_longest_run(text) + 1)
    if "`" in text:
        text = f" {text} "
    # In a table even code needs its pipes escaped.
    return f"{fence}{text.replace('|', chr(92) + '|') if table else text}{fence}"


def _start(text: str) -> str:
    """What would begin a heading, list or rule at the start of a line does not."""
    return _FIRST.sub(r"\\", text[:6], count=1) + text[6:] if re.match(r"[#+>=-]|\d{1,4}[.)]", text) else text


def _one_line(text: str) -> str:
    return re.sub(r"\s*[\n\t]\s*", " ", clean(text))


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _table(table: Table) -> str:
    def row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"

    rule = [":---" if place < table.named else "---:" for place in range(len(table.head))]
    lines = [row([line(cell, table=True) for cell in table.head]), row(rule)]
    lines += [row([line(cell, table=True) for cell in cells]) for cells in table.rows]
    return "\n".join(lines)
