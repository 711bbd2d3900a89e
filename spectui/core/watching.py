"""Looks for signs of trouble in a lane as its steps come."""

from __future__ import annotations

from spectui.core.pace import Pace
from spectui.core.state import LaneState, RunState
from spectui.core.summary import round_figures
from spectui.protocol.events import AnyStep


def watch(state: RunState, lane: LaneState, step: AnyStep, context: int) -> None:
    """Count a step of the lane, before which its request had ``context`` tokens, and judge the lane now and then."""
    due = lane.trouble.add(step, context, lane.run.totals.drafts)
    if not due or not lane.info.k_max:
        return
    # A server also keeps requests that have ended.
    batch = step.batch if lane.server else max(1, len(lane.round.requests))
    reference = state.reference
    lane.trouble.judge(
        lane.k,
        lane.acceptance.read(),
        lane.window.read(),
        lane.engine,
        batch,
        Pace() if reference is None else reference.trouble.pace(0, batch),
        disturbed=round_figures(lane, reference).doubtful,
    )
