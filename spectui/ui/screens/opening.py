"""Opens the screens that lie in front of the race; each is loaded when it is first wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spectui.protocol.commands import StopTuning

if TYPE_CHECKING:
    from spectui.ui.controls import Controls


def explain(at: Controls) -> None:
    """Help, the keys that this source does not take dimmed."""
    from spectui.ui.screens.help import HelpScreen

    at.app.push_screen(HelpScreen(at.app.actions, at.app.source.accepts))


def costs(at: Controls) -> None:
    """Where the time of a step goes."""
    from spectui.ui.screens.costs import CostsScreen

    at.app.show(CostsScreen(at.view))


def machine(at: Controls) -> None:
    """Memory and bandwidth."""
    from spectui.ui.screens.machine import MachineScreen

    at.app.show(MachineScreen(at.view))


def inspect(at: Controls) -> None:
    """Single steps of the focused lane; the race stands still meanwhile."""
    from spectui.ui.screens.inspect import InspectScreen

    leave = at.stand_still()
    at.app.show(InspectScreen(at.view, at.choices.focus, at.app.source.send, leave))


def log(at: Controls) -> None:
    """What the engine prints."""
    from spectui.ui.screens.log import LogScreen

    if at.app.log_tail is not None:
        at.app.show(LogScreen(at.app.log_tail, at.app.log_lines))


def tuning(at: Controls) -> None:
    """A search for the best K that has begun."""
    from spectui.ui.screens.tune import TuneScreen

    at.app.show(TuneScreen(at.view, lambda: at.send(StopTuning())))
