"""A benchmark of the lanes of a run: its progress and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

BenchWhy: TypeAlias = Literal["done", "cancelled", "failed"]
"""Why a benchmark ended: everything was measured; the user stopped it; a lane died."""


@dataclass(frozen=True, slots=True)
class BenchLane:
    """A lane that is measured, at the K that it has meanwhile. ``plain`` is whether it is AR, which the others are
    compared with; ``auto`` whether it chooses its K after every step, from 0 to ``k``."""

    lane: str
    title: str
    k: int
    plain: bool = False
    auto: bool = False


@dataclass(frozen=True, slots=True)
class BenchCell:
    """What is known of one lane on one category of prompts.

    Attributes:
        lane: The lane's name.
        concurrency: Requests in flight.
        category: The category; None for all of them together.
        repetitions: Repetitions so far; 0 if the first one has only its throughput yet.
        tok_s: Throughput of all requests together: completion tokens divided by wall time.
        speed_up: The geometric mean over repetitions of the throughput divided by AR's on the same prompts; None
            without AR, and for AR itself.
        low: Lower end of its 95 % interval; None for a single repetition.
        high: Upper end of it.
        length: Acceptance length; None if nothing was drafted.
        disturbed: Repetitions that other programs held up.
    """

    lane: str
    concurrency: int
    category: str | None
    repetitions: int
    tok_s: float | None = None
    speed_up: float | None = None
    low: float | None = None
    high: float | None = None
    length: float | None = None
    disturbed: int = 0


@dataclass(frozen=True, slots=True)
class BenchPlace:
    """What is being measured: a lane on a category. ``repetition`` counts from 1, and is 0 in the warm-up; ``again`` is
    how often it was begun again because other programs disturbed it."""

    lane: str
    concurrency: int
    category: str
    repetition: int
    again: int = 0


@dataclass(frozen=True, slots=True)
class BenchTurn:
    """The state of a benchmark: every piece begins with one, where a piece is one lane on one repetition.

    Attributes:
        lanes: The lanes that take turns.
        categories: The categories in the order in which they are measured.
        concurrencies: The numbers of requests in flight.
        repetitions: How often every lane answers prompts of every category.
        tokens: Completion tokens of an answer.
        cells: Every lane and category of which something was measured.
        pieces: Pieces that are finished and count.
        of_pieces: Pieces in all.
        place: What is being measured; None once it has ended.
        spent_s: Seconds of measurement so far.
        left_s: About how many seconds are left; None before the first piece.
        left_out: What of the run is not measured, and why, in one sentence; empty if nothing.
    """

    lanes: tuple[BenchLane, ...]
    categories: tuple[str, ...]
    concurrencies: tuple[int, ...]
    repetitions: int
    tokens: int
    cells: tuple[BenchCell, ...]
    pieces: int
    of_pieces: int
    place: BenchPlace | None
    spent_s: float
    left_s: float | None = None
    left_out: str = ""


@dataclass(frozen=True, slots=True)
class BenchEnded:
    """The benchmark is over. ``command`` measures the same without a screen; ``fault`` names the lane that died, if one
    did, in a sentence."""

    why: BenchWhy
    last: BenchTurn
    command: str = ""
    fault: str = ""


BenchEvent: TypeAlias = BenchTurn | BenchEnded
