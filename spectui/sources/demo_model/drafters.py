"""The drafters that come with the program, for the demo target only. They are trained in `demos/drafters`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

METHODS = ("mtp", "dflash")
"""The methods that have a drafter, as vLLM names them."""

_BEST_K = {"bfloat16": {"mtp": 2, "dflash": 3}, "float32": {"mtp": 1, "dflash": 2}}
"""The K that measured best by number format, on two cores with AVX-512 and on two without."""

_PACKAGE = Path(__file__).resolve().parents[2]
_PLACES = (_PACKAGE / "drafters", _PACKAGE.parent / "demos" / "drafters" / "weights")
"""Where the drafters are: beside the installed package, or in a checkout."""


def demo_drafter(method: str) -> Path:
    """The folder of the drafter for ``method``, one of `METHODS`."""
    return next((place / method for place in _PLACES if (place / method).is_dir()), _PLACES[0] / method)


def uses_demo_drafter(method: str, options: Mapping[str, Any]) -> bool:
    """Whether a lane of ``method`` with these vLLM options uses the drafter that comes with the program."""
    return method in METHODS and options.get("model") == str(demo_drafter(method))


def is_shipped(path: str) -> bool:
    """Whether a path, of this machine or another one, is that of a drafter that comes with the program."""
    return any(path.endswith(f"/{place.relative_to(_PACKAGE.parent)}/{name}") for place in _PLACES for name in METHODS)


def best_k(method: str, dtype: str) -> int:
    """The K that ``method``, one of `METHODS`, begins with in this number format if nothing was measured here."""
    return _BEST_K.get(dtype, _BEST_K["bfloat16"])[method]
