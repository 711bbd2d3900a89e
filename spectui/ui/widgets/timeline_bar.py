"""Where a replay is: a bar for the whole trace with what happened in it, and the figures beside it."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.message import Message

from spectui.core.views import RunView
from spectui.protocol.playback import PlaybackMarks, Playhead
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.rows import Row, Span, row_width

PLAYED, AHEAD, HEAD = "━", "─", "●"
REFUSED_PLAYED, REFUSED_AHEAD = "╍", "╌"
ROUND, FORK, END, K_CHANGE, DIVERGENCE = "┃", "┣", "╵", "K", "≠"
_STYLES = {ROUND: "text", FORK: "accent", DIVERGENCE: "warn"}
LEAST_BAR = 12
DENSE = 0.8
"""Parts of a trace are marked if at least this share of the parts had fewer rejected drafts."""


class TimelineBar(Canvas):
    """One row; a click jumps to that place, and dragging follows the mouse."""

    DEFAULT_CSS = "TimelineBar { height: 1; }"

    class Chosen(Message):
        """The user clicked the bar at ``share`` of the trace."""

        def __init__(self, share: float) -> None:
            super().__init__()
            self.share = share

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._run: RunView | None = None
        self._asked: float | None = None

    def show(self, run: RunView) -> None:
        """Show ``run``."""
        self._run = run
        self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        return [] if self._run is None else timeline_rows(self._run, width)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self._ask(event.x, beyond=False):
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._asked is not None:
            self._ask(event.x, beyond=True)

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self.release_mouse()
        self._asked = None

    def _ask(self, x: int, *, beyond: bool) -> bool:
        """Ask for the place at ``x``, once; ``beyond`` an end of the bar means that end."""
        if self._run is None or (head := self._run.playhead) is None:
            return False
        start, cells = bar_place(self._run, head, self.size.width)
        if not (beyond or start <= x < start + cells):
            return False
        share = min(1.0, max(0.0, (x - start) / max(1, cells - 1)))
        if share != self._asked:
            self._asked = share
            self.post_message(self.Chosen(share))
        return True


def timeline_rows(run: RunView, width: int) -> list[Row]:
    """One row: state and speed, the bar, lane time, how much of the trace is indexed."""
    head = run.playhead
    if head is None:
        return []
    left, right = _left(run, head), _right(head)
    cells = width - row_width(left) - row_width(right)
    if cells < LEAST_BAR:
        return [(*left, *right)]
    return [(*left, *_bar(head, run.marks, cells), *right)]


def bar_place(run: RunView, head: Playhead, width: int) -> tuple[int, int]:
    """First cell and number of cells of the bar."""
    before = row_width(_left(run, head))
    return before, max(0, width - before - row_width(_right(head)))


def _left(run: RunView, head: Playhead) -> Row:
    state = "end" if head.ended else "paused" if run.paused else "replay"
    shown: Row = ((f"{state:<7}", "warn" if state == "paused" else "accent"), (f"{head.speed:g}x".ljust(6), "text"))
    return shown if head.reached is None else (*shown, (f"reaches {head.reached:.1f}x  ", "warn"))


def _right(head: Playhead) -> Row:
    time = f"  {head.lane_ns / 1e9:.2f} of {head.total_ns / 1e9:.2f} s"
    known: Row = () if head.known >= 1 else ((f"  indexing {head.known:.0%}", "muted"),)
    return ((time, "text"), *known)


def _bar(head: Playhead, marks: PlaybackMarks | None, cells: int) -> Row:
    at = round(head.share * (cells - 1))
    signs = ["" for _ in range(cells)]
    if marks is not None:
        found = (
            (marks.ends, END),
            (marks.k_changes, K_CHANGE),
            (marks.divergences, DIVERGENCE),
            (marks.rounds, ROUND),
            (marks.forks, FORK),
        )
        for shares, sign in found:
            for share in shares:
                signs[min(cells - 1, round(share * (cells - 1)))] = sign
    refused = _refused(marks)
    row: list[Span] = []
    for cell in range(cells):
        played = cell < at
        text, style = (PLAYED, "accent") if played else (AHEAD, "faint")
        if signs[cell]:
            text, style = signs[cell], _STYLES.get(signs[cell], "muted")
        elif refused and refused[cell * len(refused) // cells]:
            text, style = REFUSED_PLAYED if played else REFUSED_AHEAD, "role.rejected"
        if cell == at:
            text, style = HEAD, "strong"
        if row and row[-1][1] == style:
            row[-1] = (row[-1][0] + text, style)
        else:
            row.append((text, style))
    return tuple(row)


def _refused(marks: PlaybackMarks | None) -> list[bool]:
    """The parts of the trace with the most rejected drafts: more than most others, and more than the median."""
    shares = marks.rejections if marks is not None else ()
    known = sorted(share for share in shares if share is not None)
    if not known:
        return []
    many, middle = known[int(DENSE * (len(known) - 1))], known[len(known) // 2]
    return [share is not None and share >= many and share > middle for share in shares]
