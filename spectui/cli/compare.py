"""``spectui compare``: what changed between two traces of the same prompts."""

from __future__ import annotations

import argparse
from pathlib import Path

from spectui.errors import UsageError
from spectui.setup import values

DESCRIPTION = (
    "Compare two traces of the same prompts, such as yesterday's drafter and today's: what changed in acceptance, step "
    "time and speed-up beyond noise, in all, by category, by kind of token and by position."
)

FIGURES = ("acceptance-length", "acceptance-rate", "speedup", "throughput")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("a", type=values.path, metavar="A", help="the trace to compare with")
    parser.add_argument("b", type=values.path, metavar="B", help="the trace in which something may have changed")
    parser.add_argument(
        "--lane",
        type=_pair,
        action="append",
        default=[],
        metavar="A=B",
        help="compare lane A of the first trace with lane B of the second; may be repeated "
        "(default: lanes of the same name)",
    )
    parser.add_argument(
        "--fail-under",
        type=_limit,
        default=None,
        metavar="X",
        help="exit with code 1 if B's figure is below X times A's, such as 0.98, and the loss is beyond noise",
    )
    parser.add_argument("--figure", choices=FIGURES, default=None, help=f"the figure for --fail-under ({FIGURES[0]})")
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code.

    Raises:
        UsageError: Options do not fit together.
    """
    if options.figure is not None and options.fail_under is None:
        raise UsageError("--figure says what --fail-under looks at: add --fail-under, or leave --figure out")
    for side in (0, 1):
        names = [pair[side] for pair in options.lane]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"--lane: lane '{name}' of {'AB'[side]} is named twice: name it once")
    from spectui.bench.analysis.comparing import compare_traces

    figure = options.figure or FIGURES[0]
    return compare_traces(Path(options.a), Path(options.b), options.lane, options.fail_under, figure, json=options.json)


def _pair(text: str) -> tuple[str, str]:
    one, _, other = text.partition("=")
    if not one or not other:
        raise argparse.ArgumentTypeError(f"'{text}' does not name two lanes: write A=B, such as mtp=eagle")
    return one, other


def _limit(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a share above 0 and at most 1, such as 0.98")
    return number
