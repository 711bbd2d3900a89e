"""The screen of why drafts fail: what a lane's drafter is weak at, what that costs, and what would help."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from spectui.core.analysis.results import LaneAnalysis
from spectui.core.analysis.words import RECORD_LONGER
from spectui.core.views import LaneView, RunView
from spectui.ui.analyst import Analyst
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row, row_width
from spectui.ui.paint.wrapping import wrapped
from spectui.ui.screens.lines import hints
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.agreement_rows import LaneFace
from spectui.ui.widgets.analysis_rows import analysis_rows

TITLE = "why drafts fail"
AGAIN_S = 3.0
"""Shortest time between two analyses that nobody asked for."""

PATIENCE_S = 2.0
"""How long an analysis waits for the race to stand still: a step may take longer, or the source may have died."""

NO_DRAFTER = "No lane here drafts: start one that does, such as --lane mtp:k=3 or --lane ngram:k=5."
NO_DRAFTER_RECORDED = "No lane of this trace drafts."


class AnalysisReader(Reader):
    """Shows one lane of the last analysis.

    Attributes:
        lane: The lane's position.
        dimension: Which property is shown; None for that of the lane's main weakness.
    """

    def __init__(self, view: RunView, lane: int, analyst: Analyst) -> None:
        super().__init__()
        self.view = view
        self.lane = lane
        self.dimension: int | None = None
        self.doing = ""
        self._analyst = analyst
        self._section = range(0)

    @property
    def drafting(self) -> list[int]:
        """The positions of the lanes that can be shown."""
        return [place for place, lane in enumerate(self.view.lanes) if lane.info.k_max]

    @property
    def shown(self) -> LaneAnalysis | None:
        """The analysis of the lane; None if there is none yet."""
        found = self._analyst.found
        if found is None or self.lane >= len(self.view.lanes):
            return None
        name = self.view.lanes[self.lane].info.name
        return next((one for one in found.analysis.lanes if one.lane == name), None)

    @property
    def place(self) -> int:
        """The property on the screen."""
        if self.dimension is not None or (lane := self.shown) is None or not lane.weaknesses:
            return self.dimension or 0
        keys = [one.key for one in lane.dimensions]
        main = lane.weaknesses[0].dimension
        return keys.index(main) if main in keys else 0

    def content(self, width: int) -> list[Row]:
        self._section = range(0)
        if self.lane not in self.drafting:
            return wrapped([(NO_DRAFTER_RECORDED if self._analyst.whole else NO_DRAFTER, "text")], width)
        rows = [*self._lanes(width), *wrapped([(self._analyst.fault, "warn")] if self._analyst.fault else [], width)]
        if (found := self._analyst.found) is None:
            return [*rows, EMPTY, *wrapped([(self.doing, "muted")], width)]
        if (shown := self.shown) is None:
            return [*rows, EMPTY, *wrapped([(f"No drafts yet: {self._more}.", "text")], width)]
        faces = {lane.info.name: _face(lane, place) for place, lane in enumerate(self.view.lanes)}
        made = analysis_rows(found.analysis, shown, self.place, faces, self._more, width)
        self._section = range(len(rows) + made.dimension.start, len(rows) + made.dimension.stop)
        return [*rows, *made.rows]

    @property
    def _more(self) -> str:
        """How to get more drafts."""
        if self._analyst.whole:
            return RECORD_LONGER
        if not self.view.lanes[self.lane].k:
            return "K is 0, raise it in the race with +"
        return "let the race run on, then press r"

    def _lanes(self, width: int) -> list[Row]:
        """The lanes that draft, with a sign at the one on show if there are several."""
        drafting = self.drafting
        rows, row = list[Row](), EMPTY
        for place in drafting:
            here = place == self.lane
            sign: Row = (("▸" if here else " ", "accent"),) if len(drafting) > 1 else EMPTY
            title = safe(_face(self.view.lanes[place], place).title)
            tab: Row = (*sign, (title, lane_style(place, title=True) if here else "muted"))
            if row and row_width(row) + 2 + row_width(tab) > width:
                rows.append(row)
                row = EMPTY
            row = (*row, ("  ", "text"), *tab) if row else tab
        return [*rows, row]

    def show_dimension(self, by: int) -> None:
        """Show the next property, and bring its table into sight."""
        if (lane := self.shown) is None or not lane.dimensions:
            return
        self.dimension = (self.place + by) % len(lane.dimensions)
        content, height = self.content(self.size.width), self.size.height
        if self._section and not self._top <= self._section.start <= self._section.stop <= self._top + height:
            self._top = max(0, min(self._section.start, len(content) - height))
        self.redraw()


def _face(lane: LaneView, place: int) -> LaneFace:
    return LaneFace(f"{place + 1} {lane.info.title}", lane_style(place))


class AnalysisScreen(ReaderScreen):
    """Shows the analysis of the run so far, or of the whole trace in a replay.

    A race stands still while it is analysed, so that no step is measured beside the analysis, and goes on at once. It
    is not analysed again while it runs unless the user asks for it.

    Args:
        view: The run.
        lane: The position of the lane to begin with.
        analyst: Makes the analyses.
        hold: Lets the race stand still; what it gives back lets it go on.
        now: Seconds of a monotonic clock.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "dimension(-1)", show=False),
        Binding("right", "dimension(1)", show=False),
        Binding("tab", "lane(1)", show=False),
        Binding("shift+tab", "lane(-1)", show=False),
        Binding("r", "again", show=False),
        Binding("d", "leave", show=False),
    ]

    def __init__(
        self,
        view: RunView,
        lane: int,
        analyst: Analyst,
        hold: Callable[[], Callable[[], None]],
        now: Callable[[], float],
    ) -> None:
        self._rows = AnalysisReader(view, lane, analyst)
        if lane not in (drafting := self._rows.drafting) and drafting:
            self._rows.lane = drafting[0]
        super().__init__(TITLE, "", self._rows)
        self._analyst = analyst
        self._hold = hold
        self._now = now
        self._let_go: Callable[[], None] | None = None
        self._asked_at: float | None = None
        self._due = now()
        self._shown: object = None
        self._leave.show(self._keys())

    def on_mount(self) -> None:
        # What has been done so far is shown twice a second, also where no event comes.
        self.add_class("clocked")
        if self._rows.drafting and (self._analyst.found is None or self._behind):
            self._ask()
        self._turn(self._rows.view)

    def present(self, view: RunView, slow: bool) -> None:
        """Begin what is due, and show what was found."""
        if self.is_mounted:
            self._turn(view)

    def _turn(self, view: RunView) -> None:
        self._rows.view = view
        analyst, now = self._analyst, self._now()
        asked = self._asked_at is not None and (self._still or now - self._asked_at >= PATIENCE_S)
        if asked or (self._behind and self._still and now >= self._due):
            self._begin()
        self._rows.doing = self._doing()
        shown = (analyst.found, analyst.fault, self._note(), [lane.k for lane in view.lanes])
        if shown != self._shown:
            self._shown = shown
            self._title.show(((TITLE, "title"), (f"   {self._note()}", "muted")))
            self.reader.redraw()

    @property
    def _still(self) -> bool:
        """Whether no step is being measured."""
        view = self._rows.view
        return view.paused or view.round_over or view.fault is not None or self._analyst.whole

    @property
    def _behind(self) -> bool:
        """Whether steps came since the last analysis."""
        analyst = self._analyst
        return not (analyst.whole or analyst.working or analyst.found is None) and analyst.steps > analyst.found.steps

    def _ask(self) -> None:
        """Have the run analysed as soon as it stands still."""
        if self._asked_at is None and not self._analyst.working:
            self._asked_at = self._now()
            if self._let_go is None:
                self._let_go = self._hold()

    def _begin(self) -> None:
        self._asked_at, self._due = None, self._now() + AGAIN_S
        self._analyst.begin(self._take_let_go())

    def _take_let_go(self) -> Callable[[], None]:
        """What lets the race go on, once; does nothing if it is not held."""
        let_go, self._let_go = self._let_go, None
        return let_go or (lambda: None)

    def _doing(self) -> str:
        """What is going on; empty if nothing is."""
        analyst = self._analyst
        if self._asked_at is not None:
            return "waiting for the step that is being taken"
        if not analyst.working:
            return ""
        if analyst.share < 1:
            return f"reading the trace, {analyst.share * 100:.0f} %"
        return "analysing"

    def _note(self) -> str:
        """What the figures on the screen cover."""
        found = self._analyst.found
        doing = self._rows.doing
        if found is None:
            return doing
        if self._analyst.whole:
            said = f"the whole trace, {found.steps:,} steps"
        else:
            since = self._analyst.steps - found.steps
            said = f"as of step {found.steps:,}" + (f"; {since:,} since, r analyses again" if since else "")
            said += f"; without the first {found.dropped:,}" if found.dropped else ""
        return f"{said}   {doing}" if doing else said

    def _keys(self) -> Row:
        if not self._rows.drafting:
            return hints(("Esc", "back"))
        return hints(
            ("Left Right", "property"),
            *([("Tab", "lane")] if len(self._rows.drafting) > 1 else []),
            ("Up Down", "scroll"),
            *([] if self._analyst.whole else [("r", "again")]),
            ("Esc", "back"),
        )

    def action_dimension(self, by: int) -> None:
        self._rows.show_dimension(by)

    def action_lane(self, by: int) -> None:
        """Show the next lane that drafts."""
        if drafting := self._rows.drafting:
            place = drafting.index(self._rows.lane) if self._rows.lane in drafting else 0
            self._rows.lane = drafting[(place + by) % len(drafting)]
            self.reader.redraw()

    def action_again(self) -> None:
        """Analyse the steps that came since."""
        if self._rows.drafting and not self._analyst.whole:
            self._ask()
            self._turn(self._rows.view)

    def action_leave(self) -> None:
        self._take_let_go()()
        self.dismiss()
