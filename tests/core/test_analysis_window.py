"""A run without an end in bounded memory."""

from __future__ import annotations

from spectui.core.analysis.columns import Columns
from spectui.core.analysis.window import Window
from spectui.protocol.events import RoundStarted, Step, TraceEvent
from tests.trace.making import made_run


def steps_of(columns: Columns) -> int:
    return sum(len(lane.rows) for lane in columns.lanes())


def rounds_of(number: int) -> list[TraceEvent]:
    """A run's beginning, and its rounds over and over."""
    run = [event for event in made_run(3) if not isinstance(event, RoundStarted) or event.round == 0]
    begin = next(place for place, event in enumerate(run) if isinstance(event, RoundStarted))
    return [*run[:begin], *run[begin:] * number]


def test_everything_is_kept_while_there_is_room() -> None:
    window, events = Window(), rounds_of(3)
    for event in events:
        window.add(event)
    assert window.dropped == 0
    assert steps_of(window.columns) == window.steps == sum(isinstance(event, Step) for event in events)


def test_the_oldest_rounds_go_and_half_of_what_may_be_kept_stays() -> None:
    each = sum(isinstance(event, Step) for event in rounds_of(1))
    most = 4 * each
    window, first = Window(most), Window().columns
    for event in rounds_of(30):
        window.add(event)
        assert steps_of(window.columns) == window.steps - window.dropped < most + each
        assert window.steps < most // 2 or steps_of(window.columns) >= most // 2
    assert window.dropped >= 25 * each
    assert window.columns is not first
    first.add_all(rounds_of(1))
    assert [(lane.name, lane.info) for lane in window.columns.lanes()] == [
        (lane.name, lane.info) for lane in first.lanes()
    ]
    assert all(request.prompt_tokens is not None for lane in window.columns.lanes() for request in lane.requests)
