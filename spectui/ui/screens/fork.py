"""The choice of how an answer goes on in a fork."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from spectui.core.history import PastStep
from spectui.core.tokens import Token
from spectui.core.views import RunView
from spectui.protocol.events import Inspected
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import Row
from spectui.ui.screens.lines import hints
from spectui.ui.screens.scrolling import Reader, ReaderScreen
from spectui.ui.widgets.fork_rows import Choice, choices, fork_rows

KEYS = hints(("Up Down", "choose"), ("Enter", "fork"), ("Esc", "back"))


class ForkReader(Reader):
    """Shows the ways to go on from a step, and keeps the chosen one in sight.

    Attributes:
        chosen: The place of the chosen one.
        answer: What the target says about the step, None while it is being asked.
    """

    def __init__(self, past: PastStep, log: list[Token], answer: Inspected | None) -> None:
        super().__init__()
        self.past = past
        self.answer = answer
        self.chosen = 0
        self._log = log

    @property
    def choices(self) -> tuple[Choice, ...]:
        return choices(self.past, self.answer)

    def content(self, width: int) -> list[Row]:
        return fork_rows(self.past, self._log, self.answer, self.chosen, width)[0]

    def rows(self, width: int, height: int) -> list[Row]:
        rows, row = fork_rows(self.past, self._log, self.answer, self.chosen, width)
        self._top = max(0, min(self._top, row), row - height + 1)
        return rows[self._top : self._top + height]


class ForkScreen(ReaderScreen):
    """Opened over the step inspector.

    Args:
        lane: The title of the lane.
        past: The step.
        log: The request's tokens before it, or the last of them.
        answer: What the target says about it, None while it is being asked.
        take: Called with the way that the user has chosen, after the screen has closed.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", show=False),
        Binding("down,j", "choose(1)", show=False),
        Binding("home,g", "choose(-1000)", show=False),
        Binding("end,G", "choose(1000)", show=False),
        Binding("enter", "take", show=False),
        Binding("f", "leave", show=False),
    ]

    def __init__(
        self, lane: str, past: PastStep, log: list[Token], answer: Inspected | None, take: Callable[[Choice], None]
    ) -> None:
        self._rows = ForkReader(past, log, answer)
        note = f"step {past.step.index + 1} of {safe(lane)}: every lane goes on from here, in a new round"
        super().__init__("fork", note, self._rows)
        self._take = take
        self._leave.show(KEYS)

    def present(self, view: RunView, slow: bool) -> None:
        """Show what the target says about the step."""
        step, told = self._rows.past.step, view.inspected
        if told is not None and (told.lane, told.slot, told.index) == (step.lane, step.slot, step.index):
            self._keep_chosen(told)
        if self.is_mounted:
            self.reader.redraw()

    def _keep_chosen(self, told: Inspected) -> None:
        """The answer brings more choices: the chosen one stays chosen."""
        rows = self._rows
        chosen = rows.choices[rows.chosen]
        rows.answer = told
        places = [place for place, one in enumerate(rows.choices) if (one.put, one.typed) == (chosen.put, chosen.typed)]
        rows.chosen = places[0] if places else 0

    def action_choose(self, by: int) -> None:
        self._rows.chosen = max(0, min(len(self._rows.choices) - 1, self._rows.chosen + by))
        self.reader.redraw()

    def action_take(self) -> None:
        choice = self._rows.choices[self._rows.chosen]
        self.dismiss()
        self._take(choice)
