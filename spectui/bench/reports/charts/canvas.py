"""The pieces that every chart is drawn from.

Colours are attributes, not styles, so that a page around the picture can change them: by class for a dark screen, as
`report.css` does. Alone, a chart is dark ink on white paper in any viewer. A lane has one colour and one pattern in all
charts (``colours.toml``), and no chart relies on colour alone.
"""

from __future__ import annotations

import math
import tomllib
import unicodedata
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from spectui.bench.reports.document import clean

WIDTH = 820.0
_COLOURS = tomllib.loads(files(__package__).joinpath("colours.toml").read_text(encoding="utf-8"))
INK, SOFT, LINE, PAPER = (str(_COLOURS[name]) for name in ("ink", "soft", "line", "paper"))
HUES: tuple[str, ...] = tuple(_COLOURS["lanes"])
"""The first is AR's."""

_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_PATTERNS = (
    "",
    "M-1 1 L1 -1 M-1 7 L7 -1 M5 7 L7 5",
    "M3 1.5 a1.5 1.5 0 1 0 0.01 0 z",
    "M-1 5 L1 7 M-1 -1 L7 7 M5 -1 L7 1",
    "M3 0 V6",
    "M0 3 H6",
    "M0 3 H6 M3 0 V6",
)
_MARKERS = (
    "M-5 -1 h10 v2 h-10 z",
    "M-4.5 0 a4.5 4.5 0 1 0 9 0 a4.5 4.5 0 1 0 -9 0 z",
    "M-4 -4 h8 v8 h-8 z",
    "M0 -5 L5 4 h-10 z",
    "M0 -6 L5 0 L0 6 L-5 0 z",
    "M0 5 L5 -4 h-10 z",
)


@dataclass(frozen=True, slots=True)
class Look:
    """How a lane looks in every chart: ``hue`` 0 is AR; ``k`` is the place of its K among those of the lane."""

    hue: int
    k: int = 0


