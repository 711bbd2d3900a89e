"""Opens the screens that cover the race; each is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spectui.protocol import events as ev
from spectui.protocol.commands import Pause, StopBench, StopTuning
from spectui.protocol.playback import StateReplaced

if TYPE_CHECKING:
    from spectui.ui.controls import Controls


def explain(at: Controls) -> None:
    """Open the help, with the keys that this source does not accept dimmed."""
    from spectui.ui.screens.help import HelpScreen

    at.app.push_screen(HelpScreen(at.app.actions, at.app.source.accepts))


def costs(at: Controls) -> None:
    """Open the step times."""
    from spectui.ui.screens.costs import CostsScreen

    at.app.show(CostsScreen(at.view))


def machine(at: Controls) -> None:
    """Open memory and bandwidth."""
    from spectui.ui.screens.machine import MachineScreen

    at.app.show(MachineScreen(at.view))


def inspect(at: Controls) -> None:
    """Open the step inspector on the focused lane; the race is paused meanwhile."""
    from spectui.ui.screens.inspect import InspectScreen

    leave = at.stand_still()
    at.app.show(InspectScreen(at.view, at.choices.focus, at.app.source.send, leave))


def analysis(at: Controls) -> None:
    """Open the analysis of the focused lane. A race stands still while it is computed; a replay plays on."""
    from spectui.ui.screens.analysis import AnalysisScreen

    held = Pause in at.app.source.accepts and not at.replay
    hold = at.stand_still if held else lambda: lambda: None
    at.app.show(AnalysisScreen(at.view, at.choices.focus, at.app.analyst, hold, at.app.now))


def log(at: Controls) -> None:
    """Open the engine's log."""
    from spectui.ui.screens.log import LogScreen

    if at.app.log_tail is not None:
        at.app.show(LogScreen(at.app.log_tail, at.app.log_lines))


def tuning(at: Controls) -> None:
    """Open the screen of a search for the best K that has begun."""
    from spectui.ui.screens.tune import TuneScreen

    stop = (lambda: at.send(StopTuning())) if StopTuning in at.app.source.accepts else None
    at.app.show(TuneScreen(at.view, stop))


def benching(at: Controls) -> None:
    """Open the screen of a benchmark that has begun."""
    from spectui.ui.screens.bench import BenchScreen

    stop = (lambda: at.send(StopBench())) if StopBench in at.app.source.accepts else None
    at.app.show(BenchScreen(at.view, stop))


def opened_by(event: ev.Event | StateReplaced) -> Callable[[Controls], None] | None:
    """What an event of the source opens: the screen of a measurement that begins, or into which a replay jumps."""
    match event:
        case ev.TuneTurn(turn=0):
            return tuning
        case ev.BenchTurn(spent_s=0):
            return benching
        case StateReplaced() if isinstance(event.state.bench, ev.BenchTurn):
            return benching
    return None
