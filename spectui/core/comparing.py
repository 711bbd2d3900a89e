"""Compares what the lanes emit with what AR emits, token by token, as the steps come."""

from __future__ import annotations

from spectui.core.losslessness import Comparison, whole
from spectui.core.state import LaneState, RequestState, RunState


def stop_comparing(state: RunState, lane: LaneState) -> None:
    """Stop comparing the lane's requests with AR's: missing ids would look like a different path."""
    for other in state.lanes.values() if lane is state.reference else (lane,):
        other.revision += 1
        for request in other.round.requests.values():
            request.comparison = None


def compare(state: RunState, lane: LaneState, request: RequestState) -> None:
    """Compare the request's ids with AR's; if AR itself has moved, compare every other lane with it."""
    reference = state.reference
    if reference is None or state.sampling.temperature > 0 or lane.missing or reference.missing:
        return
    if lane.info.method == "diffusion":
        # It is another model than AR's.
        return
    if lane is reference:
        for other in state.lanes.values():
            waiting = other.round.requests.get(request.slot)
            if other is not reference and waiting is not None and waiting.comparison is not None:
                other.revision += _went_apart(state, waiting.comparison, request, waiting)
        return
    original = reference.round.requests.get(request.slot)
    if original is None:
        return
    if request.comparison is None:
        if not request.as_ar:
            return
        request.comparison = Comparison(original.ids, request.ids)
    _went_apart(state, request.comparison, original, request)


def _went_apart(state: RunState, comparison: Comparison, original: RequestState, request: RequestState) -> bool:
    """Whether the lane has just left AR's path."""
    ended = (whole(original.finished), whole(request.finished))
    apart = comparison.position is None and comparison.update(*ended) is not None
    state.divergences += apart
    return apart
