"""The headroom of lanes from their columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from spectui.core.analysis.lane_columns import LaneColumns
from spectui.core.analysis.results import Headroom
from spectui.core.headroom.headroom import headroom
from spectui.core.headroom.selecting import Selected, select

_UNNAMED = "other prompts"


def headrooms(lanes: Iterable[LaneColumns]) -> tuple[Headroom, ...]:
    """The headroom of each lane that drafts, next to AR."""
    every = tuple(lanes)
    # A server is no baseline for another: it has other requests.
    plain = (lane.rows for lane in every if lane.info is not None and lane.info.method == "ar" and not lane.attached)
    ar = next((rows for rows in plain if len(rows)), None)
    found = []
    for lane in every:
        if not lane.drafts:
            continue
        number: dict[str, int] = {}
        of = [number.setdefault(one.category or _UNNAMED, len(number)) for one in lane.requests]
        category = np.array(of, dtype=np.int64)[lane.rows["request"]] if of else np.zeros(0, dtype=np.int64)
        part = select(lane.rows, lane.automatic, ar, runs=lane.runs)
        rows, category = lane.rows[part.places], category[part.places]
        names = () if lane.attached else tuple(number)
        one = headroom(lane.name, rows, category, names, part.ar, automatic=part.automatic, k=part.k)
        found.append(_told(one, part))
    return tuple(found)


def _told(found: Headroom, part: Selected) -> Headroom:
    """The same, saying which steps it is of."""
    if not part.note:
        return found
    now, *others = found.choices
    now = replace(now, detail=", ".join(filter(None, (now.detail, part.detail))))
    return replace(found, choices=(now, *others), sentence=f"{found.sentence} {part.note}")
