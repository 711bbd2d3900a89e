"""Figures as text: sizes and rates with their unit, ratios, times. Unknown values become an em dash."""

from __future__ import annotations

DASH = "—"
_STEPS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def size_text(size: float | None) -> str:
    """``269 MB`` or ``1.90 GB``, in decimal units."""
    if size is None:
        return DASH
    for unit, worth in _STEPS:
        if abs(size) >= worth:
            return f"{three_digits(size / worth)} {unit}"
    return f"{size:.0f} B"


def rate_text(rate: float | None) -> str:
    """``10.2 GB/s``."""
    return DASH if rate is None else f"{size_text(rate)}/s"


def percent_text(share: float | None) -> str:
    """``49 %``, ``3.2 %`` or ``< 0.1 %``: a little is not nothing."""
    if share is None:
        return DASH
    percent = share * 100
    if 0 < percent < 0.05:
        return "< 0.1 %"
    return f"{percent:.1f} %" if 0 < percent < 9.95 else f"{percent:.0f} %"


def number_text(value: float | None, unit: str = "", form: str = ".0f") -> str:
    """A figure in the format ``form``, with its unit where it has one."""
    if value is None:
        return DASH
    return f"{value:{form}} {unit}" if unit else f"{value:{form}}"


def ratio_text(ratio: float | None) -> str:
    """A speed-up: ``1.38x``, ``12.4x``."""
    return DASH if ratio is None else f"{three_digits(ratio)}x"


def share_text(share: float | None) -> str:
    """``.61`` or ``1.00``."""
    if share is None:
        return DASH
    text = f"{share:.2f}"
    return text.removeprefix("0") if share < 1 else text


def ms_text(seconds: float | None, form: str = ".1f") -> str:
    """A duration in milliseconds: ``14.0 ms``."""
    return DASH if seconds is None else f"{seconds * 1e3:{form}} ms"


def of_text(part: str, whole: str) -> str:
    """``12.9 GB of 85.9 GB``; only the part if the whole is not known."""
    return part if whole == DASH else f"{part} of {whole}"


def three_digits(value: float | None) -> str:
    """Three significant digits: ``4.27``, ``42.7``, ``427``."""
    if value is None:
        return DASH
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}"
