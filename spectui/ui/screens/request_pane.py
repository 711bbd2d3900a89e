"""The request that is shown of attached servers: head, text, a row for what is wrong, ledger."""

from __future__ import annotations

from dataclasses import replace

from textual.app import ComposeResult
from textual.containers import Vertical

from spectui.core.attached.views import AnswerView, AttachedView
from spectui.core.ledger import LedgerRow, ledger_row
from spectui.core.tokens import Role, TokenLog
from spectui.core.views import LaneView, StreamView
from spectui.ui.controls import Choices
from spectui.ui.looking import Entry
from spectui.ui.paint.rows import Span
from spectui.ui.widgets.heat_legend import HeatLegend
from spectui.ui.widgets.ledger import Ledger
from spectui.ui.widgets.request_head import RequestHead
from spectui.ui.widgets.token_stream import TokenStream
from spectui.ui.widgets.trouble_line import TroubleLine

_NO_TEXT = "no text: the server sends only numbers of this request (SPECTUI_SHARE), or its steps did not get here"


class RequestPane(Vertical):
    """Shows one request, or a prompt that was sent from here and its answer."""

    def __init__(self) -> None:
        super().__init__()
        self.head = RequestHead()
        self.stream = TokenStream()
        self.legend = HeatLegend()
        self.trouble = TroubleLine()
        self.ledger = Ledger()
        self._ledger_rows = 0
        self._answer: tuple[int, str, TokenLog] = (-1, "", TokenLog())

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.stream
        yield self.legend
        yield self.trouble
        yield self.ledger

    def fit_to(self, ledger: int) -> None:
        """Give the ledger so many rows."""
        self._ledger_rows = ledger
        self.ledger.styles.height = ledger

    def show(self, attached: AttachedView, lane: LaneView, entry: Entry, choices: Choices, said: list[Span]) -> None:
        """Show ``entry``, which is on ``lane``; where it has no text, the sentences ``said``."""
        answer = isinstance(entry, AnswerView)
        self.head.show(attached, entry, choices.look.following, choices.focus)
        self.stream.heat = self.legend.display = choices.heat and not answer
        self.stream.rejected = choices.rejected
        self.trouble.display = self.ledger.display = self._ledger_rows > 0 and not answer
        if isinstance(entry, AnswerView):
            fault: tuple[Span, ...] = ((entry.fault, "bad"),) if entry.fault else ()
            self.stream.show(None if fault else self._text_of(entry), fault)
            return
        stream = lane.stream if lane.slot == entry.slot else None
        if stream is None or not stream.length:
            words = said or [("no text yet: the server reads the prompt", "muted")]
            self.stream.show(None, tuple(words if entry.emitted == 0 or said else [(_NO_TEXT, "muted")]))
        else:
            self.stream.show(stream)
        self.legend.show(stream)
        self.trouble.show(lane)
        if self._ledger_rows:
            self.ledger.show(request_lane(lane, self._ledger_rows))

    def _text_of(self, answer: AnswerView) -> StreamView:
        """The answer as tokens, of which each is what came at once."""
        number, text, log = self._answer
        if number != answer.number or not answer.text.startswith(text):
            text, log = "", TokenLog()
        if more := answer.text[len(text) :]:
            log.append(more, Role.PLAIN)
        self._answer = (answer.number, answer.text, log)
        return StreamView(log, len(log))

    def scroll(self, where: str) -> None:
        """Scroll the text."""
        match where:
            case "up" | "down":
                self.stream.scroll_lines(-1 if where == "up" else 1)
            case "page_up" | "page_down":
                self.stream.page(-1 if where == "page_up" else 1)
            case "home":
                self.stream.home()
            case "end":
                self.stream.end()


def request_lane(lane: LaneView, most: int) -> LaneView:
    """The lane with the last steps of the shown request alone, numbered within it."""
    rows: list[LedgerRow] = [row for row in lane.ledger if row.slot == lane.slot][-most:]
    history = lane.history
    if len(rows) < most and history is not None and history:
        past = (history.at(index) for index in range(history.last - most + 1, history.last + 1))
        kept = [ledger_row(one.step.index, one.step) for one in past if one is not None]
        rows = kept if len(kept) > len(rows) else rows
    return replace(lane, ledger=tuple(replace(row, number=row.index) for row in rows), requests=1)
