"""Formats how the lanes' engines compute, and which of them cannot be compared with AR's."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from spectui.core.comparable import details, how
from spectui.core.estimate_notes import k_span
from spectui.core.views import LaneView
from spectui.protocol.events import LaneEngine
from spectui.ui.paint.cells import clip, safe
from spectui.ui.paint.rows import EMPTY, Row
from spectui.ui.paint.wrapping import wrap
from spectui.ui.theme.palette import lane_style
from spectui.ui.widgets.pane_head import UNLIKE

SYNCHRONOUS = (
    "Each step is scheduled only after the one before it has been read, because the tap needs its drafted tokens. On a "
    "GPU, vLLM by default prepares a step while the device computes the one before, so a server is faster than this, "
    "most of all with AR: speed-ups over AR may be overstated here."
)
"""What synchronous scheduling is, why the tap needs it and what it costs."""

_MOST_NAME = 16


def engine_rows(lanes: Sequence[LaneView], width: int) -> list[Row]:
    """Format a row for each lane whose engine is known, and below it why it cannot be compared."""
    known = [(place, lane, lane.engine) for place, lane in enumerate(lanes) if lane.engine is not None]
    if not known:
        return []
    names = [clip(safe(lane.info.title), min(_MOST_NAME, width // 4)) for _, lane, _ in known]
    modes = [_mode(lane, engine) for _, lane, engine in known]
    named, moded = max(map(cell_len, names)), max(map(len, modes))
    rows: list[Row] = []
    for name, mode, (place, lane, engine) in zip(names, modes, known, strict=True):
        rest = details(engine)
        row: Row = (
            (f"{name}{' ' * (named - cell_len(name))}  ", lane_style(place)),
            (clip(f"{mode:<{moded}}", max(0, width - named - 2)), "text"),
        )
        if named + moded + len(rest) + 4 <= width:
            rows.append((*row, (f"  {safe(rest)}", "muted")))
        else:
            rows += [row, *_below(rest, "muted", named, width)]
        rows += _below(f"{UNLIKE} {lane.unlike}" if lane.unlike else "", "warn", named, width)
    if any(engine.scheduling == "synchronous" for _, _, engine in known):
        rows += [((line, "muted"),) for line in wrap(f"Synchronous scheduling: {SYNCHRONOUS}", width)]
    return rows


def scheduling_row(lanes: Sequence[LaneView]) -> Row:
    """What all engines have in common: scheduling and version."""
    engines = [lane.engine for lane in lanes if lane.engine is not None]
    versions = sorted({f"vLLM {engine.version}" for engine in engines if engine.version})
    kinds = sorted({f"{engine.scheduling} scheduling" for engine in engines if engine.scheduling})
    text = ", ".join((*kinds, *versions))
    return ((safe(text), "muted"),) if text else EMPTY


def _mode(lane: LaneView, engine: LaneEngine) -> str:
    """Runner and graphs, on a GPU with the K that have whole ones."""
    mode = how(engine, lane.k)
    if not lane.info.k_max or not engine.whole_graphs:
        return mode
    if set(engine.whole_graphs) >= set(range(lane.info.k_max + 1)):
        return f"{mode} at every K"
    return f"{mode}, full ones at {k_span(engine.whole_graphs)}"


def _below(text: str, style: str, named: int, width: int) -> list[Row]:
    indent = " " * (named + 2)
    return [((indent, "text"), (line, style)) for line in wrap(safe(text), max(10, width - len(indent)))]
