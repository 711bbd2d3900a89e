"""The step inspector: shows one verification step of the focused lane, with keys to find the next interesting one."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from textual.binding import Binding, BindingType

from spectui.core.history import PastStep
from spectui.core.tokens import Token
from spectui.core.views import LaneView, RunView
from spectui.protocol import commands as cmd
from spectui.protocol.events import Inspected
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.screens.lines import hints
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.inspect_rows import inspect_rows

NO_FORK = "a fork needs engines, and a replay has none: fork in a live race"

Fork: TypeAlias = Callable[[PastStep, list[Token], Inspected | None], None]
"""Called to fork the answer at a step, with the tokens before it and what the target says about it."""


def _keys(can_fork: bool) -> Row:
    """What the keys do. With every key it is all that 80 columns hold, so there is no gap at the end."""
    keys = [("Left Right", "step"), ("r", "rejection"), ("m", "longest"), ("Tab", "lane"), (".", "more")]
    return (*hints(*keys, *([("f", "fork")] if can_fork else []), gap="  "), *hints(("Esc", "back"), gap=""))


class InspectReader(Reader):
    """Shows one step of one lane.

    Attributes:
        lane: The lane's position.
        index: The step; None for the newest.
        answers: The target's answers so far, by step.
        note: A sentence about the last key; empty if there is nothing to say.
    """

    def __init__(self, view: RunView, lane: int) -> None:
        super().__init__()
        self.view = view
        self.lane = lane
        self.index: int | None = None
        self.answers: dict[tuple[str, int, int], Inspected] = {}
        self.note = ""

    @property
    def shown(self) -> LaneView | None:
        return self.view.lanes[self.lane] if self.lane < len(self.view.lanes) else None

    @property
    def past(self) -> PastStep | None:
        """The step on the screen."""
        history = self.shown.history if self.shown else None
        if history is None or not len(history):
            return None
        return history.at(history.last if self.index is None else self.index)

    @property
    def answer(self) -> Inspected | None:
        """The target's answer about the step on the screen."""
        past = self.past
        return self.answers.get((past.step.lane, past.step.slot, past.step.index)) if past else None

    def content(self, width: int) -> list[Row]:
        lane, past = self.shown, self.past
        if lane is None or past is None or lane.stream is None:
            return [(("no steps yet", "muted"),)]
        history = lane.history
        of = f"step {past.step.index + 1} of {history.last + 1}" if history else ""
        number = safe(past.step.request) if self.view.attached is not None else past.step.slot + 1
        request = f"   request {number}" if lane.requests > 1 else ""
        head: Row = (
            (safe(lane.info.title), lane_style(self.lane, title=True)),
            (f"   {of}{request}   K = {past.step.k}", "muted"),
        )
        note: Row = ((self.note, "warn"),) if self.note else EMPTY
        return [head, note, *inspect_rows(past, self.before(past), self.answer, width)]

    def before(self, past: PastStep) -> list[Token]:
        """The last tokens before a step of the lane."""
        stream = self.shown.stream if self.shown else None
        return [] if stream is None else [stream.log[n] for n in range(max(0, past.logged - 300), past.logged)]


class InspectScreen(ReaderScreen):
    """Opened while the race is paused; asks the source once about each step that is shown.

    Args:
        view: The run.
        lane: The position of the lane to begin with.
        send: Passes a command to the source.
        leave: Called when the screen closes.
        fork: Opens the choice of how the answer goes on in a fork; None if the source cannot fork.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h,p", "move(-1)", show=False),
        Binding("right,l,n", "move(1)", show=False),
        Binding("r", "rejection", show=False),
        Binding("m", "longest", show=False),
        Binding("tab", "lane(1)", show=False),
        Binding("shift+tab", "lane(-1)", show=False),
        Binding("full_stop", "step_once", show=False),
        Binding("f", "fork", show=False),
        Binding("i,enter", "leave", show=False),
    ]

    def __init__(
        self,
        view: RunView,
        lane: int,
        send: Callable[[cmd.Command], None],
        leave: Callable[[], None],
        fork: Fork | None = None,
    ) -> None:
        self._rows = InspectReader(view, lane)
        super().__init__("step inspector", "one step, and what the target thought of each token", self._rows)
        self._send = send
        self._leaving = leave
        self._fork = fork
        self._asked: PastStep | None = None
        self._leave.show(_keys(fork is not None))

    def on_mount(self) -> None:
        self._ask()

    def present(self, view: RunView, slow: bool) -> None:
        """Show the newest step if no other was chosen, and the target's answer."""
        if not self.is_mounted:
            return
        self._rows.view = view
        if (told := view.inspected) is not None:
            self._rows.answers[told.lane, told.slot, told.index] = told
        self._ask()
        self.reader.redraw()

    def _ask(self) -> None:
        past = self._rows.past
        if past is not self._asked:
            self._rows.note = ""
        if past is None or past is self._asked:
            return
        self._asked = past
        if self._rows.answer is None:
            step = past.step
            self._send(cmd.Inspect(step.lane, step.slot, step.index, past.before, past.asked))

    def begin_at(self, index: int) -> None:
        """Begin with that step of the lane, not with the newest."""
        lane = self._rows.shown
        if lane is not None and lane.history is not None and index != lane.history.last and lane.history.at(index):
            self._rows.index = index

    def stay(self) -> None:
        """Stay at the step that is the newest now, whatever comes after it."""
        lane = self._rows.shown
        self._rows.index = None if lane is None or lane.history is None else lane.history.last

    def _go(self, index: int | None) -> None:
        lane = self._rows.shown
        history = lane.history if lane else None
        if history is None or index is None or history.at(index) is None:
            return
        self._rows.index = None if index == history.last else index
        self._ask()
        self.reader.redraw()

    def action_move(self, by: int) -> None:
        lane, past = self._rows.shown, self._rows.past
        if lane is not None and lane.history is not None and past is not None:
            self._go(lane.history.beside(past.step.index, by))

    def action_rejection(self) -> None:
        lane, past = self._rows.shown, self._rows.past
        if lane is not None and lane.history is not None and past is not None:
            self._go(lane.history.next_rejection(past.step.index))

    def action_longest(self) -> None:
        lane, past = self._rows.shown, self._rows.past
        if lane is not None and lane.history is not None and past is not None:
            self._go(lane.history.next_longest(past.step.index))

    def action_lane(self, by: int) -> None:
        self._rows.lane = (self._rows.lane + by) % max(1, len(self._rows.view.lanes))
        self._rows.index = None
        self._ask()
        self.reader.redraw()

    def action_step_once(self) -> None:
        """Take one more step of this lane, and show it."""
        lane = self._rows.shown
        if lane is not None and lane.active:
            self._rows.index = None
            self._send(cmd.StepOnce(lane.info.name))

    def action_fork(self) -> None:
        """Open the choice of how the answer goes on from the step on the screen."""
        rows = self._rows
        if self._fork is None:
            rows.note = NO_FORK
            self.reader.redraw()
        elif rows.past is not None:
            self._fork(rows.past, rows.before(rows.past), rows.answer)

    def action_leave(self) -> None:
        self._leaving()
        self.dismiss()
