"""A chart of shares by position: a line for each variant, named where it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spectui.bench.reports.charts.canvas import WIDTH, Canvas, Look, text_width
from spectui.figures import percent_text

_LEFT, _TOP, _TALL, _APART = 58.0, 68.0, 300.0, 15.0
_MOST_NUMBERED = 3
_MOST_POSITIONS = 10


@dataclass(frozen=True, slots=True)
class Line:
    """A variant: its name, its look, and its share at each position; None where it is not known."""

    name: str
    look: Look
    shares: tuple[float | None, ...]

    @property
    def known(self) -> list[tuple[int, float]]:
        """Positions, from 1, and shares."""
        return [(place, share) for place, share in enumerate(self.shares, 1) if share is not None]


def lines(name: str, title: str, about: str, drawn: Sequence[Line]) -> str:
    """Draw shares between 0 and 1; with few lines every point has its number."""
    canvas = Canvas(name, title, about)
    drawn = [line for line in drawn if line.known]
    positions = max((line.known[-1][0] for line in drawn), default=1)
    right = WIDTH - 78 - min(200.0, max((text_width(line.name) for line in drawn), default=0.0))
    across = (right - _LEFT - 24) / max(1, positions - 1)
    tall = max(_TALL, _APART * len(drawn))
    bottom = _TOP + tall

    def at(position: int, share: float) -> tuple[float, float]:
        return _LEFT + 24 + (position - 1) * across, bottom - share * tall

    for tenths in range(0, 11, 2):
        y = bottom - tenths / 10 * tall
        canvas.line(_LEFT, y, right + 8, y)
        canvas.text(_LEFT - 8, y + 4, f"{tenths * 10} %", anchor="end", size=11, soft=True)
    for position in range(1, positions + 1):
        canvas.text(at(position, 0)[0], bottom + 17, str(position), anchor="middle", size=11, soft=True)
    canvas.text(
        _LEFT + 24 + (positions - 1) * across / 2, bottom + 36, "position in the draft", anchor="middle", soft=True
    )
    for line in drawn:
        points = [at(*one) for one in line.known]
        canvas.path(points, line.look)
        for point in points:
            canvas.marker(*point, line.look)
    if len(drawn) <= _MOST_NUMBERED and positions <= _MOST_POSITIONS:
        for position in range(1, positions + 1):
            _numbers(canvas, drawn, position, at)
    ends = [at(*line.known[-1]) for line in drawn]
    for line, y in zip(drawn, spread([y for _, y in ends], _APART, bottom), strict=True):
        canvas.path([(right + 22, y), (right + 52, y)], line.look)
        canvas.marker(right + 37, y, line.look)
        canvas.text(right + 60, y + 4, line.name, look=line.look, width=WIDTH - right - 68)
    return canvas.svg(bottom + 52)


def _numbers(
    canvas: Canvas, drawn: Sequence[Line], position: int, at: Callable[[int, float], tuple[float, float]]
) -> None:
    """Write the shares of one position above their points, that of the lowest one below it."""
    here = [(line, dict(line.known)[position]) for line in drawn if position in dict(line.known)]
    here.sort(key=lambda one: -one[1])
    points = [at(position, share) for _, share in here]
    lowest = points.pop() if len(points) > 1 else None
    # From the lowest upwards, so that a number is moved away from the points below it.
    above = [-y for y in spread([10 - y for _, y in points][::-1], 13, 0.0)][::-1]
    for (line, share), (x, _), y in zip(here, points, above, strict=False):
        _number(canvas, line, share, x, y)
    if lowest is not None:
        _number(canvas, *here[-1], lowest[0], lowest[1] + 19)


def _number(canvas: Canvas, line: Line, share: float, x: float, y: float) -> None:
    canvas.text(x, y, percent_text(share), anchor="middle", size=11, look=line.look, halo=True)


def spread(wanted: Sequence[float], apart: float, most: float) -> list[float]:
    """Heights close to the wanted ones, at least ``apart`` from each other and none below ``most``."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    placed: list[float] = []
    for place in order:
        placed.append(max(wanted[place], placed[-1] + apart) if placed else wanted[place])
    limit = most
    for number in reversed(range(len(placed))):
        placed[number] = min(placed[number], limit)
        limit = placed[number] - apart
    found = [0.0] * len(wanted)
    for place, height in zip(order, placed, strict=True):
        found[place] = height
    return found
