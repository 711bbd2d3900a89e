"""One step in detail: the target's verdict on each of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that the target could have chosen at a position, and its probability (0 to 1)."""

    token: int
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """The target's verdict on one token at its position.

    Attributes:
        token: The token's id.
        text: The token's own text.
        probability: The target's probability for it, before temperature and top-p.
        rank: Its rank in the vocabulary; 1 is the most likely token.
        likeliest: The most likely tokens at that position, in descending order.
    """

    token: int
    text: str
    probability: float
    rank: int
    likeliest: tuple[Likely, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """One step in detail, recomputed by the target.

    ``places`` holds the verdicts on the drafted tokens, then on the target's own token if that follows all of them. It
    is empty if the target could not be asked; ``why`` says why.
    """

    lane: str
    slot: int
    index: int
    places: tuple[TokenVerdict, ...]
    why: str = ""


InspectionEvent: TypeAlias = Inspected
