"""One line for a prompt of the user's own. It lies on the live screen, so that the race stays in sight."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

HISTORY = 100
"""Prompts that are kept for the arrow keys."""


class PromptLine(Input):
    """Hidden until opened. Enter sends the text, Esc gives up, Up and Down walk through earlier prompts."""

    DEFAULT_CSS = """
    PromptLine {
        height: 1; border: none; padding: 0 1; display: none;
        background: $panel; color: $foreground;
        &:focus { border: none; background: $panel; }
    }
    PromptLine.open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "give_up", show=False),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
        Binding("tab,shift+tab", "stay", show=False),
    ]

    class Entered(Message):
        """The user wants to race ``text``."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Closed(Message):
        """The line is hidden again."""

    def __init__(self) -> None:
        super().__init__(placeholder="your prompt", select_on_focus=False)
        self.cursor_blink = False
        self._history: list[str] = []
        self._place = 0
        self._draft = ""

    @property
    def is_open(self) -> bool:
        return self.has_class("open")

    def open(self) -> None:
        """Show an empty line and take the keys."""
        self.value = ""
        self._place = len(self._history)
        self.add_class("open")
        self.focus()

    def action_give_up(self) -> None:
        self._close()

    def action_stay(self) -> None:
        """Tab belongs to the lanes; here it does nothing."""

    def action_recall(self, by: int) -> None:
        """Show an earlier prompt, or come back to the one being typed."""
        place = min(len(self._history), max(0, self._place + by))
        if place == self._place:
            return
        if self._place == len(self._history):
            self._draft = self.value
        self._place = place
        self.value = self._draft if place == len(self._history) else self._history[place]
        self.cursor_position = len(self.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = self.value.strip()
        if text:
            if not self._history or self._history[-1] != text:
                self._history = [*self._history, text][-HISTORY:]
            self.post_message(self.Entered(text))
        self._close()

    def _close(self) -> None:
        self.remove_class("open")
        self.screen.set_focus(None)
        self.post_message(self.Closed())
