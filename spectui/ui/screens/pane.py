"""One lane's pane: head, text, ledger; or the sentence for an audience."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from spectui.core.tokens import Token
from spectui.core.views import LaneView
from spectui.ui.screens.arrangement import Arrangement
from spectui.ui.widgets.lane_sentence import LaneSentence
from spectui.ui.widgets.ledger import Ledger
from spectui.ui.widgets.pane_head import PaneHead, PaneState, lane_message
from spectui.ui.widgets.token_stream import TokenStream


@dataclass(frozen=True, slots=True)
class Narration:
    """What is told to an audience.

    Attributes:
        sentence: Stands under the text.
        before: Tokens of the text that stand before ``tokens``.
        tokens: Those of a step that is acted out, None when none is.
    """

    sentence: str = ""
    before: int = 0
    tokens: tuple[Token, ...] | None = None


NO_NARRATION = Narration()


class LanePane(Vertical):
    """Shows one lane; a click asks for the focus."""

    class Chosen(Message):
        """The user clicked the pane of the lane at ``index``."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, index: int) -> None:
        super().__init__()
        self._index = index
        self.head = PaneHead()
        self.stream = TokenStream()
        self.ledger = Ledger()
        self.sentence = LaneSentence()
        self._shown: tuple[LaneView, PaneState] | None = None
        self._narration = NO_NARRATION

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.stream
        yield self.ledger
        yield self.sentence

    def fit_to(self, arrangement: Arrangement) -> None:
        """Give the parts their rows."""
        self.head.styles.height = arrangement.head
        self.ledger.styles.height = arrangement.ledger
        self.ledger.display = arrangement.ledger > 0
        self.sentence.styles.height = arrangement.sentence
        self.sentence.display = arrangement.sentence > 0

    def show(self, lane: LaneView, state: PaneState, narration: Narration = NO_NARRATION) -> set[Widget]:
        """Show ``lane``; the widgets that have something to paint."""
        before, self._shown = self._shown, (lane, state)
        dirty = self._set(narration)
        if before is not None and before[0] is lane and before[1] == state:
            return dirty
        if self.head.show(lane, state):
            dirty.add(self.head)
        # A view is also new when only AR's speed moved, which is no news for the text and the ledger.
        if before is None or (before[0].revision, before[0].slot) != (lane.revision, lane.slot):
            if self.stream.show(lane.stream, lane_message(lane, state)):
                dirty.add(self.stream)
            if self.ledger.show(lane):
                dirty.add(self.ledger)
        return dirty

    def _set(self, narration: Narration) -> set[Widget]:
        dirty: set[Widget] = set()
        if narration == self._narration:
            return dirty
        self._narration = narration
        if self.stream.act(narration.before, narration.tokens):
            dirty.add(self.stream)
        if self.sentence.show(narration.sentence):
            dirty.add(self.sentence)
        return dirty

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Chosen(self._index))
