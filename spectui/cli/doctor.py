"""``spectui doctor``: check what works on this machine."""

from __future__ import annotations

import argparse

DESCRIPTION = "Check the engine, the devices, the demo model, the settings and the terminal, each with its fix."


def add_options(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--full", action="store_true", help="import vLLM too, and wait for it")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")


def command(options: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from spectui.doctor.command import doctor

    return doctor(options)
