"""``spectui calibrate``: measure what the instrument itself costs."""

from __future__ import annotations

import argparse

from spectui.setup import options as opts
from spectui.setup import values

DESCRIPTION = (
    "Measure the instrument's own cost on this machine: the tap, the screen, the fairness of the race, how "
    "quickly keys are answered, the telemetry, and synchronous scheduling. Leave the machine alone while it runs."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    opts.add_engine_options(parser)
    parser.add_argument(
        "--repetitions", type=values.positive, default=5, metavar="N", help="interleaved repetitions (5)"
    )
    parser.add_argument(
        "--only", default=None, metavar="PARTS", help="a list from tap,screen,race,telemetry,async (all)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.bench.calibrate import calibrate

    return calibrate(options)
