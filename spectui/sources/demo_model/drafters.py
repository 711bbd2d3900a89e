"""The drafters that come with the program, for the demo target only. `demos/drafters` trains them."""

from __future__ import annotations

from pathlib import Path

METHODS = ("mtp", "dflash")
"""vLLM's names of the methods that have one."""

_PACKAGE = Path(__file__).resolve().parents[2]
_PLACES = (_PACKAGE / "drafters", _PACKAGE.parent / "demos" / "drafters" / "weights")
"""Where they lie: beside the installed package, or in a checkout."""


def demo_drafter(method: str) -> Path:
    """The folder of the drafter for ``method``, one of `METHODS`."""
    return next((place / method for place in _PLACES if (place / method).is_dir()), _PLACES[0] / method)
