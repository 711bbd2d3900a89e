"""One lane's pane: head, text, a row for what is wrong, and ledger or the sentence for an audience."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from spectui.core.tokens import Token
from spectui.core.views import LaneView
from spectui.ui.screens.arrangement import Arrangement
from spectui.ui.widgets.heat_legend import HeatLegend
from spectui.ui.widgets.lane_sentence import LaneSentence
from spectui.ui.widgets.ledger import Ledger
from spectui.ui.widgets.pane_head import PaneHead, PaneState, lane_message
from spectui.ui.widgets.token_stream import TokenStream
from spectui.ui.widgets.trouble_line import TroubleLine


@dataclass(frozen=True, slots=True)
class Narration:
    """What an audience is told.

    Attributes:
        sentence: The sentence under the text.
        before: How many tokens of the text come before ``tokens``.
        tokens: The tokens of a step shown in slow motion; None if there is none.
    """

    sentence: str = ""
    before: int = 0
    tokens: tuple[Token, ...] | None = None


NO_NARRATION = Narration()


class LanePane(Vertical):
    """Shows one lane; a click focuses it."""

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
        self.legend = HeatLegend()
        self.trouble = TroubleLine()
        self.ledger = Ledger()
        self.sentence = LaneSentence()
        self._shown: tuple[LaneView, PaneState] | None = None
        self._narration = NO_NARRATION
        self._apart = True

    def compose(self) -> ComposeResult:
        yield self.head
        yield self.stream
        yield self.legend
        yield self.trouble
        yield self.ledger
        yield self.sentence

    def fit_to(self, arrangement: Arrangement) -> None:
        """Assign rows to the parts."""
        self.head.styles.height = arrangement.head
        self.ledger.styles.height = arrangement.ledger
        self.ledger.display = arrangement.ledger > 0
        self.sentence.styles.height = arrangement.sentence
        self.sentence.display = arrangement.sentence > 0
        # Where something follows the text, the row sets it apart, and is there even if nothing is wrong.
        self._apart = self.ledger.display or self.sentence.display
        self._make_room()

    def _make_room(self) -> None:
        lane = self._shown[0] if self._shown else None
        wrong = lane is not None and bool(lane.troubles or lane.unlike)
        self.trouble.display = self._apart or wrong

    def show_heat(self, heat: bool) -> None:
        """Show the text's heat and what it means, or the tokens' roles."""
        self.stream.heat = self.legend.display = heat

    def show(self, lane: LaneView, state: PaneState, narration: Narration = NO_NARRATION) -> None:
        """Show ``lane``."""
        before, self._shown = self._shown, (lane, state)
        if narration != self._narration:
            self._narration = narration
            self.stream.act(narration.before, narration.tokens)
            self.sentence.show(narration.sentence)
        if before is not None and before[0] is lane and before[1] == state:
            return
        self.head.show(lane, state)
        self.trouble.show(lane)
        self._make_room()
        # A view is also new if only AR's speed has changed, which does not affect the text and the ledger.
        if before is None or (before[0].revision, before[0].slot) != (lane.revision, lane.slot):
            instead = lane_message(lane, state)
            self.stream.show(lane.stream, instead)
            self.legend.show(None if instead else lane.stream)
            self.ledger.show(lane)

    def on_click(self, event: events.Click) -> None:
        self.post_message(self.Chosen(self._index))
