"""Formats why a lane's drafts fail: what stands out, the headroom, a property at a time, confusions, another lane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from spectui.core.analysis.results import LEAST, Agreement, Analysis, Headroom, LaneAnalysis
from spectui.core.analysis.words import RECORD_LONGER, dimension_heading, lane_counts
from spectui.ui.paint.cells import safe
from spectui.ui.paint.rows import EMPTY, Row, fit, heading
from spectui.ui.paint.wrapping import wrap
from spectui.ui.widgets.agreement_rows import LaneFace, agreement_section
from spectui.ui.widgets.confusion_rows import confusion_rows
from spectui.ui.widgets.dimension_rows import dimension_rows, tab_rows
from spectui.ui.widgets.headroom_rows import headroom_rows

_TWO_COLUMNS = 140
_GAP = 4
_SENTENCE = 110
"""Sentences are no wider than this, so that the eye finds the next line."""


@dataclass(frozen=True, slots=True)
class AnalysisRows:
    """All rows, and which of them are about the chosen dimension."""

    rows: list[Row]
    dimension: range


def analysis_rows(
    analysis: Analysis, lane: LaneAnalysis, dimension: int, faces: Mapping[str, LaneFace], more: str, width: int
) -> AnalysisRows:
    """Format everything about one lane.

    Args:
        analysis: The analysis of the run or trace.
        lane: One of its lanes.
        dimension: The place of the dimension to show.
        faces: The lanes as the live screen shows them, by name.
        more: How to get more drafts, as a sentence.
        width: Width in cells.
    """
    face = faces.get(lane.lane, LaneFace(lane.title, "text"))
    top = [*_counts(lane, width), *_sentences(lane, more, width), *_notes(analysis, width)]
    if not lane.judged:
        return AnalysisRows(top, range(0))
    column = (width - _GAP) // 2 if width >= _TWO_COLUMNS else width
    headroom = next((one for one in analysis.headroom if one.lane == lane.lane), None)
    first = _headroom(headroom, face, more, column)
    second = _dimension(lane, dimension, face, column)
    third = [*heading("Most expensive mistakes", column), *confusion_rows(lane.confusions, lane.lost, column)]
    fourth = _agreements(analysis, lane, faces, column)
    if column < width:
        rows = [*top, *_beside([*first, *third], [*second, *fourth], column)]
        begin = len(top)
    else:
        rows = [*top, *first, *second, *fourth, *third]
        begin = len(top) + len(first)
    return AnalysisRows(rows, range(begin + 1, begin + len(second)))


def _counts(lane: LaneAnalysis, width: int) -> list[Row]:
    said = lane_counts(lane) if lane.drafted else ""
    return [((line, "muted"),) for line in wrap(said, width)]


def _sentences(lane: LaneAnalysis, more: str, width: int) -> list[Row]:
    cells = min(width, _SENTENCE)
    if not lane.judged:
        why = "No drafts yet" if not lane.drafted else "No drafted token was judged yet"
        return [EMPTY, *(((line, "text"),) for line in wrap(f"{why}: {more}.", cells))]
    rows: list[Row] = [EMPTY]
    for place, said in enumerate(lane.sentences):
        style = "text" if place else "strong" if lane.judged >= LEAST else "warn"
        rows += [((line, style),) for line in wrap(safe(said.replace(RECORD_LONGER, more)), cells)]
    return rows


def _notes(analysis: Analysis, width: int) -> list[Row]:
    cells = min(width, _SENTENCE)
    return [((line, "muted"),) for note in analysis.notes for line in wrap(safe(note), cells)]


def _headroom(headroom: Headroom | None, face: LaneFace, more: str, width: int) -> list[Row]:
    if headroom is None:
        return []
    return [*heading("Headroom", width, "for one request"), *headroom_rows(headroom, face.style, more, width)]


def _dimension(lane: LaneAnalysis, place: int, face: LaneFace, width: int) -> list[Row]:
    dimension = lane.dimensions[place % len(lane.dimensions)] if lane.dimensions else None
    if dimension is None:
        return []
    return [
        *heading(safe(dimension_heading(dimension)), width),
        *tab_rows(lane.dimensions, place % len(lane.dimensions), width),
        EMPTY,
        *dimension_rows(dimension, face.style, width),
    ]


def _agreements(analysis: Analysis, lane: LaneAnalysis, faces: Mapping[str, LaneFace], width: int) -> list[Row]:
    rows: list[Row] = []
    for agreement in analysis.agreements:
        if lane.lane in (agreement.first, agreement.second):
            rows += _agreement(agreement, faces, width)
    return rows


def _agreement(agreement: Agreement, faces: Mapping[str, LaneFace], width: int) -> list[Row]:
    first, second = (faces.get(name, LaneFace(name, "text")) for name in (agreement.first, agreement.second))
    return [
        *heading(safe(f"{first.title} and {second.title} at the same places"), width),
        *agreement_section(agreement, (first, second), width),
    ]


def _beside(left: Sequence[Row], right: Sequence[Row], cells: int) -> list[Row]:
    gap: Row = ((" " * _GAP, "text"),)
    return [(*fit(one, cells), *gap, *other) for one, other in zip_longest(left, right, fillvalue=EMPTY)]
