"""What changed between two result folders: as lines for a terminal, Markdown, or data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from spectui.bench.reports.document import Block, Heading, Items, Paragraph, Table
from spectui.bench.reports.markdown import markdown
from spectui.bench.reports.plain_lines import plain_lines
from spectui.core.bench.codec import NotResultsError, as_data, read_results
from spectui.core.bench.differing import Change, Diff, diff
from spectui.core.bench.results import Results
from spectui.errors import UsageError
from spectui.figures import DASH, number_text, ratio_text, share_text, three_digits

RESULTS = "results.json"

_TITLES = {
    "output_throughput": "tok/s",
    "speedup": "speed-up",
    "spec_decode_acceptance_length": "acceptance length",
    "draft_acceptance_rate": "acceptance rate",
    "step_ms": "step ms",
    "draft_ms": "draft ms",
    "verify_ms": "verify ms",
    "rest_ms": "rest ms",
}
_ALWAYS = ("output_throughput", "speedup", "spec_decode_acceptance_length")
"""Figures that are shown of every row, changed or not."""


def results_at(path: Path) -> Results:
    """The results in a folder, or in a file.

    Raises:
        UsageError: There are none.
    """
    file = path / RESULTS if path.is_dir() else path
    try:
        return read_results(file.read_bytes())
    except NotResultsError as error:
        raise UsageError(f"--diff: {file} cannot be used: {error}") from error
    except FileNotFoundError as error:
        if path.is_dir():
            raise UsageError(
                f"--diff: {path} has no {RESULTS}: name a folder that `spectui bench --out` has made"
            ) from error
        raise UsageError(f"--diff: no such folder or file: {path}") from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"--diff: {file} cannot be read: {why}") from error


def diff_folders(a: Path, b: Path, *, as_json: bool) -> list[str] | dict[str, Any]:
    """Compare two result folders: as lines, or as data for ``--json``.

    Raises:
        UsageError: As in `results_at`.
    """
    found = diff(results_at(a), results_at(b))
    if as_json:
        return {"a": str(a), "b": str(b), **as_data(found)}
    return plain_lines(list(_blocks(found, str(a), str(b))))


def diff_markdown(a: Path, b: Path) -> str:
    """The same as Markdown."""
    return markdown(list(_blocks(diff(results_at(a), results_at(b)), str(a), str(b))))


def _blocks(found: Diff, a: str, b: str) -> Iterator[Block]:
    if found.cells:
        count = len(found.changed)
        yield Heading(2, f"From A to B: {count or 'no'} change{'s' * (count != 1)} beyond noise")
    else:
        yield Heading(2, "Nothing can be compared: no cell is in both A and B")
    yield Items((f"A: {a}", f"B: {b}"))
    if found.conditions:
        yield Paragraph("Other differences, which may be the cause:")
        yield Items(tuple(f"{one.what}: {one.a} in A, {one.b} in B" for one in found.conditions))
    if found.notes:
        yield Items(tuple(found.notes))
    if found.cells:
        yield Paragraph(_method(found))
        # Without a second category a cell is all that there is of its row.
        pooled = {(one.variant, one.concurrency, one.context) for one in found.changes if one.category is None}
        first = [
            one
            for one in found.changes
            if one.category is None or (one.variant, one.concurrency, one.context) not in pooled
        ]
        yield _table([one for one in first if one.changed or one.metric in _ALWAYS], categories=False)
        if single := [one for one in found.changed if one not in first]:
            yield Paragraph("Changes in single categories:")
            yield _table(single, categories=True)
    for name, only in (("A", found.only_a), ("B", found.only_b)):
        if only:
            yield Paragraph(f"Only in {name}:")
            yield Items(only)


def _method(found: Diff) -> str:
    pairs = (
        "repetition by repetition, which took the same prompts"
        if found.paired
        else "by their means, since prompts or answers were not the same"
    )
    return (
        f"{found.cells} cells are in both; {found.comparisons} figures were compared {pairs}. A change is the mean "
        "over all repetitions, so it may differ slightly from the ratio of A and B shown. It is marked with * if it is "
        f"beyond noise among all of them (Holm's test at {found.level * 100:g} % for the whole comparison); the "
        "intervals are the 95 % ones of each figure alone. Differences from one start of the program to the next are "
        "not part of this noise: to see them, run A twice and compare."
    )


def _table(changes: Sequence[Change], *, categories: bool) -> Table:
    padded = any(change.context is not None for change in changes)
    head = ["lane", "in flight", *["context"] * padded, *["category"] * categories, "figure"]
    rows = [
        (
            change.variant,
            str(change.concurrency),
            *[number_text(change.context)] * padded,
            *[change.category or ""] * categories,
            _TITLES[change.metric],
            _figure(change, change.a),
            _figure(change, change.b),
            _amount(change),
            _interval(change),
            "*" if change.changed else "",
        )
        for change in changes
    ]
    return Table((*head, "A", "B", "change", "95 %", ""), tuple(rows), named=len(head))


def _figure(change: Change, figure: float | None) -> str:
    match change.metric:
        case "speedup":
            return ratio_text(figure)
        case "draft_acceptance_rate":
            return share_text(figure)
        case "spec_decode_acceptance_length":
            return number_text(figure, form=".2f")
    return DASH if figure is None else three_digits(figure)


def _amount(change: Change, figure: float | None = None) -> str:
    figure = change.change if figure is None else figure
    return f"{figure - 1:+.1%}".replace("%", " %") if change.relative else f"{figure:+.3f}"


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return DASH
    return f"{_amount(change, change.low)} to {_amount(change, change.high)}"
