"""The panes side by side: chooses which lanes are visible, and what each pane shows."""

from __future__ import annotations

from collections.abc import Callable

from textual.containers import Horizontal

from spectui.core.captions import beat_sentence, lane_sentence
from spectui.core.views import LaneView, RunView
from spectui.ui.controls import Choices
from spectui.ui.screens.arrangement import Arrangement, visible
from spectui.ui.screens.pane import NO_NARRATION, LanePane, Narration
from spectui.ui.talk.slow_motion import SlowMotion
from spectui.ui.widgets.pane_head import PaneState


class Panes(Horizontal):
    """Makes a pane for every lane and shows as many as fit, including the focused one.

    Args:
        choices: What the user chose.
        slow: The step that is shown in slow motion.
        loading_s: Returns the seconds since a lane began to load.
    """

    def __init__(self, choices: Choices, slow: SlowMotion, loading_s: Callable[[LaneView], float | None]) -> None:
        super().__init__(id="panes")
        self._choices = choices
        self._slow = slow
        self._loading_s = loading_s
        self._panes: list[LanePane] = []
        self._first = 0

    def first(self, arrangement: Arrangement, lanes: int) -> int:
        """Return the first visible lane."""
        self._first = visible(self._choices.focus, arrangement.panes, lanes, self._first)
        return self._first

    def fit_to(self, arrangement: Arrangement, lanes: int) -> None:
        """Lay the panes out as in ``arrangement``."""
        self._mount(lanes)
        self._slow.in_sight = range(self._first, self._first + arrangement.panes)
        for index, pane in enumerate(self._panes):
            pane.display = index in self._slow.in_sight
            pane.fit_to(arrangement)

    def _mount(self, lanes: int) -> None:
        while len(self._panes) > lanes:
            self._panes.pop().remove()
        while len(self._panes) < lanes:
            self._panes.append(LanePane(len(self._panes)))
            self.mount(self._panes[-1])
            self.show_as_chosen()

    def show(self, view: RunView) -> None:
        """Show what has changed in ``view``."""
        self.show_as_chosen()
        for index, (pane, lane) in enumerate(zip(self._panes, view.lanes, strict=False)):
            if pane.display:
                pane.show(lane, self._state(view, lane, index), self._narration(lane))

    def show_as_chosen(self) -> None:
        """Let every text show rejected drafts or heat as chosen; in slow motion rejected drafts have already
        disappeared, and roles are acted out."""
        for pane in self._panes:
            pane.show_heat(self._choices.heat and not self._slow.on)
            pane.stream.rejected = "none" if self._slow.on else self._choices.rejected

    def scroll(self, where: str) -> None:
        """Scroll the focused lane's text, if the terminal is large enough for a pane."""
        if self._choices.focus >= len(self._panes):
            return
        stream = self._panes[self._choices.focus].stream
        match where:
            case "up" | "down":
                stream.scroll_lines(-1 if where == "up" else 1)
            case "page_up" | "page_down":
                stream.page(-1 if where == "page_up" else 1)
            case "home":
                stream.home()
            case "end":
                stream.end()

    def _state(self, view: RunView, lane: LaneView, index: int) -> PaneState:
        return PaneState(
            number=index + 1,
            focused=index == self._choices.focus and len(view.lanes) > 1,
            greedy=view.sampling.temperature <= 0,
            paused=view.paused,
            stopped=view.fault is not None,
            over=view.round_over,
            elapsed_s=self._loading_s(lane),
        )

    def _narration(self, lane: LaneView) -> Narration:
        if not self._choices.presenting:
            return NO_NARRATION
        acted = self._slow.acted
        if acted is None or acted.lane != lane.info.name:
            return Narration(lane_sentence(lane))
        beat = acted.beat
        return Narration(beat_sentence(acted.step, beat.phase), acted.before, beat.tokens)
