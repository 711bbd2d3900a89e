"""Breaks a growing token log into lines, once: what is laid out is never looked at again.

For each line only its start is kept, so a long run costs a few bytes per line; the spans of the few lines on the screen
are made when they are drawn. Where a line breaks depends only on the tokens, never on how they arrived.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Set
from typing import Literal, TypeAlias

from spectui.core.tokens import Role, TokenLog
from spectui.ui.paint.cells import NEWLINE_SIGN, clusters, mark_room, starts_with_mark, stream_safe
from spectui.ui.paint.rows import Row, Span, fit, row_width
from spectui.ui.theme.palette import REJECTED_COUNT, ROLE_STYLES

BRACKETS: dict[Role, tuple[str, str]] = {
    Role.REJECTED: ("[", "]"),
    Role.PENDING: ("(", ")"),
    Role.CUT: ("«", "»"),
    Role.KEPT: ("", "┊"),
    Role.PUT: ("‹", "›"),  # noqa: RUF001 -- they cannot be taken for code.
}
"""Written around a run of tokens that are not output: if there are no colours, and around those of `ALWAYS` always."""

ALWAYS = frozenset({Role.CUT, Role.KEPT, Role.PUT})
"""Roles whose brackets are written in every theme."""

BONUS_SIGN = "⁺"
"""Written before a bonus token if there are no colours."""

Rejected: TypeAlias = Literal["none", "first", "all"]
"""Which of a step's rejected drafts are shown; with "first" a count stands for those after it."""

_OUTPUT = frozenset({Role.PLAIN, Role.ACCEPTED, Role.RECOVERED, Role.BONUS, Role.KEPT, Role.PUT})
_LOOK_BACK = 64
_BEGINNING = 8
"""What a fork began with stands before one of these tokens; only there may a sign be needed in every theme."""


