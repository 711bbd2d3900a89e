"""Blocks as lines for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from spectui.bench.reports.document import Block, Heading, Items, Paragraph, Table, plain

WIDTH = 118
"""Columns that paragraphs and lists fill."""


def plain_lines(blocks: Sequence[Block]) -> list[str]:
    """Render headings, paragraphs, lists and tables, with a blank line between two of them.

    Raises:
        ValueError: Another block, such as a chart.
    """
    lines: list[str] = []
    for block in blocks:
        match block:
            case Heading(_, text) | Paragraph(text):
                lines += textwrap.wrap(plain(text), WIDTH)
            case Items(items):
                for item in items:
                    lines += textwrap.wrap(plain(item), WIDTH, initial_indent="- ", subsequent_indent="  ")
            case Table():
                lines += _columns(block)
            case _:
                raise ValueError(f"no lines for {type(block).__name__}")
        lines.append("")
    return lines[:-1]


def _columns(table: Table) -> list[str]:
    grid = [[plain(cell) for cell in row] for row in (table.head, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place < table.named else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in grid
    ]
