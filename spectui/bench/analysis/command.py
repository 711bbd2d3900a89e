"""``spectui analyze``: read, analyse, print."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from spectui import __version__
from spectui.bench.analysis.analysing import analysed
from spectui.bench.analysis.choosing import only
from spectui.bench.analysis.progress import reading_line
from spectui.core.analysis.document import document_of
from spectui.core.analysis.results import Analysis
from spectui.errors import DONE, RunError, UsageError
from spectui.runtime.output import as_json, visible

STANDARD_OUTPUT = "-"
WIDTH = 80
"""Columns where standard output is no terminal."""


def analyze(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code.

    Raises:
        UsageError: An option is wrong.
        RunError: A file is not a trace, nothing in it can be analysed, or the CSV cannot be written.
    """
    paths = [Path(trace) for trace in options.traces]
    table = _csv_path(options, paths)
    with reading_line() as line:
        found, seen = analysed(paths, line)
    analysis = only(found, options.lane, seen)
    if options.csv is not None:
        _write_csv(analysis, table)
    if options.json:
        print(as_json(asdict(document_of(analysis, __version__, options.traces))))
    elif options.csv != STANDARD_OUTPUT:
        _print(analysis)
        if table is not None:
            print("\n" + visible(f"CSV: {table}"))
    return DONE


def _csv_path(options: argparse.Namespace, traces: list[Path]) -> Path | None:
    """Where the CSV goes; None for standard output, or nowhere.

    Raises:
        UsageError: The place is taken.
    """
    if options.csv is None:
        return None
    if options.csv == STANDARD_OUTPUT:
        if options.json:
            raise UsageError("--csv - and --json both print: give --csv a file")
        return None
    path = Path(options.csv)
    if any(path.exists() and trace.exists() and path.samefile(trace) for trace in traces):
        raise UsageError(f"--csv {path} is a trace itself: give another name")
    return path


def _write_csv(analysis: Analysis, path: Path | None) -> None:
    from spectui.bench.analysis.spreadsheet import analysis_csv

    text = analysis_csv(analysis)
    if path is None:
        print(text, end="")
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror or error}): give another name with --csv") from error


def _print(analysis: Analysis) -> None:
    """Print everything for people, in colour at a terminal that has some."""
    from spectui.bench.analysis.columns import spelled
    from spectui.bench.analysis.text import analysis_lines

    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((WIDTH, 24)).columns if terminal else WIDTH
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    for line in analysis_lines(analysis, width):
        print(spelled(line, colour=colour))
