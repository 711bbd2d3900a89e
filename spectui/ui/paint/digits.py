"""Figures three rows high, made of half blocks: readable from the back row in any font."""

from __future__ import annotations

from spectui.figures import DASH

DIGIT_ROWS = 3

_GLYPHS = {
    "0": ("█▀█", "█ █", "▀▀▀"),
    "1": ("▄█ ", " █ ", "▀▀▀"),
    "2": ("▀▀█", "█▀▀", "▀▀▀"),
    "3": ("▀▀█", " ▀█", "▀▀▀"),
    "4": ("█ █", "▀▀█", "  ▀"),
    "5": ("█▀▀", "▀▀█", "▀▀▀"),
    "6": ("█▀▀", "█▀█", "▀▀▀"),
    "7": ("▀▀█", "  █", "  ▀"),
    "8": ("█▀█", "█▀█", "▀▀▀"),
    "9": ("█▀█", "▀▀█", "▀▀▀"),
    ".": (" ", " ", "▀"),
    "x": ("   ", "▀▄▀", "▀ ▀"),
    DASH: ("   ", "▀▀▀", "   "),
}


def block_digits(text: str) -> tuple[str, str, str]:
    """``text`` made of digits, ``.``, ``x`` and the em dash, as three strings of equal width."""
    glyphs = [_GLYPHS[char] for char in text]
    top, middle, bottom = (" ".join(glyph[row] for glyph in glyphs) for row in range(DIGIT_ROWS))
    return top, middle, bottom
