"""``spectui doctor``: check what works on this machine."""

from __future__ import annotations

import argparse

from spectui.setup import options as opts

DESCRIPTION = "Check the engine, devices, demo model, settings and terminal, and say how to fix what does not work."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--full", action="store_true", help="also import vLLM, which takes a while")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    parser.add_argument(
        "--lanes",
        action="store_true",
        help="instead of the machine, load lanes and check that what they show is true; the options below are for this",
    )
    opts.add_engine_options(parser)


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.doctor.command import doctor
    from spectui.doctor.lanes_command import check_options, examine_lanes

    if options.lanes:
        return examine_lanes(options)
    check_options(options)
    return doctor(options)
