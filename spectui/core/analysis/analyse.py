"""From the columns of a trace to all that is said about it."""

from __future__ import annotations

from spectui.core.analysis.agreement import agreements
from spectui.core.analysis.buckets import dimension
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.confusions import confusions
from spectui.core.analysis.joining import headrooms
from spectui.core.analysis.lane_columns import LaneColumns
from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import Analysis, LaneAnalysis
from spectui.core.analysis.sentences import sentences
from spectui.core.analysis.weakness import weaknesses


def analyse(columns: Columns) -> Analysis:
    """All about the drafting lanes."""
    lanes = columns.lanes()
    # Before the lanes are laid out, which takes as much memory again.
    headroom = headrooms(lanes)
    measured = [Measured.of(lane, columns.texts, columns.ends) for lane in lanes if lane.drafts]
    found = tuple(_lane(one, columns) for one in measured)
    return Analysis(found, agreements(measured), headroom, _notes(columns))


def _lane(measured: Measured, columns: Columns) -> LaneAnalysis:
    lane = measured.lane
    weak, confused = weaknesses(measured), confusions(measured, columns.texts)
    return LaneAnalysis(
        lane=lane.name,
        title=lane.title,
        requests=len(lane.requests),
        steps=int((lane.rows["drafted"] > 0).sum()),
        drafted=measured.drafted,
        accepted=measured.accepted,
        judged=len(measured.places),
        lost=measured.lost,
        lost_k=_lost_k(lane),
        dimensions=tuple(dimension(measured, number) for number in range(len(measured.coded))),
        weaknesses=weak,
        confusions=confused,
        sentences=sentences(measured, weak, confused, measured.share(measured.tables[0])),
    )


def _lost_k(lane: LaneColumns) -> int:
    # The first step of an answer follows from the prompt and cannot have a draft.
    rows = lane.rows[lane.rows["index"] > 0]
    return int(rows["k"].sum(dtype="i8") - rows["accepted"].sum(dtype="i8"))


def _notes(columns: Columns) -> tuple[str, ...]:
    """What the reader should know about the trace."""
    said = []
    if columns.lost:
        events, them = ("1 event is", "it") if columns.lost == 1 else (f"{columns.lost:,} events are", "them")
        said.append(f"{events} missing in this trace: what came after {them} lacks its context.")
    said += [
        f"No step of {lane.title} was seen: nothing is said of it here."
        for lane in columns.lanes()
        if lane.attached and not len(lane.rows)
    ]
    if len(columns.models) > 1:
        said.append("The servers run different models: texts of tokens may be those of another model.")
    if columns.unfit:
        steps = "1 step holds" if columns.unfit == 1 else f"{columns.unfit:,} steps hold"
        said.append(f"{steps} numbers that no engine gives, left out here.")
    cut = sum(one.prompt_tokens is None for lane in columns.lanes() for one in lane.requests)
    if cut:
        answers = "An answer begins" if cut == 1 else f"{cut:,} answers begin"
        said.append(
            f"{answers} before this trace does: without context length, and without the place of the first refusal."
        )
    return tuple(said)
