"""The part of an analysis that concerns some of its lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from spectui.bench.analysis.reading import Seen
from spectui.core.analysis.results import Analysis
from spectui.errors import UsageError, did_you_mean


def only(analysis: Analysis, names: Sequence[str], seen: Seen) -> Analysis:
    """What concerns these lanes, and pairs that one of them is in; everything if there are no names.

    Raises:
        UsageError: There is no such lane, or it does not draft.
    """
    if not names:
        return analysis
    known = [lane.lane for lane in analysis.lanes]
    for name in names:
        if name in known:
            continue
        if name in seen.lanes - seen.drafting:
            raise UsageError(
                f"--lane {name}: this lane drafts nothing, so there is nothing to analyse: {_choices(known)}"
            )
        if name in seen.drafting:
            raise UsageError(f"--lane {name}: this lane has no step in the trace: {_choices(known)}")
        raise UsageError(f"--lane {name}: no such lane{did_you_mean(name, known) or f': {_choices(known)}'}")
    return replace(
        analysis,
        lanes=tuple(lane for lane in analysis.lanes if lane.lane in names),
        agreements=tuple(pair for pair in analysis.agreements if pair.first in names or pair.second in names),
        headroom=tuple(one for one in analysis.headroom if one.lane in names),
    )


def _choices(known: Sequence[str]) -> str:
    return f"choose {' or '.join(known)}"
