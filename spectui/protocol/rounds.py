"""Rounds and the requests in them: all ready lanes answer the same prompts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from spectui.protocol.run import Prompt, Sampling

FinishReason: TypeAlias = Literal["eos", "stop", "length", "abort", "error"]


@dataclass(frozen=True, slots=True)
class RoundStarted:
    """All ready lanes start the same prompts at once; lane clocks of the round count from here.

    ``absent`` are the slots of prompts that are not raced in this round: their conversation has no such turn, or they
    were refused.
    """

    round: int
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    absent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """``slot`` is the request's place in its round, the same in every lane; the first prompt has slot 0.

    ``as_ar`` is False where its prompt is not, token for token, that of the first AR lane, because the two gave other
    answers to an earlier turn: what follows cannot be compared.
    """

    lane: str
    request: str
    slot: int
    prompt_tokens: int
    as_ar: bool = True


@dataclass(frozen=True, slots=True)
class RequestFinished:
    """``emitted`` is our count of output tokens. A live lane holds the ids of each step against the engine's output,
    so that they always agree."""

    lane: str
    request: str
    slot: int
    reason: FinishReason
    emitted: int


@dataclass(frozen=True, slots=True)
class Preempted:
    """The engine took a running request's KV cache away; it will be recomputed and go on."""

    lane: str
    request: str


@dataclass(frozen=True, slots=True)
class Margin:
    """How clear the target's choice was where a greedy lane left AR's path.

    ``margin`` is the difference of the target's two highest log-probabilities at output position ``position`` (from
    0), measured after the round; the same text decided by so little is a near tie, not a fault.
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
