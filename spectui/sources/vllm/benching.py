"""Walks through a benchmark's matrix on loaded lanes, one engine step at a time, so that the caller can handle commands
in between."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from spectui.core.bench.matrix import Block, Matrix, Variant
from spectui.core.bench.records import PieceRecord, TurnRecord
from spectui.core.bench.turns import Turns
from spectui.protocol.events import Event
from spectui.protocol.samples import LaneMemory
from spectui.sources.vllm.bench_piece import BenchPiece, Energy
from spectui.sources.vllm.lane import Lane

logger = logging.getLogger(__name__)

WARM_UP_TOKENS = 16
"""Completion tokens of a request in the warm-up, which prepares engines for another concurrency or context."""

BUSY_TURNS = 6
"""If this many turns in a row were disturbed, the machine is always busy, and the next block repeats none."""

Keep = Callable[[Variant, Block], Callable[[Event], None] | None]
"""Returns what receives the events of a cell's first repetition; None if nothing does."""

Prompts = Mapping[tuple[str, int | None], Sequence[Sequence[int]]]
"""The ids of every prompt, by category and context; at least one of each."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a benchmark is.

    Attributes:
        block: The block that is measured.
        turn: The number of the repetition, from 0; negative in the warm-up.
        variant: The variant that is running.
        repeated: How often this turn has been disturbed and begun again.
    """

    block: Block
    turn: int
    variant: Variant
    repeated: int


def variant_of(lane: Lane, k: int | None = None) -> Variant:
    """The lane at ``k``; by default as it is."""
    info = lane.info
    auto = k is None and lane.choice is None
    return Variant(info.name, info.method, info.title, info.k_max if auto else lane.k if k is None else k, auto)


