"""What the keys do over servers that run elsewhere, and why some do nothing there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from spectui.core.attached.views import EndpointRow
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.ui.looking import Key

if TYPE_CHECKING:
    from spectui.ui.action import Action
    from spectui.ui.controls import Controls

_CLIENTS = "Which prompts the server answers is up to its clients; / sends one of yours."
_RACE = "Only a race can do that: spectui run loads the model here."

REASONS: Mapping[str, str] = {
    "race.step": "The server takes its steps by itself; Space holds the screen still.",
    "race.next": _CLIENTS,
    "race.previous": _CLIENTS,
    "race.category": _CLIENTS,
    "race.restart": _CLIENTS,
    "race.more": "How many requests are in flight is up to the server's clients.",
    "race.fewer": "How many requests are in flight is up to the server's clients.",
    "race.temperature": "Each client of the server chooses its own temperature.",
    "race.fork": f"A server's answers cannot be forked. {_RACE}",
    "race.parent": f"A server's answers cannot be forked. {_RACE}",
    "race.bench": "A benchmark needs the engine to itself: spectui bench measures one here.",
    "view.inspect": "There is no step to look at whose drafts are visible.",
    "view.present": f"Presenter mode is for races. {_RACE}",
    "view.slow": f"Presenter mode is for races. {_RACE}",
    "view.machine": "A server does not report its memory and devices: look on its machine.",
}
"""Why keys of the race do nothing over a server, by action."""

STEERS = ("lane.more_k", "lane.fewer_k", "lane.k", "lane.tune")
"""Actions that change K."""

NO_TARGET = "a server is not asked for its target's probabilities: spectui run loads the model here, and shows them"
"""What the inspector says of a step."""

_NEVER = frozenset(("view.present", "view.slow", "view.machine"))
"""Actions that would do something without a command, but nothing of use."""

_MOMENT = frozenset((*_NEVER, "view.inspect"))
"""Actions without a command whose reasons are said."""


class Served:
    """The part of the controls that is there only over attached servers."""

    def __init__(self, at: Controls) -> None:
        self._at = at

    @property
    def endpoint(self) -> EndpointRow | None:
        """The endpoint that lane keys act on."""
        attached, focus = self._at.view.attached, self._at.choices.focus
        return attached.endpoints[focus] if attached is not None and focus < len(attached.endpoints) else None

    @property
    def holds(self) -> bool:
        """Whether a pause holds the screen, because nothing else can be paused."""
        return cmd.Pause not in self._at.app.source.accepts

    def allows(self, action: Action) -> bool:
        """Whether the action, which a race would do, is possible here too."""
        if action.id in _NEVER:
            return False
        endpoint = self.endpoint
        return action.id not in STEERS or (endpoint is not None and endpoint.control)

    def why_not(self, action: Action) -> str:
        """Why the action does nothing, in a sentence; empty if there is no more to it than the moment."""
        endpoint = self.endpoint
        if self._at.replay:
            return ""
        if action.id not in STEERS:
            takes = self._at.takes(action) and action.id not in _MOMENT
            return "" if takes else REASONS.get(action.id, "")
        if endpoint is None or endpoint.control:
            return ""
        if endpoint.stage != "live":
            return "K cannot be changed while the server is away."
        if endpoint.kind != "tap":
            return "K cannot be changed over HTTP: start the server with the tap and SPECTUI_CONTROL=1."
        why = endpoint.why_not or "the server was started without SPECTUI_CONTROL=1"
        # Why K stays as it is, is a sentence of its own.
        return why if why.startswith("K ") else f"K cannot be changed from here: {why}"

    def hold_still(self) -> Callable[[], None]:
        """Hold the screen to look at a step; what is given back lets it go on if it did."""
        choices = self._at.choices
        if choices.held:
            return lambda: None
        choices.held = True

        def go_on() -> None:
            choices.held = False
            self._at.app.redraw_all()

        return go_on

    def answer(self, command: cmd.Command) -> None:
        """Answer for the server what it is not asked."""
        if isinstance(command, cmd.Inspect):
            told = ev.Inspected(command.lane, command.slot, command.index, (), NO_TARGET)
            # As from a source: when the inspector that asks is there.
            self._at.app.call_later(self._tell, told)

    def _tell(self, told: ev.Inspected) -> None:
        self._at.app.reduce(told)
        self._at.app.redraw()

    def open(self) -> None:
        """Show the chosen request in place of the table, too; it is not followed any more."""
        look = self._at.choices.look
        if look.key is not None:
            look.choose(look.key)
            look.opened = True
        self._at.app.redraw_all()

    def choose(self, key: Key) -> None:
        """Show that entry of the table."""
        self._at.choices.look.choose(key)
        self._at.app.redraw_all()

    def back(self) -> None:
        """From a request to the table, and from there to the newest request."""
        look = self._at.choices.look
        if look.opened:
            look.opened = False
        else:
            look.follow()
        self._at.app.redraw_all()

    def change_order(self) -> None:
        """Sort the table by another figure."""
        self._at.choices.look.change_order()
        self._at.app.redraw_all()

    def move(self, by: int) -> None:
        """Choose another request of the table."""
        if (attached := self._at.view.attached) is not None:
            self._at.choices.look.move(attached, by)
        self._at.app.redraw_all()

    def scroll(self, where: str) -> None:
        """Choose another request; while one is open, scroll its text."""
        body = self._at.app.live.served
        if body is None:
            return
        if self._at.choices.look.opened:
            body.pane.scroll(where)
            return
        table = body.requests
        far = 1_000_000
        by = {"up": -1, "down": 1, "page_up": -table.page, "page_down": table.page, "home": -far, "end": far}
        self.move(by[where])
