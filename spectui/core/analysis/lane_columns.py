"""The columns of one lane: its steps as arrays, and the answers that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from spectui.protocol.events import LaneInfo

Ids: TypeAlias = NDArray[np.int32]

ROW = np.dtype(
    [
        ("request", "<i4"),
        ("index", "<i4"),
        ("before", "<i4"),
        ("k", "u1"),
        ("drafted", "u1"),
        ("accepted", "u1"),
        ("batch", "<u2"),
        ("emitted", "<u2"),
        ("cut", "<u2"),
        ("canvas", "<u2"),
        ("own", "i1"),
        ("disturbed", "u1"),
        ("wall_ns", "<i8"),
        ("clock_ns", "<i8"),
        ("draft_ns", "<i8"),
        ("verify_ns", "<i8"),
    ]
)
"""A step: the fields of `Step` by their names, with the number of tokens in place of the tokens. ``request`` is the
place in `LaneColumns.requests`. ``before`` is counted from the steps where the trace does not say it. -1 is unknown;
``own`` is 1 for a bonus, 0 for a recovered token and -1 for none."""


@dataclass(frozen=True, slots=True)
class Request:
    """One answer of a lane.

    Attributes:
        name: The request's name in the trace.
        round: The round; None if its start is not in the trace.
        slot: Its place in the round.
        category: The prompt's category; None if the round's start is not in the trace.
        prompt: The same number for all requests that answer the same prompt; None if that is unknown.
        prompt_tokens: Length of its prompt; None if its start is not in the trace.
        prompt_ids: Ids of its prompt; empty if the trace lacks them.
        as_ar: Whether its prompt is that of the AR lane, token by token.
    """

    name: str
    round: int | None
    slot: int
    category: str | None
    prompt: int | None
    prompt_tokens: int | None
    prompt_ids: Ids
    as_ar: bool = True


@dataclass(frozen=True, slots=True)
class Looked:
    """The target's probability of a token at one place of a step, recomputed afterwards.

    Attributes:
        request: The place in `LaneColumns.requests`.
        index: The step's number within its request.
        place: The place in the step, from 0.
        token: The token.
        probability: Its probability, before temperature and top-p.
    """

    request: int
    index: int
    place: int
    token: int
    probability: float


@dataclass(frozen=True)
class LaneColumns:
    """The steps of one lane, as far as they were folded, in the order of the trace.

    Attributes:
        name: The lane's name.
        info: What the trace's header says of it; None if nothing.
        requests: Its answers.
        rows: Its steps (`ROW`); ``rows["k"]`` is a column.
        drafted_ids: Ids that were drafted, step after step; -1 where only their number is known.
        verified_ids: Ids that were emitted or cut, step after step, likewise: those that the target wanted.
        looked: Probabilities that were recomputed.
        turns: The steps from which K was automatic, no longer so, automatic again, and so on.
        runs: Runs that the steps are from.
        attached: Whether it is a server, whose prompts are unknown.
    """

    name: str
    info: LaneInfo | None
    requests: tuple[Request, ...]
    rows: NDArray[np.void]
    drafted_ids: Ids
    verified_ids: Ids
    looked: tuple[Looked, ...]
    turns: tuple[int, ...] = ()
    runs: int = 1
    attached: bool = False

    @property
    def title(self) -> str:
        """The usual spelling of its method."""
        return self.info.title if self.info else self.name

    @property
    def drafts(self) -> bool:
        """Whether it is a lane that drafts, even if it never did; a server of which no step was seen is none."""
        if self.attached and not len(self.rows):
            return False
        return bool(self.info and self.info.k_max) or len(self.drafted_ids) > 0

    @property
    def drafted(self) -> NDArray[np.int64]:
        """Tokens drafted by each step."""
        return self.rows["drafted"].astype(np.int64)

    @property
    def verified(self) -> NDArray[np.int64]:
        """Tokens emitted or cut by each step."""
        return self.rows["emitted"].astype(np.int64) + self.rows["cut"].astype(np.int64)

    @property
    def automatic(self) -> NDArray[np.bool_]:
        """By step, whether the lane chose its K by itself."""
        past = np.searchsorted(np.array(self.turns, dtype=np.int64), np.arange(len(self.rows)), side="right")
        found: NDArray[np.bool_] = past % 2 == 1
        return found

    @cached_property
    def drafted_start(self) -> NDArray[np.int64]:
        """Where each step's ids begin in `drafted_ids`."""
        return starts(self.drafted)

    @cached_property
    def verified_start(self) -> NDArray[np.int64]:
        """Where each step's ids begin in `verified_ids`."""
        return starts(self.verified)


def starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of consecutive stretches of these lengths begins."""
    begins: NDArray[np.int64] = np.cumsum(counts) - counts
    return begins
