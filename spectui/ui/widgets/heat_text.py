"""The output of one request, every token in the style of its heat: how many tokens its step emitted."""

from __future__ import annotations

from spectui.core.heat import HeatMap, HeatView, level
from spectui.core.tokens import Role, Token, TokenLog
from spectui.core.views import StreamView
from spectui.ui.paint.rows import Row
from spectui.ui.theme.palette import HEAT_STYLES, ROLE_STYLES
from spectui.ui.widgets.stream_layout import StreamLayout

_OUTPUT = frozenset({Role.PLAIN, Role.ACCEPTED, Role.RECOVERED, Role.BONUS})


class _OutputLog(TokenLog):
    """The output tokens of a request from the ``first`` one on; their places are those in its whole output."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    def __len__(self) -> int:
        return self.first + super().__len__()

    def __getitem__(self, index: int) -> Token:
        return super().__getitem__(index - self.first)

    def role(self, index: int) -> Role:
        return super().role(index - self.first)


class _HeatLayout(StreamLayout):
    """Lines of output whose styles are those of `HEAT_STYLES`."""

    def __init__(self, log: _OutputLog, width: int, heat: HeatMap) -> None:
        super().__init__(log, log.first, width, "none")
        self._heat = heat

    def _style(self, index: int, role: Role) -> str:
        looks = self._heat.looks(index)
        return ROLE_STYLES[Role.PLAIN] if looks is None else HEAT_STYLES[level(looks) - 1]

    def row(self, line: int) -> Row:
        row = super().row(line)
        if not row or not row[-1][0].endswith(" "):
            return row
        # The spaces at which a line was broken would give it a ragged edge.
        text, style = row[-1]
        inked = text.rstrip(" ")
        end: Row = ((text[len(inked) :], ROLE_STYLES[Role.PLAIN]),)
        return (*row[:-1], (inked, style), *end) if inked else (*row[:-1], *end)


class HeatText:
    """Follows one request as it grows.

    Args:
        view: The request.
        heat: Its heat.
        width: Cells of a line.
        most: Tokens that are laid out at most; earlier ones are not shown.
    """

    def __init__(self, view: StreamView, heat: HeatView, width: int, most: int) -> None:
        self._source = view.log
        self._read = max(0, view.length - most)
        self._map = HeatMap()
        output = sum(view.log.role(index) in _OUTPUT for index in range(self._read, view.length))
        self._log = _OutputLog(max(0, heat.length - output))
        self.layout: StreamLayout = _HeatLayout(self._log, width, self._map)

    def leads_to(self, view: StreamView, width: int, most: int) -> bool:
        """Whether `extend` gets to ``view``: it shows the same request at the same width, and not much more of it."""
        same = view.log is self._source and width == self.layout.width
        return same and 0 <= view.length - self._read <= most

    def extend(self, view: StreamView, heat: HeatView) -> bool:
        """Lay out what has come; returns whether lines that are finished may have changed."""
        for index in range(self._read, view.length):
            text, role = view.log[index]
            if role in _OUTPUT:
                self._log.append(text, Role.PLAIN)
        self._read = max(self._read, view.length)
        changed = self._map.follow(heat)
        self.layout.extend(len(self._log))
        return changed


def heat_rows(view: StreamView, width: int) -> list[Row]:
    """All of a request's output as rows: what the widget shows, without a screen."""
    assert view.heat is not None
    text = HeatText(view, view.heat, width, view.length)
    text.extend(view, view.heat)
    return [text.layout.row(line) for line in range(len(text.layout))]
