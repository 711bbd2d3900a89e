"""What a comparison says, as blocks of text that become Markdown or lines for a terminal."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

WIDTH = 118
"""Columns of a terminal that paragraphs and lists fill."""


@dataclass(frozen=True, slots=True)
class Heading:
    """``level`` 1 would be the title of a document."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A few sentences."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list without an order."""

    items: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``named`` columns from the left name the row, the others hold figures."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    named: int = 1


Block: TypeAlias = Heading | Paragraph | Items | Table


def markdown(blocks: Sequence[Block]) -> str:
    """The blocks as Markdown."""
    return "\n\n".join(map(_block, blocks)) + "\n"


def plain_lines(blocks: Sequence[Block]) -> list[str]:
    """The blocks as lines for a terminal, with a blank line between two of them."""
    lines: list[str] = []
    for block in blocks:
        match block:
            case Heading(_, text) | Paragraph(text):
                lines += textwrap.wrap(text, WIDTH) or [""]
            case Items(items):
                for item in items:
                    lines += textwrap.wrap(item, WIDTH, initial_indent="- ", subsequent_indent="  ")
            case Table():
                lines += _columns(block)
        lines.append("")
    return lines[:-1]


def _block(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {_escaped(text)}"
        case Paragraph(text):
            return _escaped(text)
        case Items(items):
            return "\n".join(f"- {_escaped(item)}" for item in items)
        case Table(head, rows, named):
            rule = [":---" if place < named else "---:" for place in range(len(head))]
            return "\n".join(
                f"| {' | '.join(cells)} |"
                for cells in (map(_escaped, head), rule, *(map(_escaped, row) for row in rows))
            )


def _escaped(text: str) -> str:
    return re.sub(r"[\\`*|<>\[\]]", r"\\\g<0>", " ".join(text.split()))


def _columns(table: Table) -> list[str]:
    grid = [table.head, *table.rows]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < table.named else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
