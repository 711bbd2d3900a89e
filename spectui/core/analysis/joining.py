"""The headroom of lanes from their columns."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from spectui.core.analysis.lane_columns import LaneColumns
from spectui.core.analysis.results import Headroom
from spectui.core.headroom.headroom import headroom

_UNNAMED = "other prompts"


def headrooms(lanes: Iterable[LaneColumns]) -> tuple[Headroom, ...]:
    """The headroom of each lane that drafts, next to the first that does not."""
    every = tuple(lanes)
    ar = next((lane.rows for lane in every if not lane.drafts and len(lane.rows)), None)
    found = []
    for lane in every:
        if not lane.drafts:
            continue
        number: dict[str, int] = {}
        of = [number.setdefault(one.category or _UNNAMED, len(number)) for one in lane.requests]
        category = np.array(of, dtype=np.int64)[lane.rows["request"]] if of else np.zeros(0, dtype=np.int64)
        automatic = lane.info is not None and lane.info.k_source == "auto"
        found.append(headroom(lane.name, lane.rows, category, tuple(number), ar, automatic=automatic))
    return tuple(found)
