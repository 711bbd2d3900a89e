"""Steps that were lost on the way: what is known about them nevertheless, and what no longer is."""

from __future__ import annotations

from spectui.core.comparing import stop_comparing
from spectui.core.state import LaneState, RunState
from spectui.protocol.events import NOTHING, Totals


def catch_up(
    state: RunState, lane: LaneState, told: Totals | None, own: Totals, clock_ns: int, *, first: bool = False
) -> None:
    """Count what the lane did between the last known step and ``own``, if the lane reports it.

    Args:
        state: The run.
        lane: The lane.
        told: What the lane itself has counted, including ``own``; None if it does not say.
        own: The step that is counted elsewhere.
        clock_ns: The lane clock before ``own``.
        first: Whether ``own`` is the first step of its request.
    """
    known, waiting = lane.told, lane.waiting
    lane.told, lane.waiting = told if told is not None or known is None else known.plus(own), False
    if told is None or known is None:
        if waiting:
            lose(state, lane, None)
        return
    missing = told.minus(known).minus(own)
    if missing.steps < 0:
        # Late totals must not be counted twice.
        lane.told = known
        return
    if not missing.steps or min(missing) < 0:
        if waiting and first and not lane.round.totals.steps:
            lane.round.unsure = False
        return
    if first and not lane.round.totals.steps:
        # What was lost is the end of the previous round: none of its time and tokens belong to this one.
        lane.round.start_ns = max(lane.round.start_ns, clock_ns)
        lane.round.unsure = True
        lose(state, lane, missing)
        return
    lane.round.totals = lane.round.totals.plus(missing)
    lane.round.lost += missing.steps
    lane.round.series.spread(missing.emitted, lane.round.elapsed_ns, clock_ns - lane.round.start_ns)
    lose(state, lane, missing)


def lose(state: RunState, lane: LaneState, missing: Totals | None) -> None:
    """Count steps of the lane that were not seen; ``missing`` is None if their totals are not known."""
    if missing is None:
        lane.run.unsure = lane.round.unsure = True
        missing = NOTHING
    lane.run.totals = lane.run.totals.plus(missing)
    lane.run.lost += missing.steps
    if missing.drafts or not missing.steps:
        lane.acceptance.miss(missing)
        lane.window.miss(missing)
    stop_comparing(state, lane)