class StreamLayout:
    """Lines of one token log from token ``first`` on, for one width and one way of showing it.

    A line runs from its start to the next one's; the spaces and the line feed that end it may lie beyond the width,
    where nothing is drawn. ``signs`` are the roles whose signs are written.
    """

    def __init__(
        self,
        log: TokenLog,
        first: int,
        width: int,
        rejected: Rejected = "first",
        signs: Set[Role] = frozenset(),
    ) -> None:
        self.log = log
        self.first = first
        self.width = max(1, width)
        self.rejected = rejected
        self.signs = signs
        self._signed = signs | ALWAYS
        self.length = first
        """Number of tokens of the log that are laid out."""
        self._tokens = array("I", [first])
        self._offsets = array("I", [0])
        self._x = 0
        self._inked = False
        self._break: tuple[int, int, int] | None = None

    def __len__(self) -> int:
        """Number of lines so far, including the unfinished last one."""
        return len(self._tokens)

    def extend(self, length: int) -> None:
        """Lay out the log's first ``length`` tokens."""
        for index in range(self.length, length):
            text = self._text(index)
            if self._x + len(text) <= self.width and text.isascii() and "\n" not in text:
                self._advance(index, text)
            else:
                self._place(index, text)
        self.length = max(self.length, length)

    def _advance(self, index: int, text: str) -> None:
        """Put an ASCII token that fits onto the line."""
        inked = self._inked or not text.isspace()
        if inked and text:
            if (space := text.rfind(" ") + 1) and (self._inked or text[:space].strip()):
                self._break = (index, space, self._x + space)
            self._inked = True
        self._x += len(text)

    def _place(self, index: int, text: str) -> None:
        """Put a token onto the line character by character, breaking where it does not fit."""
        offset = 0
        for cluster, cells in clusters(text):
            end = offset + len(cluster)
            if cluster == "\n":
                self._start_line(index, end, 0)
            elif cluster == " ":
                self._x = min(self.width, self._x + 1)
                if self._inked:
                    self._break = (index, end, self._x)
            else:
                self._place_cluster(index, offset, end, cells)
            offset = end

    def _place_cluster(self, index: int, offset: int, end: int, cells: int) -> None:
        if cells == 2 and self._inked:
            self._break = (index, offset, self._x)
        while self._x + cells > self.width and self._x:
            self._wrap(index, offset)
        after_break = self._break is not None and self._break[2] == self._x
        self._x += cells
        self._inked = True
        if cells == 2 or (cells == 0 and after_break):
            self._break = (index, end, self._x)

    def _wrap(self, index: int, offset: int) -> None:
        """Begin a line at the last place that allows it, or in the middle of a word that fills most of the line."""
        if self._break is None or self._break[2] * 3 < self.width:
            self._start_line(index, offset, 0)
        else:
            at, start, x = self._break
            self._start_line(at, start, self._x - x)

    def _start_line(self, index: int, offset: int, x: int) -> None:
        self._tokens.append(index)
        self._offsets.append(offset)
        self._x = x
        self._inked = x > 0
        self._break = None

    def _text(self, index: int) -> str:
        """A token as it is written: safe, on one line unless it is output, and with what comes before it."""
        text, role = self.log[index]
        if role is Role.REJECTED and self._hides(index):
            return ""
        room = self._mark_room(index, role) if starts_with_mark(text) else 0
        shown = stream_safe(text, room)
        if role not in _OUTPUT:
            shown = shown.replace("\n", NEWLINE_SIGN)
        if shown and (self.signs or role in ALWAYS or index < _BEGINNING):
            shown = self._signs(index, role) + shown
        return shown if role is Role.REJECTED else self._count(index) + shown

    def _hides(self, index: int) -> bool:
        """Whether a rejected draft is hidden."""
        if self.rejected == "first":
            return index > self.first and self.log.role(index - 1) is Role.REJECTED
        return self.rejected == "none"

    def _count(self, index: int) -> str:
        """A count of the hidden rejected drafts before a token, if the first of them is shown."""
        if self.rejected != "first":
            return ""
        start = index
        while start > self.first and self.log.role(start - 1) is Role.REJECTED:
            start -= 1
        return f"+{index - start - 1}" if index - start > 1 else ""

    def _signs(self, index: int, role: Role) -> str:
        """The signs before a token, which depend on its role and that of the token before."""
        before = next((other for _, other in self._shown_before(index)), None)
        bonus = BONUS_SIGN if role is Role.BONUS and role in self.signs else ""
        if before is role:
            return bonus
        # What was put in place has signs of its own.
        closes = before in self._signed and before in BRACKETS and role is not Role.PUT
        closing = BRACKETS[before][1] if before is not None and closes else ""
        opening = BRACKETS[role][0] if role in BRACKETS and role in self._signed else ""
        return closing + opening + bonus

    def _mark_room(self, index: int, role: Role) -> int:
        """How many marks at the start of a token may attach to the tokens before it."""
        before = ""
        for text, other in self._shown_before(index):
            if (other in _OUTPUT) != (role in _OUTPUT) or (other is not role and {other, role} & self._signed):
                return 0
            before = text + before
            if room := mark_room(before):
                return room
        return 0

    def _shown_before(self, index: int) -> Iterator[tuple[str, Role]]:
        """The tokens before ``index`` that are neither empty nor hidden, backwards, as far as they can matter."""
        for back in range(index - 1, max(self.first, index - _LOOK_BACK) - 1, -1):
            text, role = self.log[back]
            if role is Role.REJECTED and self._hides(back):
                continue
            if shown := stream_safe(text):
                yield shown, role

    def row(self, line: int) -> Row:
        """The spans of a line, no wider than the width; neighbours with the same style become one span."""
        last = line + 1 == len(self._tokens)
        end = self.length if last else self._tokens[line + 1]
        stop = 0 if last else self._offsets[line + 1]
        row = tuple(self._spans(self._tokens[line], self._offsets[line], end, stop))
        if last and row:
            row += self._end()
        return row if row_width(row) <= self.width else fit(row, self.width)

    def _end(self) -> Row:
        """What follows the last token."""
        role = self.log.role(self.length - 1)
        if role is Role.REJECTED and (count := self._count(self.length)):
            return ((count, REJECTED_COUNT),)
        return ((BRACKETS[role][1], ROLE_STYLES[role]),) if role in ALWAYS else ()

    def _style(self, index: int, role: Role) -> str:
        """The style of a token."""
        return ROLE_STYLES[role]

    def _spans(self, start: int, offset: int, end: int, stop: int) -> Iterator[Span]:
        style, parts = "", ""
        for index in range(start, end + (stop > 0)):
            text = self._text(index)
            role = self.log.role(index)
            counted = 0 if role is Role.REJECTED else len(self._count(index))
            first, last = offset if index == start else 0, stop if index == end else len(text)
            count, own = text[first : min(counted, last)], text[max(counted, first) : last]
            for piece, name in ((count, REJECTED_COUNT), (own, self._style(index, role))):
                if not piece:
                    continue
                if name != style:
                    if parts:
                        yield parts, style
                    style, parts = name, ""
                parts += piece
        if parts := parts.removesuffix("\n"):
            yield parts, style