class Benching:
    """Measures every cell of a matrix, block by block; within a block the variants take turns.

    The first turn on another number of requests, or another context, is preceded by one that does not count.

    Attributes:
        matrix: What is measured.
        stepped: The lane whose engine takes the next step.
    """

    def __init__(
        self,
        lanes: Sequence[Lane],
        matrix: Matrix,
        prompts: Mapping[str, Prompts],
        *,
        done: Sequence[TurnRecord] = (),
        energy: Energy = lambda: None,
        keep: Keep = lambda variant, block: None,
    ) -> None:
        """Prepare.

        Args:
            lanes: Idle lanes: all that the matrix names.
            matrix: What to measure.
            prompts: What to generate from, by lane: the same texts, in the ids of the lane's own tokenizer.
            done: Turns that count already, from an earlier run: the first ones of each block, with all lanes.
            energy: Reads the GPU's energy.
            keep: Receives events of first repetitions; it is asked anew for one that is measured again.
        """
        self.matrix = matrix
        self._lanes = {lane.info.name: lane for lane in lanes}
        self._prompts = prompts
        self._energy = energy
        self._keep = keep
        self._memories: dict[str, LaneMemory] = {lane.info.name: lane.memory() for lane in lanes}
        self._before = [(lane, lane.clock_ns, lane.totals, lane.choice) for lane in lanes]
        self._variants = list(matrix.variants)
        taken = Counter(turn.block for turn in done)
        self._blocks = [block for block in matrix.blocks if taken[block] < matrix.repetitions]
        self._taken = taken
        self._warm: tuple[int, int | None] | None = None
        self._turns: Turns | None = None
        self._pieces: dict[int, PieceRecord] = {}
        self._piece: BenchPiece | None = None
        self._repeated = 0
        self._lately: deque[bool] = deque(maxlen=BUSY_TURNS)
        self._open()

    def _open(self) -> None:
        """Begin with the next block."""
        self._turns = None
        if not self._blocks or not self._variants:
            return
        block = self._blocks[0]
        cold = self._warm != (block.concurrency, block.context)
        always_busy = len(self._lately) == BUSY_TURNS and all(self._lately)
        self._turns = Turns(
            len(self._variants),
            self.matrix.repetitions,
            warm_up=int(cold),
            done=self._taken[block],
            repeats=0 if always_busy else None,
        )
        self._pieces.clear()
        self._repeated = 0

    @property
    def place(self) -> Place | None:
        """Where the benchmark is; None once it has ended."""
        if self._turns is None or (case := self._turns.case) is None:
            return None
        turn = -1 if self._turns.warming_up else self._turns.turn
        return Place(self._blocks[0], turn, self._variants[case], self._repeated)

    @property
    def ran(self) -> tuple[PieceRecord, ...]:
        """The pieces of the present turn that have been measured."""
        return tuple(self._pieces.values())

    @property
    def stepped(self) -> Lane | None:
        """The lane whose engine takes the next step; None once the benchmark has ended."""
        return None if (place := self.place) is None else self._lanes[place.variant.lane]

    def step(self) -> TurnRecord | None:
        """Take one engine step; returns the turn that it ended, if that counts.

        Raises:
            ValueError: The benchmark has ended.
        """
        turns, place = self._turns, self.place
        if turns is None or place is None:
            raise ValueError("the benchmark has ended")
        if self._piece is None:
            self._piece = self._begin(place)
        self._piece.step()
        if not self._piece.over:
            return None
        record, self._piece = self._piece.record(), None
        return self._end_piece(turns, place, record)

    def _begin(self, place: Place) -> BenchPiece:
        block, variant = place.block, place.variant
        lane = self._lanes[variant.lane]
        if lane.info.k_max and lane.choice != variant.choice:
            lane.choice = variant.choice
        ids = self._prompts[variant.lane][block.category, block.context]
        turn = max(0, place.turn)
        numbers = self.matrix.prompts_of(block, turn, len(ids))
        sampling = self.matrix.sampling
        warming_up = place.turn < 0
        if warming_up:
            numbers = numbers[: block.concurrency]
            sampling = replace(sampling, max_tokens=min(WARM_UP_TOKENS, sampling.max_tokens), ignore_eos=True)
        elif sampling.seed is not None:
            # The same for all variants, and another one in every repetition.
            sampling = replace(sampling, seed=sampling.seed + turn * self.matrix.requests_of(block))
        return BenchPiece(
            lane,
            variant,
            [(number, ids[number]) for number in numbers],
            concurrency=block.concurrency,
            sampling=sampling,
            memory=self._memories[variant.lane],
            energy=self._energy,
            keep=self._keep(variant, block) if place.turn == 0 else None,
        )

    def _end_piece(self, turns: Turns, place: Place, record: PieceRecord) -> TurnRecord | None:
        self._pieces[self._variants.index(place.variant)] = record
        warming_up = turns.warming_up
        counts = turns.ran(record.disturbed)
        if counts is None:
            return None
        ended = TurnRecord(
            place.block,
            place.turn,
            tuple(self._pieces[number] for number in range(len(self._variants))),
            self._repeated,
        )
        self._pieces.clear()
        if warming_up:
            self._warm = (place.block.concurrency, place.block.context)
            return None
        self._lately.append(ended.disturbed)
        if not counts:
            self._repeated += 1
            return None
        self._taken[place.block] += 1
        self._repeated = 0
        if turns.case is None:
            self._blocks.pop(0)
            self._open()
        return ended

    def drop(self, lane: Lane) -> None:
        """Go on without a lane, whose engine has died: the present turn begins anew, and later ones are without it."""
        self._variants = [variant for variant in self._variants if variant.lane != lane.info.name]
        self._before = [before for before in self._before if before[0] is not lane]
        self._lanes.pop(lane.info.name, None)
        self._piece = None
        self._open()

    def end(self) -> None:
        """End the measurement and leave the lanes idle as they were: its steps are on no lane's clock. A lane whose
        engine has died does not keep the others from that."""
        self._piece = None
        self._blocks.clear()
        self._turns = None
        for lane, clock_ns, totals, k in self._before:
            if not lane.alive:
                continue
            try:
                lane.abort()
                if lane.info.k_max and lane.choice != k:
                    lane.choice = k
            except Exception:
                # Its engine is dead, which whoever takes its next step is told; why this ends says more.
                logger.exception("lane %s was not left as it was", lane.info.name)
            lane.clock_ns, lane.totals = clock_ns, totals
