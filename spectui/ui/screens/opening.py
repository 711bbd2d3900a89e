"""Opens the screens that cover the race; each is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from spectui.protocol import events as ev
from spectui.protocol.commands import Fork, Inspect, Pause, StopBench, StopTuning
from spectui.protocol.playback import StateReplaced

if TYPE_CHECKING:
    from spectui.core.history import PastStep
    from spectui.core.tokens import Token
    from spectui.ui.controls import Controls
    from spectui.ui.screens.inspect import InspectScreen
    from spectui.ui.widgets.fork_rows import Choice


def explain(at: Controls) -> None:
    """Open the help, with the keys that this source does not accept dimmed."""
    from spectui.ui.screens.help import HelpScreen

    why = {one.id: at.why_not(one) for one in at.app.actions} if at.served else None
    at.app.push_screen(HelpScreen(at.app.actions, at.app.source.accepts, why))


def costs(at: Controls) -> None:
    """Open the step times."""
    from spectui.ui.screens.costs import CostsScreen

    at.app.show(CostsScreen(at.view))


def machine(at: Controls) -> None:
    """Open memory and bandwidth."""
    from spectui.ui.screens.machine import MachineScreen

    at.app.show(MachineScreen(at.view))


def inspect(at: Controls) -> None:
    """Open the step inspector on the focused lane; the race is paused meanwhile, or the screen of servers held."""
    _inspector(at)


def inspect_step(at: Controls, lane: str, slot: int, index: int) -> None:
    """Open the inspector on that step, where the keys could."""
    places = [place for place, one in enumerate(at.view.lanes) if one.info.name == lane]
    if places and at.begun and at.inspects:
        if not at.served:
            at.focus(places[0])
            at.show_request(slot)
        _inspector(at).begin_at(index)


def fork(at: Controls) -> None:
    """Open the inspector and, over it, the choice of how the answer goes on from the newest step in a fork."""
    _inspector(at).action_fork()


def _inspector(at: Controls) -> InspectScreen:
    from spectui.ui.screens.fork import ForkScreen
    from spectui.ui.screens.inspect import InspectScreen

    asked = Inspect in at.app.source.accepts
    leave = at.stand_still() if asked else at.servers.hold_still()
    send = at.app.source.send if asked else at.servers.answer

    def choose(past: PastStep, log: list[Token], answer: ev.Inspected | None) -> None:
        title = next(lane.info.title for lane in at.view.lanes if lane.info.name == past.step.lane)
        at.app.show(ForkScreen(title, past, log, answer, lambda choice: take(past, choice)))

    def take(past: PastStep, choice: Choice) -> None:
        inspector.dismiss()
        step, number = past.step, at.view.round
        if number is not None:
            asked = Fork(number, step.lane, step.slot, step.index, choice.keep, choice.put)
            at.app.call_later(at.fork, asked, past if choice.typed else None, leave)

    can_fork = Fork in at.app.source.accepts
    inspector = InspectScreen(at.view, at.choices.focus, send, leave, choose if can_fork else None)
    if not asked:
        inspector.stay()
    at.app.show(inspector)
    return inspector


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
