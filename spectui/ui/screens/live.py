"""The live screen: one pane a lane and the charts of the focused one, each in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from spectui.core.views import RunView
from spectui.ui.actions import ACTIONS, Action
from spectui.ui.controls import LIVE_ONLY, REPLAY_ONLY, Controls
from spectui.ui.paint.canvas import paint
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.screens.arrangement import SIDE_CELLS, arrange_above
from spectui.ui.screens.bottom_lines import BottomLines
from spectui.ui.screens.charts import Charts
from spectui.ui.screens.lines import KeysLine, MessageLine, asking_hints, hints
from spectui.ui.screens.message import message
from spectui.ui.screens.pane import LanePane
from spectui.ui.screens.panes import Panes
from spectui.ui.screens.presenter_strip import LaneStrip
from spectui.ui.screens.race_keys import RaceKeys
from spectui.ui.talk.caption_line import CaptionLine
from spectui.ui.widgets.status import StatusLine, TooSmall
from spectui.ui.widgets.stream_layout import Rejected
from spectui.ui.widgets.timeline_bar import TimelineBar

NOT_FOR_AUDIENCE = frozenset({"view.inspect", "view.rejected", "view.machine", "program.log"})
"""Actions that leave the footer's room to those of presenter mode; their keys work all the same."""

REJECTED_LABELS: Mapping[Rejected, str] = {"none": "first rejected", "first": "all rejected", "all": "hide rejected"}
"""What the key does next, by what of the rejected drafts is shown."""


