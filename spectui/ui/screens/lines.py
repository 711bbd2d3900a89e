"""The one-line widgets below the panes: the message and the keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set

from textual import events

from spectui.ui.action import Action
from spectui.ui.paint.canvas import Canvas
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import Row, Span, row_width

GAP = "   "
ROOMY = 100
"""Width from which the keys of the footer are spaced further apart."""


def hints(*keys: tuple[str, str], gap: str = GAP) -> Row:
    """Format pairs of (key, what it does) as a row."""
    return tuple(span for key, does in keys for span in ((key, "key"), (f" {does}{gap}", "muted")))


def asking_hints(enter: str) -> Row:
    """Return what the keys do while the prompt line is open."""
    return hints(("Enter", enter), ("Esc", "back"), ("Up Down", "earlier ones"))


class MessageLine(Canvas):
    """Shows one sentence, or nothing."""

    DEFAULT_CSS = "MessageLine { height: 1; }"

    def __init__(self) -> None:
        super().__init__()
        self._spans: Row = ()

    def show(self, spans: Row) -> None:
        """Show ``spans``."""
        if spans != self._spans:
            self._spans = spans
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        row: list[Span] = [(" ", "text")]
        left = width - 2
        for text, style in self._spans:
            shown = clip(safe(text), left)
            row.append((shown, style))
            left -= row_width((row[-1],))
        return [tuple(row)]


class KeysLine(Canvas):
    """The footer: shows as many keys as fit, dimmed if they can do nothing now; a click does what the key does."""

    DEFAULT_CSS = "KeysLine { height: 1; }"

    def __init__(self, run: Callable[[Action], None], actions: Sequence[Action]) -> None:
        super().__init__()
        self._run = run
        self._actions = actions
        self._possible: Set[str] = frozenset()
        self._labels: Mapping[str, str] = {}
        self._instead: Row = ()

    def show(self, actions: Sequence[Action], possible: Set[str], labels: Mapping[str, str], instead: Row = ()) -> None:
        """Show ``actions``, dimmed except those whose ids are in ``possible``.

        ``labels`` replaces labels by id; ``instead`` is shown in place of all actions while something else takes the
        keys.
        """
        if (actions, possible, labels, instead) != (self._actions, self._possible, self._labels, self._instead):
            self._actions, self._possible, self._labels, self._instead = actions, possible, labels, instead
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        spans: list[Span] = [(" ", "text")]
        if self._instead:
            return [(*spans, *self._instead)]
        for action in self._fitting(width):
            dim = action.id not in self._possible
            spans.append((action.shown, "faint" if dim else "key"))
            spans.append((f" {self._label(action)}{_gap(width)}", "faint" if dim else "muted"))
        return [tuple(spans)]

    def _label(self, action: Action) -> str:
        return self._labels.get(action.id, action.label)

    def _cells(self, action: Action, width: int) -> int:
        return len(action.shown) + 1 + len(self._label(action)) + len(_gap(width))

    def _fitting(self, width: int) -> list[Action]:
        offered = sorted(self._actions, key=lambda action: action.footer or 0)
        room = width - 2 + len(_gap(width))
        kept: set[str] = set()
        for action in offered:
            room -= self._cells(action, width)
            if room < 0:
                break
            kept.add(action.id)
        return [action for action in self._actions if action.id in kept]

    def on_click(self, event: events.Click) -> None:
        if self._instead:
            return
        x, width = 1, self.size.width
        for action in self._fitting(width):
            cells = self._cells(action, width)
            if x <= event.x < x + cells - len(_gap(width)):
                self._run(action)
            x += cells


def _gap(width: int) -> str:
    return GAP if width >= ROOMY else "  "
