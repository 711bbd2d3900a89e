"""The results of a benchmark as lines for a terminal; the report has more."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from spectui.core.bench.results import Cell, Results
from spectui.figures import number_text


def result_lines(results: Results, *, naive: bool = False) -> list[str]:
    """A table for each concurrency and context: a row for each category and lane, and the rows over all categories."""
    lines: list[str] = []
    shown = sorted(
        (*results.cells, *results.pooled), key=lambda cell: (cell.context or 0, cell.concurrency, cell.category is None)
    )
    for (context, concurrency), group in groupby(shown, key=lambda cell: (cell.context, cell.concurrency)):
        cells = list(group)
        padded = "" if context is None else f", prompts padded to {context} tokens"
        lines += [f"{concurrency} in flight{padded}", _HEAD + (_NAIVE_HEAD if naive else "")]
        lines += [_row(cell, naive=naive) for cell in cells]
        lines.append("")
    if any(cell.variant.k for cell in shown):
        lines += [_LEGEND, ""]
    return [*lines, *_notes(results)]


_HEAD = f"  {'':<16} {'lane':<14} {'tok/s':>7} {'(low to high)':<19} {'speed-up (95 %)':<22} {'length':>6} {'rate':>5}"
_LEGEND = "length: mean tokens per verification, the target's own included; rate: accepted / drafted"
_NAIVE_HEAD = f"  {'by chunks':>9}"


def _row(cell: Cell, *, naive: bool) -> str:
    figures = cell.figures
    interval = (
        f"({number_text(figures.speedup_ci_low, form='.2f')} to {number_text(figures.speedup_ci_high, form='.2f')})"
    )
    spread = (
        f"({number_text(figures.output_throughput_low, form='.1f')} to "
        f"{number_text(figures.output_throughput_high, form='.1f')})"
    )
    times = "" if cell.variant.plain else f"{number_text(figures.speedup, form='.2f')}x {interval}"
    row = (
        f"  {(cell.category or 'all')[:16]:<16} {cell.variant.name:<14} "
        f"{number_text(figures.output_throughput, form='.1f'):>7} {spread:<19} {times:<22} "
        f"{number_text(figures.spec_decode_acceptance_length, form='.2f'):>6} "
        f"{number_text(figures.draft_acceptance_rate, form='.2f'):>5}"
    )
    if not naive:
        return row
    by_chunks = "" if cell.variant.plain else f"{number_text(figures.naive_speedup, form='.2f')}x"
    return f"{row}  {by_chunks:>9}"


def _notes(results: Results) -> list[str]:
    notes = [f"{note.lane}: {note.not_comparable}" for note in results.header.lanes if note.not_comparable]
    notes += [f"{note.lane}: {note.warning}" for note in results.header.lanes if note.warning]
    notes += results.left_out
    disturbed = sum(cell.figures.disturbed for cell in results.cells)
    if disturbed:
        were = "1 repetition was" if disturbed == 1 else f"{disturbed} repetitions were"
        included = "is" if disturbed == 1 else "are"
        notes.append(f"{were} disturbed by other programs and {included} included: measure again on a quiet machine")
    differing = [sentence for cell in results.cells for sentence in cell.figures.disagreements]
    if differing:
        notes.append(f"{len(differing)} requests were counted differently by vLLM, such as {differing[0]}")
    if not results.complete:
        notes.append("not every cell is finished")
    return notes


def named(cells: Sequence[Cell]) -> str:
    """How many cells there are, in words."""
    return f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