class Canvas:
    """A picture that grows downwards; its height is said at the end."""

    def __init__(self, name: str, title: str, about: str) -> None:
        """``name`` is unique among the pictures of a page; ``about`` says in a sentence what the picture shows."""
        self._name = name
        self._title = title
        self._about = about
        self._parts: list[str] = []
        self._patterns: set[int] = set()
        self.text(16, 28, title, size=15, bold=True)
        self.text(16, 47, about, soft=True, width=WIDTH - 32)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        size: float = 12,
        soft: bool = False,
        bold: bool = False,
        width: float | None = None,
        look: Look | None = None,
        halo: bool = False,
    ) -> None:
        """Write a line; what does not fit in ``width`` is cut, and said when the pointer rests on it. A ``halo`` of
        paper keeps it readable on top of lines."""
        shown = text if width is None else fitted(text, width, size)
        kind = 'class="soft" fill="' + SOFT if soft else 'class="ink" fill="' + INK
        if look is not None:
            kind = f'{_colour(look)} fill="currentColor'
        weight = ' font-weight="600"' if bold else ""
        if halo:
            weight += f' stroke="{PAPER}" stroke-width="3" stroke-linejoin="round" paint-order="stroke"'
            kind = kind.replace('class="', 'class="halo ', 1)
        whole = f"<title>{_escaped(text)}</title>" if shown != text else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" {kind}" font-size="{_n(size)}" text-anchor="{anchor}"{weight}>'
            f"{whole}{_escaped(shown)}</text>"
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, *, strong: bool = False, width: float = 1) -> None:
        """Draw a line of the paper's grid, or a ``strong`` one."""
        kind, colour = ("strong", INK) if strong else ("line", LINE)
        self._parts.append(
            f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{colour}" '
            f'stroke-width="{_n(width)}"/>'
        )

    def bar(self, x: float, y: float, width: float, height: float, look: Look, *, share: float = 1.0) -> None:
        """Fill a rectangle with a lane's colour and pattern; ``share`` below 1 makes it paler, without the pattern."""
        box = f'x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(height)}"'
        faint = f' fill-opacity="{_n(share)}"' if share < 1 else ""
        self._parts.append(f'<rect {_colour(look)} {box} fill="currentColor"{faint}/>')
        pattern = look.hue % len(_PATTERNS)
        if pattern and share == 1.0:
            self._patterns.add(pattern)
            self._parts.append(f'<rect {box} fill="url(#{self._name}-p{pattern})"/>')

    def path(self, points: list[tuple[float, float]], look: Look) -> None:
        """Join points by a lane's line; dashes tell its K apart."""
        dashes = ("", "7 4", "2 3", "9 3 2 3")[look.k % 4]
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        joined = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        self._parts.append(
            f'<polyline {_colour(look)} points="{joined}" fill="none" stroke="currentColor" stroke-width="2"{dashed}/>'
        )

    def marker(self, x: float, y: float, look: Look) -> None:
        """Mark a point with a lane's sign: filled, hollow or with a dot, by its K."""
        at = f'transform="translate({_n(x)} {_n(y)})"'
        shape = f'd="{_MARKERS[look.hue % len(_MARKERS)]}" {at}'
        kind = look.k % 3
        if kind == 0:
            self._parts.append(f'<path {_colour(look)} {shape} fill="currentColor" stroke="currentColor"/>')
            return
        self._parts.append(f'<path class="paper" {shape} fill="{PAPER}"/>')
        self._parts.append(f'<path {_colour(look)} {shape} fill="none" stroke="currentColor" stroke-width="1.6"/>')
        if kind == 2:
            self._parts.append(f'<circle {_colour(look)} {at} r="1.8" fill="currentColor"/>')

    def whisker(self, low: float, high: float, y: float, *, cut_low: bool = False, cut_high: bool = False) -> None:
        """Draw an interval across a bar; an end that lies beyond the chart has no stop."""
        self.line(low, y, high, y, strong=True, width=1.2)
        for x, cut in ((low, cut_low), (high, cut_high)):
            if not cut:
                self.line(x, y - 4, x, y + 4, strong=True, width=1.2)

    def svg(self, height: float) -> str:
        """The picture as text."""
        patterns = "".join(
            f'<pattern id="{self._name}-p{number}" width="6" height="6" patternUnits="userSpaceOnUse">'
            f'<path d="{_PATTERNS[number]}" fill="none" stroke="{PAPER}" stroke-opacity="0.45" stroke-width="1.2"/>'
            "</pattern>"
            for number in sorted(self._patterns)
        )
        heading = f"<title>{_escaped(self._title)}</title><desc>{_escaped(self._about)}</desc>"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(WIDTH)} {_n(height)}" width="{_n(WIDTH)}" '
            f'height="{_n(height)}" role="img" aria-label="{_escaped(f"{self._title}. {self._about}")}" '
            f'font-family="{_FONT}">\n{heading}\n'
            + (f"<defs>{patterns}</defs>\n" if patterns else "")
            + f'<rect class="paper" width="100%" height="100%" fill="{PAPER}"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


def text_width(text: str, size: float = 12) -> float:
    """About how wide a text is, rather too wide than too narrow."""
    return sum(1.05 if unicodedata.east_asian_width(char) in "WF" else 0.61 for char in text) * size


def fitted(text: str, width: float, size: float = 12) -> str:
    """A text cut to a width; a short last word, such as K, stays."""
    if text_width(text, size) <= width:
        return text
    start, space, last = text.rpartition(" ")
    end = f"… {last}" if space and len(last) <= 6 else "…"
    start = start if space and len(last) <= 6 else text
    while start and text_width(start + end, size) > width:
        start = start[:-1]
    return start + end


def ticks(most: float, least: float = 0.0) -> list[float]:
    """Round numbers between ``least`` and ``most``, at most about seven."""
    span = most - least
    if span <= 0:
        return [least]
    step = 10.0 ** math.floor(math.log10(span / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first = math.ceil(least / step - 1e-9)
    return [number * step for number in range(first, math.floor(most / step + 1e-9) + 1)]


def _colour(look: Look) -> str:
    """AR's grey is nobody else's, however many lanes there are."""
    hue = 0 if look.hue == 0 else 1 + (look.hue - 1) % (len(HUES) - 1)
    return f'class="hue{hue}" color="{HUES[hue]}"'


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _escaped(text: str) -> str:
    return escape(" ".join(clean(text).split()))
