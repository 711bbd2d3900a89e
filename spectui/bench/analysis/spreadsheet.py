"""An analysis as CSV: a row for each lane, dimension and bucket, and one for each lane and way to choose K."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from spectui.bench.reports.document import clean
from spectui.core.analysis.results import Analysis, Bucket, Choice

NAMES = ("lane", "dimension", "bucket")
"""The columns that name a row."""

BUCKET = ("judged", "acceptance", "low", "high", "expected", "lost", "lost_k", "ranked")
"""The columns of a bucket."""

CHOICE = ("tok_s", "times_ar", "detail")
"""The columns of a way to choose K, whose dimension is ``headroom``."""

HEADROOM = "headroom"


def analysis_csv(analysis: Analysis) -> str:
    """The text of the file; what is unknown, or does not belong to a kind of row, is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*NAMES, *BUCKET, *CHOICE])
    writer.writerows([clean(cell) if isinstance(cell, str) else cell for cell in row] for row in _rows(analysis))
    return text.getvalue()


def _rows(analysis: Analysis) -> Iterator[list[Any]]:
    for lane in analysis.lanes:
        for dimension in lane.dimensions:
            for bucket in dimension.buckets:
                yield [lane.lane, dimension.key, bucket.name, *_bucket(bucket), *[None] * len(CHOICE)]
    for headroom in analysis.headroom:
        for choice in headroom.choices:
            yield [headroom.lane, HEADROOM, choice.key, *[None] * len(BUCKET), *_choice(choice)]


def _bucket(bucket: Bucket) -> list[Any]:
    share = bucket.acceptance
    figures = (share.count, share.value, share.low, share.high, bucket.expected, bucket.lost, bucket.lost_k)
    return [*figures, int(bucket.ranked)]


def _choice(choice: Choice) -> list[Any]:
    return [choice.tok_s, choice.times_ar, choice.detail]
