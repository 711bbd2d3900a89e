"""Rounds and the requests in them: all ready lanes answer the same prompts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.protocol.run import Prompt, Sampling

FinishReason: TypeAlias = Literal["eos", "stop", "length", "abort", "error", "unseen"]
"""Why a request ended; ``unseen`` if a server ended it while nothing was heard of it."""


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a round goes on with an answer of an earlier round, its parent: every lane is given the prompt and the
    answer up to there.

    Attributes:
        round: The parent's number.
        lane: The lane whose answer goes on.
        slot: The request's place in the parent round.
        step: The step of that request at which it was forked, counting from 0.
        kept: Output tokens of that request that are kept.
        put: Ids put after them in place of what stood there; empty if nothing is put there.
        text: The text of the answer up to there; if the parent is a fork itself, from the first parent's answer on.
        put_text: The text of ``put``.
        instead: The text of the token that stood there; empty if nothing was put in its place.
    """

    round: int
    lane: str
    slot: int
    step: int
    kept: int
    put: tuple[int, ...] = ()
    text: str = ""
    put_text: str = ""
    instead: str = ""


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """All ready lanes start the same prompts at once; the lane clocks of the round count from here.

    ``absent`` lists the slots of prompts that are not raced in this round, because their conversation has no such turn
    or because they were rejected. ``parent`` says where a forked round branches off; None for all others.
    """

    round: int
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    absent: tuple[int, ...] = ()
    parent: Branch | None = None


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """A lane has started a request. ``slot`` is the request's place in its round, the same in every lane, from 0.

    ``as_ar`` is False if its prompt differs from that of the first AR lane in any token, because the two lanes answered
    an earlier turn differently: their answers cannot be compared. ``prompt_ids`` are the ids of its prompt; empty in
    older traces.
    """

    lane: str
    request: str
    slot: int
    prompt_tokens: int
    as_ar: bool = True
    prompt_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """A request has ended. ``emitted`` is our count of its output tokens. A live lane checks the ids of each step
    against the engine's output, so that the two always agree."""

    lane: str
    request: str
    slot: int
    reason: FinishReason
    emitted: int


@dataclass(frozen=True, slots=True)
class Preempted:
    """The engine took a running request's KV cache away; the request will continue once the cache is recomputed."""

    lane: str
    request: str


@dataclass(frozen=True, slots=True)
class Margin:
    """How clear the target's choice was where a greedy lane left AR's path.

    ``margin`` is the difference between the target's two highest log-probabilities at output position ``position``
    (from 0), measured after the round. A small margin means a near tie, not an error.
    """

    lane: str
    slot: int
    position: int
    margin: float


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """Every lane has finished or given up the round's requests."""

    round: int


RoundEvent: TypeAlias = RoundStarted | RequestStarted | RequestFinished | Preempted | Margin | RoundFinished
