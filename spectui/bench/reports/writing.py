"""Writes the files of a benchmark into its folder."""

from __future__ import annotations

import os
from pathlib import Path

from spectui.bench.reports.content import report
from spectui.bench.reports.document import Chart
from spectui.bench.reports.html import page
from spectui.bench.reports.markdown import markdown
from spectui.bench.reports.spreadsheet import results_csv
from spectui.bench.reports.why import Why
from spectui.core.bench.codec import results_json
from spectui.core.bench.results import Results

CHARTS = "charts"
"""The folder of the charts that report.md shows."""


def write_reports(
    results: Results,
    folder: Path,
    *,
    naive: bool = False,
    lossless_markdown: str = "",
    compared: str = "",
    why: Why | None = None,
) -> None:
    """Write results.json, results.csv, report.md with its charts, and report.html.

    Each file is whole at any moment: it is written beside its place and then moved there.

    Args:
        results: What was measured.
        folder: Where to; made if it is not there.
        naive: Whether the report shows what a meter would have said that counts stream chunks.
        lossless_markdown: The section about the check of outputs; empty without one.
        compared: The section that lays published figures beside these; empty without one.
        why: What the traces say; None without any.

    Raises:
        OSError: A file cannot be written.
    """
    blocks = report(results, naive=naive, lossless_markdown=lossless_markdown, compared=compared, why=why)
    charts = [block for block in blocks if isinstance(block, Chart)]
    (folder / CHARTS).mkdir(parents=True, exist_ok=True)
    _write(folder / "results.json", results_json(results))
    _write(folder / "results.csv", results_csv(results).encode())
    for chart in charts:
        _write(folder / CHARTS / f"{chart.name}.svg", chart.svg.encode())
    # The reports come last, since report.md names the charts.
    _write(folder / "report.md", markdown(blocks, CHARTS).encode())
    _write(folder / "report.html", page(blocks).encode())


def _write(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a machine that loses power, never sees half of it."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
