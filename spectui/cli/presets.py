"""``spectui presets``: list the models that can be raced by name."""

from __future__ import annotations

import argparse

DESCRIPTION = (
    "List the models that --preset knows, with their lanes, K, licence and whether they fit here; show one in full; "
    "or show which lanes are found for a model."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("preset", nargs="?", default=None, metavar="NAME", help="show this preset in full")
    parser.add_argument(
        "--for",
        dest="model",
        default=None,
        metavar="PATH_OR_ID",
        help="show the lanes that --model races with this target",
    )
    parser.add_argument("--json", action="store_true", help="print the presets as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.setup.presets.listing import show

    return show(options)
