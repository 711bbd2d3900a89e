"""Counts how often the first sentence of an analysis names a weakness that was planted, and none where there is none.

``python -m tests.load.planted_weaknesses`` makes 200 traces with one and 200 without, of which half have stretches of
hard text. It takes some minutes.
"""

from __future__ import annotations

import sys

from tests.core.analysis.test_weakness import named

BAR = 0.95


def main() -> int:
    """Exit code 0 when both shares are at least `BAR`, 1 when they are not."""
    right, quiet, wrong = named(0, 50, 100)
    print(f"{right} of 200 named, {quiet} of 200 without one let be (bar: {BAR:.0%})")
    for what, count in wrong.items():
        print(f"{count} x {what}")
    return 0 if min(right, quiet) >= BAR * 200 else 1


if __name__ == "__main__":
    sys.exit(main())
