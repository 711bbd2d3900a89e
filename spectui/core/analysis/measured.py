"""A lane laid out for its figures: its judged places, their values in every dimension, and the tables of those."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.dimensions import Coded, dimensions
from spectui.core.analysis.lane_columns import LaneColumns
from spectui.core.analysis.places import Places, Steps
from spectui.core.analysis.results import Share
from spectui.core.analysis.tables import Table, by_position, correlation, design_effect, share, table


@dataclass(frozen=True)
class Measured:
    """One lane.

    Attributes:
        lane: Its columns.
        steps: Its steps by answer.
        places: Its judged places.
        coded: Their values in every dimension, position first.
        cluster: By answer, the number of its prompt: answers to the same prompt are alike.
        tables: By dimension, the places counted.
        drafted: Tokens drafted.
        accepted: Tokens accepted.
        correlated: The correlation of acceptance within a prompt's answers, 0 to 1.
        distinct: By place, whether its answer is no repetition. A greedy answer comes again token by token, which makes
            no figure surer.
        repeats: How often the same answer was measured, on average.
    """

    lane: LaneColumns
    steps: Steps
    places: Places
    coded: tuple[Coded, ...]
    cluster: NDArray[np.int64]
    tables: tuple[Table, ...]
    drafted: int
    accepted: int
    correlated: float
    distinct: NDArray[np.bool_]
    repeats: float

    @property
    def lost(self) -> int:
        """Tokens drafted in vain."""
        return self.drafted - self.accepted

    @classmethod
    def of(cls, lane: LaneColumns, texts: Mapping[int, str], ends: Collection[int]) -> Measured:
        """Lay out a lane; ``texts`` and ``ends`` are those of `Columns`."""
        steps = Steps.of(lane)
        places = Places.of(lane, steps)
        coded = dimensions(lane, places, texts, ends)
        cluster = _clusters(lane)
        tables = tuple(_table(places, one, cluster, None) for one in coded)
        distinct = _distinct(places, cluster)
        cells = _table(places, coded[0], cluster, distinct)
        return cls(
            lane,
            steps,
            places,
            coded,
            cluster,
            tables,
            drafted=int(lane.rows["drafted"].sum(dtype=np.int64)),
            accepted=int(lane.rows["accepted"].sum(dtype=np.int64)),
            correlated=correlation(cells.cluster, cells.count, cells.right, by_position(cells), 1),
            distinct=distinct,
            repeats=len(places) / max(1, int(distinct.sum())),
        )

    @cached_property
    def place_in_order(self) -> NDArray[np.int64]:
        """By row of the lane, its place among the ``steps``."""
        places = np.empty(len(self.steps.order), dtype=np.int64)
        places[self.steps.order] = np.arange(len(places))
        return places

    def share(self, own: Table) -> Share:
        """The acceptance of some judged tokens, with its interval."""
        effect = self.repeats * design_effect(own.cluster, own.count / self.repeats, self.correlated)
        return share(float(own.count.sum()), float(own.right.sum()), effect)

    def tables_of(self, left: NDArray[np.bool_]) -> tuple[Table, ...]:
        """The tables of some of the places."""
        return tuple(_table(self.places, one, self.cluster, left) for one in self.coded)


def _table(places: Places, coded: Coded, cluster: NDArray[np.int64], left: NDArray[np.bool_] | None) -> Table:
    codes = coded.codes if left is None else np.where(left, coded.codes.astype(np.int32), -1)
    counted = places.right, places.stake, places.stake_k
    return table(places.request, cluster, places.position, codes, *counted, within=coded.within)


def _clusters(lane: LaneColumns) -> NDArray[np.int64]:
    first: dict[int, int] = {}
    return np.array(
        [
            number if one.prompt is None else first.setdefault(one.prompt, number)
            for number, one in enumerate(lane.requests)
        ],
        dtype=np.int64,
    )


def _distinct(places: Places, cluster: NDArray[np.int64]) -> NDArray[np.bool_]:
    """By place, whether no earlier answer to the same prompt had the same drafts and the same verdicts."""
    distinct = np.ones(len(places), dtype=bool)
    seen: set[tuple[int, int, int]] = set()
    begin = 0
    for end in (np.flatnonzero(np.diff(places.request, append=-1)) + 1).tolist():
        answer = slice(begin, end)
        prompt = int(cluster[places.request[begin]])
        key = prompt, hash(places.drafted[answer].tobytes()), hash(places.right[answer].tobytes())
        distinct[answer] = key not in seen
        seen.add(key)
        begin = end
    return distinct
