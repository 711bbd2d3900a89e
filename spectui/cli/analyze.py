"""``spectui analyze``: where drafts fail in recorded traces, what it costs, and what would help."""

from __future__ import annotations

import argparse

from spectui.bench.analysis import exporting
from spectui.errors import UsageError
from spectui.setup import values

DESCRIPTION = (
    "Say why drafts are refused: where the drafter of each lane is weak, what that costs, and what other choices of K "
    "would give. Several traces are analysed together, and lanes of the same name count as one."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("traces", nargs="+", type=values.path, metavar="TRACE", help="traces written by --record or R")
    parser.add_argument(
        "--lane", action="append", default=[], metavar="NAME", help="only this lane; may be repeated (all that draft)"
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument(
        "--csv",
        type=values.path,
        default=None,
        metavar="FILE",
        help="also write the figures as CSV; - prints only these",
    )
    exporting.add_options(parser)


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code.

    Raises:
        UsageError: Options do not fit together.
    """
    if options.export is not None:
        if options.json or options.csv is not None:
            raise UsageError("--export writes hard positions and analyses nothing: leave out --json and --csv")
        return exporting.export(options)
    if options.export_context is not None:
        raise UsageError("--export-context is how much --export writes: add --export, or leave it out")
    from spectui.bench.analysis.command import analyze

    return analyze(options)
