"""The section of a report about why drafts failed, from the traces of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from spectui.bench.reports.document import Block, Heading, Inline, Items, Mono, Paragraph, Strong, Table
from spectui.core.analysis import words
from spectui.core.analysis.results import Analysis, Dimension, Headroom, LaneAnalysis
from spectui.core.bench.results import Results

_MOST = 3


@dataclass(frozen=True, slots=True)
class Why:
    """What the traces of a benchmark say.

    Attributes:
        traces: How many there are.
        analysis: What they say; None if they say nothing.
        fault: Why not.
    """

    traces: int = 0
    analysis: Analysis | None = None
    fault: str = ""


def why_failed(results: Results, why: Why) -> list[Block]:
    """The section's blocks; none if no lane drafts."""
    if all(one.plain for one in results.matrix.variants):
        return []
    if not why.traces:
        with_async = "--async" in results.header.arguments
        instead: tuple[Inline, ...] = (", without ", Mono("--async"), ",") if with_async else ()
        return [
            Paragraph(
                (
                    "No traces were recorded: with ",
                    Mono("--record"),
                    *instead,
                    " this section says where drafts fail and what that costs.",
                )
            )
        ]
    if why.analysis is None:
        return [Paragraph(f"The traces could not be analysed: {why.fault}")]
    blocks: list[Block] = [
        Paragraph(
            (
                f"From {'one trace' if why.traces == 1 else f'{why.traces} traces'} of first repetitions, every K and "
                "number in flight together. A drafted token is ",
                Strong("judged"),
                " if the target accepted it, or refused it as the first of its draft. ",
                Strong("Expected"),
                " is the acceptance of the lane's other tokens at the same positions of their drafts. ",
                Strong("Lost"),
                " counts the drafted tokens that refusals threw away. The tables list what lies beyond its own 95 % "
                "interval. Of twenty rows in which nothing differs about one does so by chance; the sentences allow "
                "for that, the tables do not. ",
                Mono("spectui analyze traces/*.jsonl"),
                " says more.",
            )
        )
    ]
    headroom = {one.lane: one for one in why.analysis.headroom}
    for lane in why.analysis.lanes:
        blocks += _lane(lane, headroom.get(lane.lane))
    if why.analysis.notes:
        blocks.append(Items(why.analysis.notes))
    return blocks


def _lane(lane: LaneAnalysis, headroom: Headroom | None) -> list[Block]:
    said = [*lane.sentences, *([headroom.sentence] if headroom is not None and headroom.sentence else [])]
    blocks: list[Block] = [Heading(3, words.lane_name(lane)), Paragraph(" ".join(said))]
    worst, best = words.extremes(lane, _MOST)
    if not worst and not best:
        blocks.append(Paragraph("No property of the tokens stands out beyond its 95 % interval."))
        return blocks
    rows = [_row("worse", *pair) for pair in worst] + [_row("better", *pair) for pair in best]
    head = ("than expected", "property", "tokens", "judged", "accepted (95 %)", "expected", "lost")
    return [*blocks, Table(head, tuple(rows), 3)]


def _row(how: str, dimension: Dimension, row: words.BucketRow) -> tuple[str, ...]:
    judged, _, _, expected, lost, _ = row.figures
    heading = words.dimension_heading(dimension)
    return how, heading, row.name, judged, words.share_text(row.bucket.acceptance), expected, lost
