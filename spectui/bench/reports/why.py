"""The section of a report about why drafts failed, from the traces of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from spectui.bench.reports.document import Block, Heading, Inline, Items, Mono, Paragraph, Table
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
    headroom = {one.lane: one for one in why.analysis.headroom}
    order = list(dict.fromkeys(variant.lane for variant in results.matrix.variants))
    lanes = sorted(why.analysis.lanes, key=lambda lane: order.index(lane.lane) if lane.lane in order else len(order))
    blocks = [block for lane in lanes for block in _lane(lane, headroom.get(lane.lane))]
    if why.analysis.notes:
        blocks.append(Items(why.analysis.notes))
    traces = "one trace" if why.traces == 1 else f"{why.traces} traces"
    blocks.append(
        Paragraph(
            (
                f"From {traces} of first repetitions; weaknesses are those of every K and number in flight together; ",
                Mono("spectui analyze traces/*.jsonl"),
                " says more.",
            )
        )
    )
    return blocks


def words_of(why: Why | None) -> list[tuple[str, str]]:
    """What the section's words mean; none if it has no figures."""
    if why is None or why.analysis is None:
        return []
    return [
        ("Judged", "a drafted token that the target accepted, or refused as the first of its draft."),
        (
            "Expected acceptance",
            "that of the lane's other tokens at the same positions of their drafts. What lies below or above it does "
            "so beyond its own 95 % interval. Of twenty rows in which nothing differs about one does so by chance; "
            "the sentences allow for that, the tables do not.",
        ),
        ("Lost", "drafted tokens that refusals threw away."),
    ]


def _lane(lane: LaneAnalysis, headroom: Headroom | None) -> list[Block]:
    said = [*lane.sentences, *([headroom.sentence] if headroom is not None and headroom.sentence else [])]
    blocks: list[Block] = [Heading(3, words.lane_name(lane)), Items(tuple(said))]
    worst, best = words.extremes(lane, _MOST)
    if not worst and not best:
        blocks.append(Paragraph("No property of the tokens stands out beyond its 95 % interval."))
        return blocks
    rows = [_row("below expected", *pair) for pair in worst] + [_row("above expected", *pair) for pair in best]
    head = ("acceptance", "property", "which tokens", "judged", "accepted (95 %)", "expected", "lost")
    return [*blocks, Table(head, tuple(rows), 3)]


def _row(how: str, dimension: Dimension, row: words.BucketRow) -> tuple[str, ...]:
    judged, _, _, expected, lost, _ = row.figures
    heading = words.dimension_heading(dimension)
    return how, heading, row.name, judged, words.share_text(row.bucket.acceptance), expected, lost
