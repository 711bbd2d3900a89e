"""The middle of the screen of attached servers: endpoints, requests, one of them, charts."""

from __future__ import annotations

from collections.abc import Mapping

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from spectui.core.attached.views import AttachedView
from spectui.core.views import RunView
from spectui.ui.controls import Choices
from spectui.ui.known_run import KnownRun
from spectui.ui.looking import Entry, entries, key_of
from spectui.ui.screens.attached_arrangement import AttachedArrangement, arrange_attached
from spectui.ui.screens.charts import Charts
from spectui.ui.screens.request_pane import RequestPane
from spectui.ui.widgets.counter_rows import CounterFigures, EndpointPanel
from spectui.ui.widgets.endpoint_table import EndpointTable
from spectui.ui.widgets.request_table import RequestTable
from spectui.ui.widgets.served_words import counters_only, help_paragraphs, since_text


class AttachedBody(Vertical):
    """Arranges the parts, and shows them what moved."""

    DEFAULT_CSS = """
    AttachedBody { width: 100%; height: 1fr; overflow: hidden; }
    AttachedBody EndpointTable { height: 2; margin: 0 1; }
    AttachedBody #middle { width: 100%; height: 1fr; padding: 1 1 0 1; overflow: hidden; }
    AttachedBody #one { width: 1fr; height: 1fr; overflow: hidden; }
    AttachedBody.both #one { padding: 0 0 0 3; }
    AttachedBody RequestPane { width: 1fr; height: 1fr; overflow: hidden; }
    AttachedBody Charts { width: 100%; }
    AttachedBody CounterFigures { width: 1fr; margin: 1 1 0 1; display: none; }
    """

    def __init__(self, choices: Choices, known: KnownRun) -> None:
        super().__init__()
        self.endpoints = EndpointTable()
        self.requests = RequestTable()
        self.pane = RequestPane()
        self.panel = EndpointPanel()
        self.one = Vertical(id="one")
        self.charts = Charts()
        self.counters = CounterFigures()
        self._choices = choices
        self._known = known
        self._found: AttachedArrangement | None = None

    def compose(self) -> ComposeResult:
        yield self.endpoints
        with Horizontal(id="middle"):
            yield self.requests
            with self.one:
                yield self.pane
                yield self.panel
        yield self.charts
        yield self.counters

    def arrangement(self, view: RunView, width: int, height: int) -> AttachedArrangement | None:
        """What fits; None if nothing does."""
        attached = view.attached
        if attached is None:
            return None
        choices = self._choices
        row = attached.endpoints[choices.focus] if choices.focus < len(attached.endpoints) else None
        troubled = row is not None and (row.stage != "live" or bool(row.why))
        counters = row is not None and counters_only(row)
        shown = shown_entry(attached, choices) is not None
        return arrange_attached(
            width,
            height,
            len(attached.endpoints),
            opened=choices.look.opened,
            spoken=troubled and not shown,
            listed=bool(attached.requests or attached.answers)
            or any(one.stage == "live" and not counters_only(one) for one in attached.endpoints),
            charted=not counters,
            drawn=row is not None and (shown if counters else row.stage == "live" or bool(row.emitted)),
        )

    def fit_to(self, found: AttachedArrangement) -> None:
        """Lay the parts out as in ``found``."""
        self._found = found
        self.endpoints.styles.height = found.endpoints
        self.requests.display = found.table
        self.requests.styles.width = found.table_cells or "1fr"
        self.set_class(bool(found.table_cells), "both")
        self.one.display = found.request
        self.pane.fit_to(found.ledger)
        self.charts.fit_to(found.charts if found.charted else "none", found.chart_count, found.chart_rows)
        self.counters.display = found.charts != "none" and not found.charted
        self.counters.styles.height = found.chart_rows

    def show(self, view: RunView, slow: bool) -> None:
        """Show what has changed in ``view``; ``slow`` also draws the charts."""
        attached, found, choices = view.attached, self._found, self._choices
        if attached is None or found is None:
            return
        since: Mapping[str, float] = {} if view.playhead is not None else self._known.away_s
        self.endpoints.show(view, choices.focus, since)
        if found.table:
            self.requests.show(attached, choices.look, self._nothing(view))
        self._show_one(view, attached, found, since)
        if self.counters.display and choices.focus < len(attached.endpoints):
            self.counters.show(attached.endpoints[choices.focus], choices.focus)
        if slow:
            self.charts.show(view.lanes, choices.focus, choices.windowed)

    def _show_one(
        self, view: RunView, attached: AttachedView, found: AttachedArrangement, since: Mapping[str, float]
    ) -> None:
        """The request that is looked at; without one, what there is to say of its endpoint."""
        choices = self._choices
        place = min(choices.focus, len(attached.endpoints) - 1, len(view.lanes) - 1)
        entry = shown_entry(attached, choices)
        self.pane.display = found.request and entry is not None
        self.panel.display = found.request and entry is None and place >= 0
        if place < 0:
            return
        row, lane = attached.endpoints[place], view.lanes[place]
        said = help_paragraphs(row, lane.info.spec, since.get(row.lane), recorded=view.playhead is not None)
        if self.pane.display and entry is not None:
            self.pane.show(attached, lane, entry, choices, said)
        elif self.panel.display:
            self.panel.show(row, place, said or [(self._nothing(view), "muted")])

    def _nothing(self, view: RunView) -> str:
        """Why there are no requests to list."""
        ended_s = None if view.playhead is not None else self._known.ended_s
        if ended_s is not None:
            return f"no requests in flight; the last one ended {since_text(ended_s)} ago"
        return "no requests in flight: those that come appear here"


def shown_entry(attached: AttachedView, choices: Choices) -> Entry | None:
    """The entry that is looked at."""
    return next((one for one in entries(attached) if key_of(one) == choices.look.key), None)
