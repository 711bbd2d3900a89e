"""Two lanes at the same places: where one is right and the other wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import Agreement
from spectui.core.analysis.tables import correlation, design_effect, share

_Prompt = tuple[int, int]


@dataclass(frozen=True)
class _Answer:
    """An answer from its beginning, as far as no step is missing: the ids of its prompt and the number of that among
    the lane's, its tokens, and by place 1 for a right draft, 0 for a refused one and -1 where nothing was judged."""

    prompt: NDArray[np.int32]
    cluster: int
    tokens: NDArray[np.int32]
    verdict: NDArray[np.int8]


class Answers:
    """The answers of a lane, by round and slot."""

    def __init__(self, measured: Measured) -> None:
        self.lane = measured.lane.name
        self.repeats = measured.repeats
        steps, places = measured.steps, measured.places
        self._tokens = steps.tokens
        number = np.arange(len(steps.order))
        opens = np.flatnonzero((steps.opening == number) & (steps.before == 0))
        ends = np.searchsorted(steps.opening, opens, side="right")
        self._verdict = np.full(len(steps.tokens), -1, dtype=np.int8)
        step = measured.place_in_order[places.step]
        known = places.position < steps.count[step]
        self._verdict[(steps.token_start[step] + places.position)[known]] = places.right[known]
        self.found: dict[_Prompt, _Answer] = {}
        for first, end in zip(opens.tolist(), ends.tolist(), strict=True):
            request = measured.lane.requests[steps.request[first]]
            # Without ids, only prompts that are AR's are known to be the same.
            if request.round is None or not (request.as_ar or len(request.prompt_ids)):
                continue
            begin, stop = int(steps.token_start[first]), int(steps.token_start[end - 1] + steps.count[end - 1])
            self.found[request.round, request.slot] = _Answer(
                request.prompt_ids,
                int(measured.cluster[steps.request[first]]),
                self._tokens[begin:stop],
                self._verdict[begin:stop],
            )


def agreements(lanes: Sequence[Measured]) -> tuple[Agreement, ...]:
    """Every pair of lanes that judged the same places."""
    answers = [Answers(lane) for lane in lanes]
    return tuple(found for pair in combinations(answers, 2) if (found := _agreement(*pair)) is not None)


def _agreement(first: Answers, second: Answers) -> Agreement | None:
    counts, prompts = [], []
    for prompt in first.found.keys() & second.found.keys():
        one, other = first.found[prompt], second.found[prompt]
        if not np.array_equal(one.prompt, other.prompt):
            continue
        length = min(len(one.tokens), len(other.tokens))
        parted = np.flatnonzero(one.tokens[:length] != other.tokens[:length])
        same = int(parted[0]) if len(parted) else length
        mine, its = one.verdict[:same], other.verdict[:same]
        both = (mine >= 0) & (its >= 0)
        counts.append(np.bincount(mine[both] * 2 + its[both], minlength=4))
        prompts.append(one.cluster)
    table = np.array(counts, dtype=np.float64).reshape(-1, 4)
    neither, only_second, only_first, right = (int(count) for count in table.sum(axis=0))
    places = neither + only_second + only_first + right
    if not places:
        return None
    # What comes again token by token makes no figure surer, unless it does so in one of the lanes only.
    repeats = min(first.repeats, second.repeats)
    judged = table.sum(axis=1) / repeats
    cluster = np.array(prompts, dtype=np.int64)

    def of(count: NDArray[np.float64]) -> tuple[float, float, float]:
        usual = np.full(len(table), count.sum() / places)
        alike = correlation(cluster, judged, count / repeats, usual, 1)
        return places, float(count.sum()), repeats * design_effect(cluster, judged, alike)

    return Agreement(
        first.lane,
        second.lane,
        right,
        only_first,
        only_second,
        neither,
        share(*of(table[:, 3] + table[:, 2])),
        share(*of(table[:, 3] + table[:, 1])),
        share(*of(table[:, 1:].sum(axis=1))),
    )
