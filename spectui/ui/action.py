"""What an action of the live screen is, and what bindings, help and the table of keys make of a list of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from textual.binding import Binding, BindingType
from textual.keys import format_key

from spectui.protocol.commands import Command

if TYPE_CHECKING:
    from spectui.ui.controls import Controls

GROUPS = {
    "race": "Race",
    "replay": "Replay",
    "lane": "Lanes",
    "served": "Attached servers",
    "view": "View",
    "program": "Program",
}
"""Headings of help, by the first part of an action's id."""

FOCUS, MAX_LANE_KEYS = "lane.focus_", 9
"""Ids of the keys that focus a lane begin with this; so many lanes have one."""

_NAMES = {"pageup": "PgUp", "pagedown": "PgDn"}


def always(_: Controls) -> bool:
    """Possible at any time."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that the user can do on the live screen.

    Attributes:
        id: Stable name, for keymaps: ``group.what``.
        keys: Textual's key names, comma separated; the first one is shown.
        label: One or two words, for the footer.
        description: One sentence, for help, palette and docs/keys.md.
        do: A command to send, or what else happens.
        sends: The command that ``do`` may send, where it is a function: without a source that takes it, it is dimmed.
        possible: Whether it would do anything now.
        footer: How long the footer keeps it on a narrow screen: 0 goes last; None is never in the footer. The footer
            follows the order of the actions.
        label_now: The label where that depends on the moment.
        presenting: True is in the footer only while one presents, False only while one does not, None always.
        served: True is in the footer only over attached servers, False only in a race, None in both.
        tooltip: What a newcomer should know beyond the description.
        palette: Whether the command palette offers it.
        shown_as: How the keys are written for people, where it is not the first one alone.
    """

    id: str
    keys: str
    label: str
    description: str
    do: Command | Callable[[Controls], Awaitable[None] | None]
    sends: type[Command] | None = None
    possible: Callable[[Controls], bool] = always
    footer: int | None = None
    label_now: Callable[[Controls], str] | None = None
    presenting: bool | None = None
    served: bool | None = None
    tooltip: str = ""
    palette: bool = True
    shown_as: str = ""

    @property
    def command(self) -> type[Command] | None:
        """The command that the source has to take for it."""
        return self.sends if callable(self.do) else type(self.do)

    @property
    def shown(self) -> str:
        """How the keys are written for people."""
        return self.shown_as or written(self.keys.split(",")[0])

    @property
    def group(self) -> str:
        """Heading in help."""
        return GROUPS[self.id.split(".")[0]]

    @property
    def call(self) -> str:
        """The action as Textual calls it."""
        return f"do('{self.id}')"


def written(key: str) -> str:
    """Textual's ``key`` as people write it: ``p``, ``F5``, ``Ctrl+O``, ``%``, ``PgUp``."""
    if len(key) == 1:
        return key
    sign = format_key(key)
    if len(sign) == 1 and sign.isascii() and "+" not in key:
        return sign
    return "+".join(_NAMES.get(part) or part.capitalize() for part in key.split("+"))


TALK: tuple[tuple[str, str, str, str], ...] = (
    ("space", "Space", "talk_pause", "Pause the talk and the race, or resume both."),
    ("enter,right", "Enter Right", "talk_next", "Start the next scene at once."),
    ("escape", "Esc", "talk_end", "End the talk; the race stays as it is, and these keys work normally again."),
)
"""Keys, how they are written, action and description of what a talk takes the keys for while it is given."""

TALK_GROUP = "During a talk"


def talk_bindings() -> list[BindingType]:
    """The talk's keys as bindings of the app, which come before those of any screen."""
    return [
        Binding(keys, call, description, show=False, priority=True, id=f"talk.{call.removeprefix('talk_')}")
        for keys, _, call, description in TALK
    ]


def bindings(actions: Iterable[Action]) -> list[BindingType]:
    """The actions as Textual bindings of the live screen."""
    return [
        Binding(
            key,
            action.call,
            action.description,
            show=False,
            id=f"{action.id}.{key}" if place else action.id,
            tooltip=action.tooltip or action.description,
        )
        for action in actions
        for place, key in enumerate(action.keys.split(","))
    ]


class Entry(NamedTuple):
    """A line about keys in help and docs/keys.md; ``command`` is what a source has to take for them."""

    keys: str
    description: str
    command: type[Command] | None = None
    id: str = ""


def groups(actions: Iterable[Action]) -> dict[str, list[Entry]]:
    """The keys by group, as help and docs/keys.md list them; those that focus a lane by its number are one line."""
    table: dict[str, list[Entry]] = {}
    for action in actions:
        lines = table.setdefault(action.group, [])
        if action.id == f"{FOCUS}1":
            lines.append(Entry(f"1-{MAX_LANE_KEYS}", "Focus the lane with that number.", None, f"{FOCUS}1"))
        elif not action.id.startswith(FOCUS):
            lines.append(Entry(action.shown, action.description, action.command, action.id))
    table[TALK_GROUP] = [Entry(shown, description) for _, shown, _, description in TALK]
    return table
