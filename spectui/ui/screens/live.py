"""The live screen: one pane a lane and the charts of the focused one, each in its place."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container

from spectui.core.attached.views import AttachedView
from spectui.core.views import RunView
from spectui.protocol.commands import SeekTo
from spectui.ui.action import Action
from spectui.ui.controls import Controls
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.screens.arrangement import SIDE_CELLS, arrange_above
from spectui.ui.screens.attached_body import AttachedBody
from spectui.ui.screens.attached_message import attached_message
from spectui.ui.screens.bottom_lines import BottomLines
from spectui.ui.screens.charts import Charts
from spectui.ui.screens.lines import KeysLine, MessageLine, asking_hints, hints
from spectui.ui.screens.message import message
from spectui.ui.screens.opening import inspect_step
from spectui.ui.screens.pane import LanePane
from spectui.ui.screens.panes import Panes
from spectui.ui.screens.presenter_strip import LaneStrip
from spectui.ui.screens.race_keys import RaceKeys
from spectui.ui.talk.caption_line import CaptionLine
from spectui.ui.widgets.endpoint_table import EndpointTable
from spectui.ui.widgets.ledger import Ledger
from spectui.ui.widgets.request_table import RequestTable
from spectui.ui.widgets.status import StatusLine, TooSmall
from spectui.ui.widgets.timeline_bar import TimelineBar


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
    LiveScreen Charts {{ height: auto; overflow: hidden; margin: 1 0 0 0; }}
    LiveScreen.beside #body {{ layout: horizontal; }}
    LiveScreen.beside Charts {{ layout: vertical; width: {SIDE_CELLS}; height: 1fr; margin: 0; }}
    LiveScreen.beside Charts Canvas {{ height: 1fr; }}
    LiveScreen.airy ThemeList {{ margin: 1; }}
    LiveScreen TooSmall {{ display: none; height: 1fr; }}
    LiveScreen.too-small > * {{ display: none; }}
    LiveScreen.too-small > ThemeList {{ display: none; }}
    LiveScreen.too-small > TooSmall {{ display: block; }}
    LiveScreen.airy AttachedBody {{ margin: 0 0 1 0; }}
    LiveScreen.prompting MessageLine {{ display: none; }}
    LiveScreen.attached #body, LiveScreen.attached LaneStrip {{ display: none; }}
    """

    def __init__(self, controls: Controls, panes: Panes, actions: Sequence[Action]) -> None:
        super().__init__(controls, panes)
        self._status = StatusLine()
        self._strip = LaneStrip()
        self._charts = Charts()
        self._bottom_lines = BottomLines()
        self._caption = CaptionLine()
        self._message = MessageLine()
        self._footer = [action for action in actions if action.footer is not None]
        self._keys = KeysLine(lambda action: self.doing(action)(), self._footer)
        self.served: AttachedBody | None = None
        self._asked: object = None
        self._laid_out: object = None

    def compose(self) -> ComposeResult:
        yield self._status
        yield self._strip
        with Container(id="body"):
            yield self.panes
            yield self._charts
        yield self._bottom_lines
        yield self._caption
        yield self._message
        yield self._keys
        yield TooSmall()

    def present(self, view: RunView, slow: bool) -> None:
        """Show what moved; ``slow`` also shows what changes slowly."""
        if view.attached is not None:
            self._present_attached(view, view.attached, slow)
            return
        self._lay_out(view)
        choices = self._app.choices
        self._status.show(view, self._app.lag_ms)
        if self._strip.display:
            self._strip.show(view.lanes, choices.focus)
        self.panes.show(view)
        if slow:
            self._charts.show(view.lanes, choices.focus, choices.windowed)
        self._bottom_lines.show(view, slow)
        talking = self._app.talking
        if talking is not None:
            talking.show(self._caption, self.size.width)
        quiet = talking is not None and talking.player.running
        self._message.show(message(view, self._app.known.notice_age_s, choices.slot, self._app.slow.on, quiet))
        self._show_keys()

    def _present_attached(self, view: RunView, attached: AttachedView, slow: bool) -> None:
        """Show servers that run elsewhere."""
        if self.served is None:
            self.served = AttachedBody(self._app.choices, self._app.known)
            self.set_class(False, "strip", "beside", "tight")
            self.add_class("attached")
            self.mount(self.served, after=self.query_one("#body"))
        known, width, height, rows = self._app.known, *self.size, self._list_rows()
        replay = view.playhead is not None
        found = self.served.arrangement(view, width, height - rows - replay)
        if self._laid_out != (found, rows, replay):
            self._laid_out = (found, rows, replay)
            self.set_class(found is None, "too-small")
            self._bottom_lines.fit_to(False, replay)
            if found is not None:
                self.set_class(found.airy, "airy")
                self.served.fit_to(found)
            if self.choosing is not None:
                self.choosing.styles.height = rows
        self._status.show(view, self._app.lag_ms)
        self.served.show(view, slow)
        self._bottom_lines.show(view, slow)
        told = message(view, known.notice_age_s) if view.fault is not None or known.notice_news else ()
        away = {} if replay else known.away_s
        self._message.show(told or attached_message(view, attached, self._app.choices.look, away, known.ended_s))
        self._show_keys()

    def _list_rows(self) -> int:
        """Rows of the list of themes, if it is open."""
        return 0 if self.choosing is None else self.choosing.wanted_rows(self.size.height)

    def _show_keys(self) -> None:
        controls, presenting = self._controls, self._app.choices.presenting
        shown = [
            one
            for one in self._footer
            if controls.takes(one) and one.presenting in (None, presenting) and one.served in (None, controls.served)
        ]
        possible = frozenset(one.id for one in shown if controls.possible(one))
        labels = {one.id: one.label_now(controls) for one in shown if one.label_now is not None}
        self._keys.show(shown, possible, labels, self._hints_instead())

    def _hints_instead(self) -> Row:
        """What the keys do while something else than the race takes them."""
        if self.typing is not None and self.typing.question is not None:
            return asking_hints(self.typing.question.does)
        if self.choosing is not None:
            return hints(("Enter", "keep"), ("Esc", f"back to {self.choosing.before}"), ("Up Down", "choose"))
        return EMPTY if self._app.talking is None else self._app.talking.hints

    def _lay_out(self, view: RunView) -> None:
        """Give every part its place; does nothing unless size, lanes or the lanes in sight changed."""
        width, height = self.size
        list_rows = self._list_rows()
        replay = view.playhead is not None
        audience = self._app.choices.presenting
        asked = (width, height, list_rows, len(view.lanes), self._app.choices.focus, replay, audience)
        if asked == self._asked:
            return
        self._asked = asked
        found = arrange_above(list_rows, width, height, len(view.lanes), audience)
        first = 0 if found is None else self.panes.first(found, len(view.lanes))
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
        self.panes.fit_to(found, len(view.lanes))
        # Without lanes there is nothing to draw.
        self._charts.fit_to(found.charts if view.lanes else "none", found.chart_count, found.chart_rows)
        self._bottom_lines.fit_to(found.telemetry, replay)
        if self.choosing is not None:
            self.choosing.styles.height = list_rows

    def on_resize(self) -> None:
        self._app.redraw_all()

    def on_screen_resume(self) -> None:
        self._app.redraw_all()

    def on_timeline_bar_chosen(self, event: TimelineBar.Chosen) -> None:
        self._controls.send(SeekTo(event.share))

    def on_lane_pane_chosen(self, event: LanePane.Chosen) -> None:
        self._controls.focus(event.index)

    def on_endpoint_table_chosen(self, event: EndpointTable.Chosen) -> None:
        self._controls.focus(event.index)

    def on_request_table_chosen(self, event: RequestTable.Chosen) -> None:
        self._controls.servers.choose(event.key)

    def on_ledger_chosen(self, event: Ledger.Chosen) -> None:
        inspect_step(self._controls, event.lane, event.slot, event.index)

    def on_lane_strip_chosen(self, event: LaneStrip.Chosen) -> None:
        self._controls.focus(event.index)
