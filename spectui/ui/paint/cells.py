"""Makes model text safe for the terminal: only printable characters on whose width every terminal agrees.

What a model writes is hostile: it contains escape sequences, control characters, bidi overrides and half characters.
Each of them is replaced by a visible sign of one cell or dropped, so that text can neither leave its cells nor move
those of its neighbours. Right-to-left letters stay in the order in which they came: the terminal's owner has to tell a
terminal that reorders them not to (``CSI 8 l``).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from rich.cells import cell_len, get_character_cell_size

NEWLINE_SIGN = "↵"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MARK_BASE = "\N{DOTTED CIRCLE}"
TAB = "    "
"""A tab is always four cells wide, so that text keeps its width when it is wrapped again."""

MAX_MARKS = 2
"""Combining marks that one character may carry."""

_CONTROL_PICTURES = 0x2400
_DELETE_PICTURE = "␡"
_C1_PICTURE = "␦"
_DROPPED_MARKS = frozenset("\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f")
_SKIN_TONES = range(0x1F3FB, 0x1F400)
"""Dropped: some terminals use them to recolour the preceding sign, others give them two cells of their own."""
_REGIONAL_INDICATORS = range(0x1F1E6, 0x1F200)
_JOINING_JAMO = (range(0x1160, 0x1200), range(0xD7B0, 0xD800))
_FILLERS = frozenset("\u115f\u3164\uffa0")

_marks: set[str] = set()
"""Combining marks met so far: a text without any of them needs no second look."""


class _Table(dict[int, str]):
    """What each code point is shown as; worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        shown = _shown(chr(code))
        self[code] = shown
        return shown


def _shown(char: str) -> str:
    code = ord(char)
    if char == "\n":
        return char
    if char == "\t":
        return TAB
    category = unicodedata.category(char)
    if category == "Cc":
        return chr(_CONTROL_PICTURES + code) if code < 0x20 else _DELETE_PICTURE if code == 0x7F else _C1_PICTURE
    if category in ("Zl", "Zp"):
        return NEWLINE_SIGN
    if category == "Cf" or _is_variation_selector(code) or char in _DROPPED_MARKS or code in _SKIN_TONES:
        return ""
    if category in ("Cs", "Cn", "Co") or char in _FILLERS:
        return REPLACEMENT
    if category in ("Mn", "Me"):
        return _mark(char)
    width = get_character_cell_size(char)
    if category == "Zs" and width == 1:
        return " "
    return char if width == _certain_width(char, category) else REPLACEMENT


def _mark(char: str) -> str:
    if get_character_cell_size(char) != 0:
        return REPLACEMENT
    _marks.add(char)
    return char


def _is_variation_selector(code: int) -> bool:
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF


def _certain_width(char: str, category: str) -> int | None:
    """Cells that every terminal gives the character; None if terminals differ.

    Spacing marks, joining Hangul letters and regional indicators merge with their neighbours in some terminals and
    stand alone in others.
    """
    code = ord(char)
    if category == "Mc" or code in _REGIONAL_INDICATORS:
        return None
    if any(code in joining for joining in _JOINING_JAMO):
        return None
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


_TABLE = _Table()


def stream_safe(text: str, room: int = 0) -> str:
    """Make ``text`` safe, keeping line feeds. Up to ``room`` marks at its start may attach to what was written
    before."""
    if text.isascii() and text.isprintable():
        return text
    return _stream_safe(text, room)


def safe(text: str) -> str:
    """Make ``text`` safe for one row: a line feed becomes a sign."""
    if text.isascii() and text.isprintable():
        return text
    return _stream_safe(text, 0).replace("\n", NEWLINE_SIGN)


@lru_cache(4096)
def _stream_safe(text: str, room: int) -> str:
    shown = text.translate(_TABLE)
    return shown if _marks.isdisjoint(shown) else _thin_marks(shown, room)


def _thin_marks(text: str, room: int) -> str:
    """Drop a character's marks beyond the second; give a mark without a character a dotted circle to stand on."""
    kept: list[str] = []
    based = room > 0
    for char in text:
        if char not in _marks:
            based = carries_marks(char)
            room = MAX_MARKS if based else 0
        elif room:
            room -= 1
        elif based:
            continue
        else:
            kept.append(MARK_BASE)
            based, room = True, MAX_MARKS - 1
        kept.append(char)
    return "".join(kept)


def carries_marks(char: str) -> bool:
    """Whether a combining mark may follow the safe character ``char``."""
    return char not in " \n" and char not in _marks


def mark_room(text: str) -> int:
    """How many more marks may follow the safe ``text``."""
    for marks, char in enumerate(reversed(text)):
        if char not in _marks:
            return max(0, MAX_MARKS - marks) if carries_marks(char) else 0
    return 0


def starts_with_mark(text: str) -> bool:
    """Whether the raw ``text`` begins with a combining mark that is shown, once dropped characters are gone."""
    if text[:1].isascii():
        return False
    return text.translate(_TABLE)[:1] in _marks


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """The characters of the safe ``text``, each with its marks, and the number of cells they take."""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or text[end] not in _marks:
            cluster = text[start:end]
            yield cluster, cell_len(cluster)
            start = end


def clip(text: str, cells: int, sign: str = "…") -> str:
    """Cut the safe ``text`` to at most ``cells`` cells; ``sign``, one cell wide, shows that something is missing."""
    if cell_len(text) <= cells:
        return text
    if cells <= 0:
        return ""
    kept: list[str] = []
    left = cells - 1
    for cluster, width in clusters(text):
        if width > left:
            break
        kept.append(cluster)
        left -= width
    return "".join(kept) + sign
