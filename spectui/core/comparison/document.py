"""The JSON of a comparison. `Document` is its format: its fields are the keys.

After a change of the format, write the tables into ``docs/compare.md``, between its marks::

    python -m spectui.core.comparison.document
"""

from __future__ import annotations

from dataclasses import dataclass

from spectui.core.comparison.gate import Gate
from spectui.core.comparison.results import Comparison, Condition, LanePair

SCHEMA = 1
"""Grows when a key changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class Document:
    """What ``spectui compare --json`` prints.

    Attributes:
        schema: The version of this format: 1.
        program: The version of SpecTUI.
        a: The path of trace A, as it was given.
        b: The path of trace B.
        lanes: Every pair of lanes.
        conditions: What differs between the traces beside what was measured.
        notes: What the reader should know, a sentence each.
        comparisons: Figures that were tested for a change.
        level: The probability of any false alarm among them.
        gate: The verdict of ``--fail-under``; None without it.
    """

    schema: int
    program: str
    a: str
    b: str
    lanes: tuple[LanePair, ...]
    conditions: tuple[Condition, ...]
    notes: tuple[str, ...]
    comparisons: int
    level: float
    gate: Gate | None


def document_of(found: Comparison, gate: Gate | None, program: str, a: str, b: str) -> Document:
    """A comparison and its verdict, with where they come from."""
    return Document(
        SCHEMA, program, a, b, found.lanes, found.conditions, found.notes, found.comparisons, found.level, gate
    )


if __name__ == "__main__":
    from spectui.core.described import schema_of, tables_of

    print(tables_of(schema_of(Document)))
