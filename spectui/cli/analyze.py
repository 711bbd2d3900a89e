"""``spectui analyze``: where drafts fail in recorded traces, what it costs, and what would help."""

from __future__ import annotations

import argparse

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


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.bench.analysis.command import analyze

    return analyze(options)
