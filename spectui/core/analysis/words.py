"""The figures of an analysis as rows of text, worded once for the screen, the command line and reports.

Texts of tokens and names may hold anything, control characters included: whoever shows a row makes them harmless.
Imports no NumPy.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from spectui.core.analysis.results import (
    LEAST,
    Agreement,
    Bucket,
    Choice,
    Confusion,
    Context,
    Dimension,
    Headroom,
    LaneAnalysis,
    Share,
)
from spectui.figures import DASH, number_text, percent_text, ratio_text, three_digits

WEAK, STRONG, FEW = "-", "+", "*"
"""Marks of a bucket; see `BucketRow.mark`."""

TOO_FEW = "too few to rank"

NO_CATEGORIES = "The requests of a server have no categories."
RECORD_LONGER = "record a longer run"
"""What to do where there is too little; a live screen says what to do there instead."""

MARKS = {
    WEAK: "accepted less often than expected, beyond the interval",
    STRONG: "accepted more often than expected, beyond the interval",
    FEW: f"{TOO_FEW}: fewer than {LEAST} judged tokens",
}
"""What each mark means."""

BY_CHANCE = (
    "Of twenty rows in which nothing differs, about one lies beyond its interval by chance; the sentences at the top "
    "allow for that."
)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures: its short name, and what it means."""

    name: str
    meaning: str


BUCKET_COLUMNS = (
    Column("judged", "drafted tokens that the target accepted, or refused first"),
    Column("accepted", "the share of them that it accepted"),
    Column("95 %", "the 95 % interval of that share"),
    Column("expected", "the share if these were accepted as often as the lane's others at the same positions"),
    Column("lost", "drafted tokens that were thrown away because of a refusal here"),
    Column("vs K", "the same, counted against K instead of the rest of the draft"),
)
"""The figures of a `BucketRow`, in order."""

CHOICE_COLUMNS = (
    Column("tok/s", "tokens per second of one request; what is marked est., by the cost model"),
    Column("x AR", "the same, divided by the measured AR lane's"),
)
"""The figures of a `ChoiceRow`, in order; the K that it takes comes behind them."""


@dataclass(frozen=True, slots=True)
class BucketRow:
    """A bucket in words.

    Attributes:
        bucket: The bucket itself.
        name: What its tokens have in common.
        figures: A text for each of `BUCKET_COLUMNS`.
        mark: One of `MARKS`; empty if there is nothing to point out.
    """

    bucket: Bucket
    name: str
    figures: tuple[str, ...]
    mark: str


@dataclass(frozen=True, slots=True)
class ChoiceRow:
    """A way to choose K in words: its name, a text for each of `CHOICE_COLUMNS`, and its K."""

    choice: Choice
    name: str
    figures: tuple[str, ...]
    detail: str


def interval_text(share: Share) -> str:
    """``58 to 66 %``; an em dash without cases."""
    if share.low is None or share.high is None:
        return DASH
    low, high = percent_text(share.low).removesuffix(" %"), percent_text(share.high)
    return f"{low} to {high}"


def share_text(share: Share) -> str:
    """``62 % (58 to 66 %)``; an em dash without cases."""
    return DASH if share.value is None else f"{percent_text(share.value)} ({interval_text(share)})"


def bucket_rows(dimension: Dimension) -> list[BucketRow]:
    """A row for each bucket of a dimension.

    What has more than half of the tokens is held against nothing: it is the few others that differ from it.
    """
    total = sum(bucket.acceptance.count for bucket in dimension.buckets)
    return [_bucket_row(bucket, total - bucket.acceptance.count) for bucket in dimension.buckets]


def _bucket_row(bucket: Bucket, others: int) -> BucketRow:
    """A bucket in words; ``others`` are the tokens that its expected acceptance comes from."""
    if bucket.acceptance.count > others:
        bucket = replace(bucket, expected=None)
    share = bucket.acceptance
    figures = (
        f"{share.count:,}",
        percent_text(share.value),
        interval_text(share),
        percent_text(bucket.expected),
        f"{bucket.lost:,}",
        f"{bucket.lost_k:,}",
    )
    return BucketRow(bucket, bucket.name, figures, _mark(bucket, others))


def _mark(bucket: Bucket, others: int) -> str:
    if not bucket.ranked:
        return FEW
    low, high = bucket.acceptance.low, bucket.acceptance.high
    if bucket.expected is None or low is None or high is None or others < LEAST:
        return ""
    return WEAK if high < bucket.expected else STRONG if low > bucket.expected else ""


def bucket_columns(dimensions: Iterable[Dimension]) -> tuple[Column, ...]:
    """The columns that say something: the last one, against K, only where it differs from the one before it."""
    differ = any(bucket.lost != bucket.lost_k for one in dimensions for bucket in one.buckets)
    return BUCKET_COLUMNS if differ else BUCKET_COLUMNS[:-1]


def dimension_heading(dimension: Dimension) -> str:
    """``Kind of token``."""
    return f"{dimension.title[:1].upper()}{dimension.title[1:]}"


def choice_rows(headroom: Headroom) -> list[ChoiceRow]:
    """A row for each way to choose K."""
    return [
        ChoiceRow(one, one.title, (_tok_s(one), ratio_text(one.times_ar)), one.detail if one.tok_s is not None else "")
        for one in headroom.choices
    ]


