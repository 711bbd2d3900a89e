"""``spectui doctor``: check what works on this machine."""

from __future__ import annotations

import argparse

DESCRIPTION = "Check the engine, devices, demo model, settings and terminal, and say how to fix what does not work."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("--full", action="store_true", help="also import vLLM, which takes a while")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.doctor.command import doctor

    return doctor(options)
