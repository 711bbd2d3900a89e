"""A benchmark of the lanes of a race, told piece by piece for the screen."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace

from spectui.core.bench.matrix import Matrix, blocks_of, kept_evenly
from spectui.core.bench.records import TurnRecord
from spectui.core.bench.table import begun_cells, cells_of, lanes_of
from spectui.protocol.benching import BenchPlace, BenchTurn
from spectui.protocol.events import Sampling
from spectui.sources.vllm.benching import Benching, Place, Prompts, variant_of
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import Fitting
from spectui.standstill import awake_ns

TOKENS = 64
"""Completion tokens of an answer, and `REPETITIONS` of every cell: so the demo's three lanes take two or three minutes
on a laptop, and a row over all categories is within some per cent."""

REPETITIONS = 3

MOST_CATEGORIES = 12
"""A prompt set with more is thinned evenly."""


def screen_matrix(
    lanes: Sequence[Lane], categories: Sequence[str], *, requests: int, sampling: Sampling
) -> tuple[Matrix, str]:
    """What is measured on the screen: every lane at its present K, with so many requests in flight; and what of the
    categories is left out, in words."""
    variants = tuple(variant_of(lane) for lane in lanes)
    kept = tuple(categories[place] for place in kept_evenly(len(categories), MOST_CATEGORIES))
    thinned = f"{len(kept)} of the prompt set's {len(categories)} categories" if len(kept) < len(categories) else ""
    sampling = replace(sampling, max_tokens=TOKENS, ignore_eos=True, stop=())
    matrix = Matrix(variants, blocks_of((requests,), kept, (None,)), "fixed", sampling, REPETITIONS)
    return matrix, thinned


def by_category(prompts: Sequence[Fitting]) -> dict[str, list[list[int]]]:
    """The ids of the prompts, by category."""
    grouped: dict[str, list[list[int]]] = {}
    for prompt in prompts:
        grouped.setdefault(prompt.category, []).append(prompt.ids)
    return grouped


class LiveBench:
    """Takes the steps of a benchmark, and says where it stands whenever a piece begins.

    Attributes:
        turns: The turns that count so far.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        matrix: Matrix,
        prompts: Mapping[str, Sequence[Sequence[int]]],
        left_out: str = "",
        *,
        now_ns: Callable[[], int] = awake_ns,
    ) -> None:
        """Prepare.

        Args:
            lanes: Idle lanes: all that the matrix names.
            matrix: What to measure.
            prompts: The ids of prompts by category, the same for all lanes.
            left_out: What is not measured, in a sentence.
            now_ns: The clock for what is spent and left.
        """
        self.turns: list[TurnRecord] = []
        own: Prompts = {(name, None): ids for name, ids in prompts.items()}
        self._benching = Benching(lanes, matrix, {lane.info.name: own for lane in lanes})
        self._matrix = matrix
        self._left_out = left_out
        self._now_ns = now_ns
        self._spent_ns = self._piece_ns = 0
        self._took: dict[str, list[int]] = defaultdict(list)
        self._cells = cells_of(matrix, ())

    @property
    def stepped(self) -> Lane | None:
        """The lane whose engine takes the next step; None once everything was measured."""
        return self._benching.stepped

    def step(self) -> BenchTurn | None:
        """Take one engine step; returns where the benchmark stands if that ended a piece.

        Raises:
            ValueError: Everything was measured.
        """
        place, began = self._benching.place, self._now_ns()
        turn = self._benching.step()
        took = self._now_ns() - began
        self._spent_ns += took
        self._piece_ns += took
        if place is None or self._benching.place == place:
            return None
        self._end_piece(place, turn)
        return self.turn()

    def _end_piece(self, place: Place, turn: TurnRecord | None) -> None:
        took, self._piece_ns = self._piece_ns, 0
        if place.turn >= 0:
            self._took[place.variant.name].append(took)
        if turn is not None:
            self.turns.append(turn)
            self._cells = cells_of(self._matrix, self.turns)

    def turn(self) -> BenchTurn:
        """Where the benchmark stands."""
        matrix, place = self._matrix, self._benching.place
        ran = self._benching.ran if place is not None and place.turn >= 0 else ()
        first = begun_cells(matrix, place.block, ran) if place is not None and place.turn == 0 else ()
        turns = len(matrix.blocks) * matrix.repetitions
        return BenchTurn(
            lanes=lanes_of(matrix),
            categories=tuple(dict.fromkeys(block.category for block in matrix.blocks)),
            concurrencies=tuple(dict.fromkeys(block.concurrency for block in matrix.blocks)),
            repetitions=matrix.repetitions,
            tokens=matrix.sampling.max_tokens,
            cells=(*self._cells, *first),
            pieces=len(self.turns) * len(matrix.variants) + len(ran),
            of_pieces=turns * len(matrix.variants),
            place=None if place is None else _place(place),
            spent_s=self._spent_ns / 1e9,
            left_s=self._left_s(turns, {piece.variant for piece in ran}),
            left_out=self._left_out,
        )

    def _left_s(self, turns: int, ran: Set[str]) -> float | None:
        """Each lane's pieces that are left, at the mean time of those that it has finished; of a lane that has none, at
        that of the others."""
        known = [took for some in self._took.values() for took in some]
        if not known:
            return None
        left_ns = 0.0
        for variant in self._matrix.variants:
            pieces = turns - len(self.turns) - (variant.name in ran)
            left_ns += pieces * statistics.fmean(self._took.get(variant.name) or known)
        return left_ns / 1e9

    def end(self) -> None:
        """End the measurement and leave the lanes idle as they were."""
        self._benching.end()


def _place(place: Place) -> BenchPlace:
    block = place.block
    return BenchPlace(place.variant.lane, block.concurrency, block.category, max(0, place.turn + 1), place.repeated)
