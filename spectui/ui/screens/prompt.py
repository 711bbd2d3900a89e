"""The line in which the user types. It is part of the live screen, so that the race stays visible."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from spectui.ui.paint.cells import NEWLINE_SIGN, REPLACEMENT
from spectui.ui.paint.textual_private import DrawnInput

TAB_SIGN = "⇥"
_SIGNS = {
    **{code: 0x2400 + code for code in range(0x20)},
    0x7F: "␡",
    **dict.fromkeys(range(0x80, 0xA0), "␦"),
    **dict.fromkeys((0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), REPLACEMENT),
    **dict.fromkeys((ord("\n"), 0x2028, 0x2029), NEWLINE_SIGN),
    ord("\t"): TAB_SIGN,
}
"""Replacements for characters that would break or reverse the line; each is one character, so that positions stay."""

HISTORY = 100
"""How many answers are kept for the arrow keys."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that the line asks.

    Attributes:
        hint: Shown in the empty line.
        answer: Called with what the user typed, unless that is empty.
        does: What Enter does, for the footer.
        earlier: Answers so far, for the arrow keys; new ones are appended.
        begun: What the line holds when it opens. If it is not None, spaces at the ends belong to the answer.
        given_up: Called if the line closes without an answer.
    """

    hint: str
    answer: Callable[[str], None]
    does: str
    earlier: list[str]
    begun: str | None = None
    given_up: Callable[[], None] = lambda: None


def shown(text: str) -> str:
    """Return the text as one line, character by character."""
    return text.translate(_SIGNS)


class PromptLine(DrawnInput):
    """An input line that is hidden until opened. Enter sends the text, Esc cancels, Up and Down browse earlier answers.

    Pasted text keeps its lines; a symbol marks the end of each.

    Args:
        on_close: Called when the line is hidden again.
    """

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

    def __init__(self, on_close: Callable[[], None]) -> None:
        super().__init__(select_on_focus=False)
        self.question: Question | None = None
        self._on_close = on_close
        self.cursor_blink = False
        self._place = 0
        self._draft = ""

    @property
    def is_open(self) -> bool:
        return self.has_class("open")

    def open(self, question: Question) -> None:
        """Show an empty line and take the keyboard focus."""
        self.question = question
        self.placeholder = question.hint
        self.value = question.begun or ""
        self.cursor_position = len(self.value)
        self._place = len(question.earlier)
        self.add_class("open")
        # Not focus(), which takes effect one message later.
        self.screen.set_focus(self)

    def drawn(self, text: str) -> str:
        return shown(text)

    def on_key(self, event: events.Key) -> None:
        """Leave the key to the app, which receives all keys in the order they were typed and passes the text back."""
        event.prevent_default()

    def on_paste(self, event: events.Paste) -> None:
        """Leave pasting to the app too, since Textual's input takes only the first line."""
        event.prevent_default()

    def put(self, text: str) -> None:
        """Insert ``text`` at the cursor, replacing any selection."""
        self.replace(text, *self.selection)

    def action_give_up(self) -> None:
        self._close()
        if self.question is not None:
            self.question.given_up()

    def action_stay(self) -> None:
        """Do nothing, since Tab switches lanes."""

    def action_recall(self, by: int) -> None:
        """Show an earlier answer, or return to the one being typed."""
        earlier = self.question.earlier if self.question else []
        place = min(len(earlier), max(0, self._place + by))
        if place == self._place:
            return
        if self._place == len(earlier):
            self._draft = self.value
        self._place = place
        self.value = self._draft if place == len(earlier) else earlier[place]
        self.cursor_position = len(self.value)

    async def action_submit(self) -> None:
        """Send the text at once, since the next key is not meant for this line."""
        question, text = self.question, self.value.strip()
        if not text or question is None:
            self.action_give_up()
            return
        if question.begun is not None:
            text = self.value
        if question.earlier[-1:] != [text]:
            question.earlier.append(text)
            del question.earlier[:-HISTORY]
        question.answer(text)
        self._close()

    def _close(self) -> None:
        self.remove_class("open")
        self.screen.set_focus(None)
        self._on_close()
