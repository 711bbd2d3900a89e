"""The JSON of an analysis. `Document` is its format: its fields are the keys.

After a change of the format, write the tables into ``docs/analysis.md``, between its marks::

    python -m spectui.core.analysis.document
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spectui.core.analysis.results import Agreement, Analysis, Headroom, LaneAnalysis

SCHEMA = 1
"""Grows when a key changes its meaning or goes away."""


@dataclass(frozen=True, slots=True)
class Document:
    """What ``spectui analyze --json`` prints.

    Attributes:
        schema: The version of this format: 1.
        program: The version of SpecTUI.
        traces: The paths of the traces, as they were given.
        lanes: The drafting lanes.
        agreements: Every pair of lanes that can be compared.
        headroom: What choosing K perfectly would give each lane.
        notes: What the reader should know about the traces, one sentence each.
    """

    schema: int
    program: str
    traces: tuple[str, ...]
    lanes: tuple[LaneAnalysis, ...]
    agreements: tuple[Agreement, ...]
    headroom: tuple[Headroom, ...]
    notes: tuple[str, ...]


def document_of(analysis: Analysis, program: str, traces: Sequence[str]) -> Document:
    """An analysis with where it comes from."""
    return Document(
        SCHEMA, program, tuple(traces), analysis.lanes, analysis.agreements, analysis.headroom, analysis.notes
    )


if __name__ == "__main__":
    from spectui.core.described import schema_of, tables_of

    print(tables_of(schema_of(Document)))