def _tok_s(choice: Choice) -> str:
    """``52.4``, or ``est. 54.0`` for what was not measured."""
    estimated = choice.key != "now" and choice.tok_s is not None
    return f"{'est. ' if estimated else ''}{three_digits(choice.tok_s)}"


def why_missing(headroom: Headroom) -> list[str]:
    """Why some ways cannot be estimated, each reason once, and not if the sentence says it."""
    return [
        said for said in dict.fromkeys(one.missing for one in headroom.choices) if said and said != headroom.sentence
    ]


def signs(text: str) -> str:
    """A token's text with its spaces and line ends as signs."""
    return text.replace("\n", "↵").replace(" ", "␣")


def token_name(text: str, number: int) -> str:
    """A token for a table: ``"␣the"``, or ``token 345`` if it has no text of its own."""
    return f'"{signs(text)}"' if text else f"token {number}"


def confusion_name(confusion: Confusion) -> str:
    """``"␣cat" -> "␣dog"``: what was drafted, and what the target wanted."""
    drafted = token_name(confusion.drafted_text, confusion.drafted)
    return f"{drafted} -> {token_name(confusion.wanted_text, confusion.wanted)}"


def confusion_mark(confusion: Confusion) -> str:
    """`FEW` if it happened too seldom to be ranked."""
    return "" if confusion.ranked else FEW


FEW_REFUSALS = f"{TOO_FEW}: fewer than {LEAST} refusals"
"""What that mark means."""


def confusion_figures(confusion: Confusion) -> tuple[str, str]:
    """How often, and how many tokens it lost in all."""
    return f"{confusion.count:,}", f"{confusion.lost:,}"


def place_name(context: Context) -> str:
    """``round 4, request 2, step 5``, counted from 1 as everywhere on the screen."""
    round_name = f"round {context.round + 1}, " if context.round >= 0 else ""
    request = f"request {context.slot + 1}, " if context.slot else ""
    return f"{round_name}{request}step {context.step + 1}"


def agreement_rows(agreement: Agreement) -> list[tuple[str, str, str]]:
    """A row for each case: who was right, at how many places, and their share."""
    counts = (agreement.both, agreement.only_first, agreement.only_second, agreement.neither)
    total = sum(counts)
    names = ("both right", f"only {agreement.first}", f"only {agreement.second}", "neither")
    return [
        (name, f"{count:,}", percent_text(count / total if total else None))
        for name, count in zip(names, counts, strict=True)
    ]


def agreement_sentence(agreement: Agreement) -> str:
    """What the two lanes, and a choice between them, reach."""
    places = agreement.union.count
    return (
        f"At {places:,} {'place' if places == 1 else 'places'} that both judged, {agreement.first} was right in "
        f"{share_text(agreement.first_share)} and {agreement.second} in {share_text(agreement.second_share)}; "
        f"either of them in {share_text(agreement.union)}."
    )


def lane_name(lane: LaneAnalysis) -> str:
    """``MTP``, with the lane's name if that is another: ``MTP (mtp-2)``."""
    return lane.title if lane.title.casefold() == lane.lane.casefold() else f"{lane.title} ({lane.lane})"


def lane_counts(lane: LaneAnalysis) -> str:
    """What an analysis is based on, in a line."""
    rate = percent_text(lane.accepted / lane.drafted if lane.drafted else None)
    length = number_text(1 + lane.accepted / lane.steps if lane.steps else None, form=".2f")
    answers = f"{lane.requests:,} {'answer' if lane.requests == 1 else 'answers'}"
    return (
        f"{answers}, {lane.steps:,} {'step' if lane.steps == 1 else 'steps'} with a draft; {lane.accepted:,} of "
        f"{lane.drafted:,} drafted tokens accepted ({rate}, acceptance length {length}); {lane.lost:,} lost"
        + (f", {lane.lost_k:,} against K" if lane.lost_k != lane.lost else "")
    )


BY_NATURE = ("copyable", "certainty")
"""Dimensions along which acceptance differs for every drafter: what cannot be copied is harder, and where the target is
unsure, so is everyone."""


def extremes(
    lane: LaneAnalysis, most: int = 3
) -> tuple[list[tuple[Dimension, BucketRow]], list[tuple[Dimension, BucketRow]]]:
    """The buckets that stand out the most: ``most`` that are accepted less often than expected, and ``most`` that are
    accepted more often, each ranked and beyond its interval; the farthest from what is expected first. Dimensions that
    differ `BY_NATURE` are left out.
    """
    found = [(one, row) for one in lane.dimensions if one.key not in BY_NATURE for row in bucket_rows(one)]
    found.sort(key=lambda pair: -_distance(pair[1].bucket))
    worse = [pair for pair in found if pair[1].mark == WEAK]
    better = [pair for pair in found if pair[1].mark == STRONG]
    return worse[:most], better[:most]


def _distance(bucket: Bucket) -> float:
    """Between acceptance and what is expected."""
    if bucket.expected is None or bucket.acceptance.value is None:
        return 0.0
    return abs(bucket.acceptance.value - bucket.expected)


def marks_used(rows: Iterable[BucketRow]) -> list[str]:
    """A line for each mark that the rows have, such as ``* too few to rank: fewer than 30 judged tokens``."""
    used = {row.mark for row in rows}
    return [f"{mark} {meaning}" for mark, meaning in MARKS.items() if mark in used]