class LiveScreen(RaceKeys):
    """Arranges the parts and shows the view to those whose part of it moved."""

    DEFAULT_CSS = f"""
    LiveScreen {{ background: $background; layout: vertical; overflow: hidden; }}
    LiveScreen StatusLine, LiveScreen LaneStrip, LiveScreen BottomLines {{ margin: 0 1; }}
    LiveScreen.airy BottomLines {{ margin: 1 1 0 1; }}
    LiveScreen.airy CaptionLine {{ margin: 1 1 0 1; }}
    LiveScreen.airy StatusLine {{ margin: 0 1 1 1; }}
    LiveScreen LaneStrip {{ display: none; margin: 0 1 1 1; }}
    LiveScreen.strip LaneStrip {{ display: block; }}
    LiveScreen.tight LaneStrip {{ margin: 0 1; }}
    LiveScreen #body {{ height: 1fr; layout: vertical; overflow: hidden; }}
    LiveScreen #panes {{ height: 1fr; width: 1fr; overflow: hidden; }}
    LiveScreen LanePane {{ width: 1fr; padding: 0 1; overflow: hidden; }}
    LiveScreen LanePane Ledger, LiveScreen LanePane LaneSentence {{ margin: 1 0 0 0; }}
    LiveScreen Charts {{ height: auto; overflow: hidden; margin: 1 0 0 0; }}
    LiveScreen.beside #body {{ layout: horizontal; }}
    LiveScreen.beside Charts {{ layout: vertical; width: {SIDE_CELLS}; height: 1fr; margin: 0; }}
    LiveScreen.beside Charts Canvas {{ height: 1fr; }}
    LiveScreen.airy ThemeList {{ margin: 1; }}
    LiveScreen TooSmall {{ display: none; height: 1fr; }}
    LiveScreen.too-small > * {{ display: none; }}
    LiveScreen.too-small > ThemeList {{ display: none; }}
    LiveScreen.too-small > TooSmall {{ display: block; }}
    LiveScreen.prompting MessageLine {{ display: none; }}
    """

    def __init__(self, controls: Controls, panes: Panes, actions: Sequence[Action] = ACTIONS) -> None:
        super().__init__(controls, panes)
        self._status = StatusLine()
        self._strip = LaneStrip()
        self._charts = Charts()
        self._bottom_lines = BottomLines()
        self._caption = CaptionLine()
        self._message = MessageLine()
        self._keys = KeysLine(lambda action: self.doing(action)(), actions)
        self._asked: object = None
        self._laid_out: object = None
        self._keys_for: object = None

    def compose(self) -> ComposeResult:
        yield self._status
        yield self._strip
        with Container(id="body"):
            yield self._panes
            yield self._charts
        yield self._bottom_lines
        yield self._caption
        yield self._message
        yield self._keys
        yield TooSmall()

    def present(self, view: RunView, slow: bool) -> None:
        """Show what moved and paint it; ``slow`` also draws what changes slowly."""
        self._lay_out(view)
        choices = self._app.choices
        dirty: set[Widget] = set()
        if self._status.show(view, self._app.lag_ms):
            dirty.add(self._status)
        if self._strip.display and self._strip.show(view.lanes, choices.focus):
            dirty.add(self._strip)
        dirty |= self._panes.show(view)
        if slow:
            dirty |= self._charts.show(view.lanes, choices.focus, choices.windowed)
        dirty |= self._bottom_lines.show(view, slow)
        talking = self._app.talking
        if talking is not None:
            dirty |= talking.show(self._caption, self.size.width)
        quiet = talking is not None and talking.player.running
        if self._message.show(message(view, self._app.notice_age_s, choices.slot, self._app.slow.on, quiet)):
            dirty.add(self._message)
        if self._show_keys(view):
            dirty.add(self._keys)
        paint(self, dirty)

    def _show_keys(self, view: RunView) -> bool:
        choices, instead = self._app.choices, self._hints_instead()
        failed = sum(lane.failed is not None for lane in view.lanes)
        replay = view.playhead is not None
        moment = (view.round, view.round_over, view.paused, view.fault, len(view.lanes), failed, replay)
        chosen = (choices.wanted_pause, choices.focus, choices.presenting, choices.rejected)
        key = (moment, chosen, self._app.slow.on, instead)
        if key == self._keys_for:
            return False
        self._keys_for = key
        labels = {
            "race.pause": "go on" if self._controls.paused(view) else "pause",
            "view.present": "end presenting" if choices.presenting else "present",
            "view.slow": "true speed" if self._app.slow.on else "slow motion",
            "view.rejected": REJECTED_LABELS[choices.rejected],
        }
        hidden = _not_for(replay) | (NOT_FOR_AUDIENCE if choices.presenting else {"view.slow"})
        return self._keys.show(self._disabled(), labels, instead, hidden)

    def _hints_instead(self) -> Row:
        """What the keys do while something else than the race takes them."""
        if self.typing is not None and self.typing.question is not None:
            return asking_hints(self.typing.question.does)
        if self.choosing is not None:
            return hints(("Enter", "keep"), ("Esc", f"back to {self.choosing.before}"), ("Up Down", "choose"))
        return EMPTY if self._app.talking is None else self._app.talking.hints

    def _disabled(self) -> frozenset[str]:
        """Actions of the footer that can do nothing now."""
        offered = (action for action in ACTIONS if action.footer is not None)
        return frozenset(action.id for action in offered if not self.check_action(*action.parsed))

    def _lay_out(self, view: RunView) -> None:
        """Give every part its place; does nothing unless size, lanes or the lanes in sight changed."""
        width, height = self.size
        list_rows = 0 if self.choosing is None else self.choosing.wanted_rows(height)
        replay = view.playhead is not None
        audience = self._app.choices.presenting
        asked = (width, height, list_rows, len(view.lanes), self._app.choices.focus, replay, audience)
        if asked == self._asked:
            return
        self._asked = asked
        found = arrange_above(list_rows, width, height, len(view.lanes), audience)
        first = 0 if found is None else self._panes.first(found, len(view.lanes))
        key = (found, list_rows, len(view.lanes), first, replay)
        if key == self._laid_out:
            return
        self._laid_out = key
        self.set_class(found is None, "too-small")
        if found is None:
            return
        self.set_class(found.strip, "strip")
        self.set_class(found.charts == "beside", "beside")
        self.set_class(found.airy, "airy")
        self.set_class(found.tight, "tight")
        self._panes.fit_to(found, len(view.lanes))
        self._charts.fit_to(found, len(view.lanes))
        self._bottom_lines.fit_to(found, replay)
        if self.choosing is not None:
            self.choosing.styles.height = list_rows

    def on_resize(self) -> None:
        self._app.redraw_all()

    def on_screen_resume(self) -> None:
        self._app.redraw_all()

    def on_timeline_bar_chosen(self, event: TimelineBar.Chosen) -> None:
        self._controls.seek_to(event.share)

    def on_lane_pane_chosen(self, event: LanePane.Chosen) -> None:
        self.action_focus_lane(event.index + 1)

    def on_lane_strip_chosen(self, event: LaneStrip.Chosen) -> None:
        self.action_focus_lane(event.index + 1)


def _not_for(replay: bool) -> frozenset[str]:
    """Ids of the actions that a replay, or a live race, does not have at all."""
    names = LIVE_ONLY if replay else REPLAY_ONLY
    return frozenset(action.id for action in ACTIONS if action.parsed[0] in names)
