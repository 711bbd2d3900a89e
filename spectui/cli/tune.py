"""``spectui tune``: find the fastest K of each lane."""

from __future__ import annotations

import argparse

from spectui.protocol.limits import TUNE_BUDGET_S
from spectui.setup import options as opts
from spectui.setup import values

DESCRIPTION = (
    "Measure each drafting lane at every K until the fastest K stands out, and print the vllm serve "
    "command that uses it."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    opts.add_engine_options(parser, several=True)
    parser.add_argument(
        "--k",
        default=None,
        metavar="RANGE",
        help="K to try, such as 0..7 or 0,2,4 (0 to 4, or to the lane's k if larger)",
    )
    parser.add_argument(
        "--budget",
        type=values.positive,
        default=TUNE_BUDGET_S,
        metavar="S",
        help=f"seconds per search ({TUNE_BUDGET_S})",
    )
    parser.add_argument("--by-category", action="store_true", help="also search for each category of prompts")
    parser.add_argument("--check", action="store_true", help="then verify the result with a sweep over every K")
    parser.add_argument(
        "--async",
        dest="untapped",
        action="store_true",
        help="search on engines that vLLM schedules as it does by default (asynchronously on a GPU), without the tap",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.bench.tune import tune

    return tune(options)
