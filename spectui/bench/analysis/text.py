"""An analysis as lines for a terminal: what to say first, then the figures. Every text is made harmless here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

from spectui.bench.analysis.columns import Line, Row, Style, fitted, paragraph, table, widths
from spectui.core.analysis import words
from spectui.core.analysis.results import Agreement, Analysis, Confusion, Dimension, Headroom, LaneAnalysis
from spectui.figures import DASH
from spectui.runtime.output import visible

NARROWEST, WIDEST = 76, 110
"""Columns that are used at least, and at most: a bucket's figures take 51."""

CONFUSIONS = 10
"""Confusions that are shown; JSON has all that the analysis keeps."""


def analysis_lines(analysis: Analysis, width: int) -> list[Line]:
    """Lane after lane, then pairs of lanes, then what to know about the trace.

    Args:
        analysis: What was found.
        width: Columns that a line may take.
    """
    width = min(max(width, NARROWEST), WIDEST)
    headroom = {one.lane: one for one in analysis.headroom}
    lines: list[Line] = []
    for lane in analysis.lanes:
        lines += [*_lane(lane, headroom.get(lane.lane), width), Line()]
    for agreement in analysis.agreements:
        lines += [*_agreement(agreement, width), Line()]
    lines += _legend(analysis.lanes, width)
    if analysis.notes:
        lines.append(Line("Notes", "heading"))
        for note in analysis.notes:
            lines += paragraph(note, width, first="- ", rest="  ")
        lines.append(Line())
    return lines[:-1]


def _lane(lane: LaneAnalysis, headroom: Headroom | None, width: int) -> Iterator[Line]:
    yield Line(fitted(visible(words.lane_name(lane)), width), "heading")
    for sentence in lane.sentences:
        yield from paragraph(sentence, width)
    yield Line()
    yield from paragraph(f"{words.lane_counts(lane)}.", width, style="faint")
    if headroom is not None:
        yield Line()
        yield from _headroom(headroom, width)
    columns = words.bucket_columns(lane.dimensions)
    rows = [row for one in lane.dimensions for row in words.bucket_rows(one)]
    spread = widths([_head(columns), *(Row("", row.figures[: len(columns)]) for row in rows)])
    for dimension in lane.dimensions:
        yield Line()
        yield from _dimension(dimension, width, columns, spread)
    if lane.confusions:
        yield Line()
        yield from _confusions(lane.confusions, width)


def _headroom(headroom: Headroom, width: int) -> Iterator[Line]:
    head = Row("Headroom", tuple(column.name for column in words.CHOICE_COLUMNS), tail="K", style="heading")
    rows = [Row(row.name, row.figures, lead="  ", tail=row.detail) for row in words.choice_rows(headroom)]
    yield from table([head, *rows], width)
    for why in words.why_missing(headroom):
        yield from paragraph(f"{DASH}: {why}", width, first="  ", rest="    ")
    if headroom.sentence:
        yield from paragraph(headroom.sentence, width)
    if headroom.formula:
        yield from paragraph(headroom.formula, width, style="faint", rest="  ")


def _head(columns: Sequence[words.Column], name: str = "") -> Row:
    return Row(name, tuple(column.name for column in columns), style="heading")


_STYLES: dict[str, Style] = {words.FEW: "faint", words.WEAK: "weak", words.STRONG: "strong"}


def _dimension(
    dimension: Dimension, width: int, columns: Sequence[words.Column], least: Sequence[int]
) -> Iterator[Line]:
    heading = words.dimension_heading(dimension)
    if not dimension.buckets:
        missing = dimension.missing or "no token was judged."
        yield from paragraph(f"{heading}: {missing[:1].lower()}{missing[1:]}", width)
        return
    rows = [
        Row(row.name, row.figures[: len(columns)], lead=f"{row.mark or ' '} ", style=_STYLES.get(row.mark, ""))
        for row in words.bucket_rows(dimension)
    ]
    yield from table([_head(columns, heading), *rows], width, least)


def _legend(lanes: Sequence[LaneAnalysis], width: int) -> Iterator[Line]:
    """What columns and marks mean."""
    rows = [row for lane in lanes for one in lane.dimensions for row in words.bucket_rows(one)]
    if not rows:
        return
    yield Line("Columns and marks", "heading")
    for column in words.bucket_columns(one for lane in lanes for one in lane.dimensions):
        yield from paragraph(f"{column.name}: {column.meaning}", width, first="  ", rest="    ")
    used = {row.mark for row in rows}
    for mark, meaning in words.MARKS.items():
        if mark in used:
            yield from paragraph(f"{mark}: {meaning}", width, first="  ", rest="    ")
    if used & {words.WEAK, words.STRONG}:
        yield from paragraph(words.BY_CHANCE, width, first="  ", rest="  ")
    yield Line()


def _confusions(confusions: Sequence[Confusion], width: int) -> Iterator[Line]:
    shown = confusions[:CONFUSIONS]
    title = "Drafted -> wanted"
    if len(shown) < len(confusions):
        title += f" (the {len(shown)} most expensive)"
    yield from table([Row(title, ("refusals", "lost"), style="heading")], width)
    for one in shown:
        mark = words.confusion_mark(one)
        row = Row(
            words.confusion_name(one), words.confusion_figures(one), f"{mark or ' '} ", style=_STYLES.get(mark, "")
        )
        yield from table([row], width, _HEADS)
        for context in one.contexts:
            place = words.place_name(context)
            room = width - 6 - cell_len(place)
            yield Line(f"    {fitted(visible(context.text), room, keep_end=True)}  {place}", "faint")
    if not all(one.ranked for one in shown):
        yield from paragraph(f"{words.FEW}: {words.FEW_REFUSALS}", width, style="faint", first="  ", rest="    ")


_HEADS = tuple(map(len, ("refusals", "lost")))


def _agreement(agreement: Agreement, width: int) -> Iterator[Line]:
    names = f"{visible(agreement.first)} and {visible(agreement.second)} at the same places"
    rows = [Row(name, (count, share), lead="  ") for name, count, share in words.agreement_rows(agreement)]
    yield from table([Row(names, ("places", "share"), style="heading"), *rows], width)
    yield from paragraph(words.agreement_sentence(agreement), width)
