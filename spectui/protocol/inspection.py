"""One step in full: what the target thought of each of its tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Likely:
    """A token that the target could have said at a place, and how likely it was (0 to 1)."""

    token: int
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class TokenVerdict:
    """What the target thought of one token where it stands.

    Attributes:
        token: Its id.
        text: Its text alone.
        probability: The target's, before temperature and top-p.
        rank: 1 for the likeliest token of the vocabulary.
        likeliest: The likeliest tokens there, the likeliest first.
    """

    token: int
    text: str
    probability: float
    rank: int
    likeliest: tuple[Likely, ...]


@dataclass(frozen=True, slots=True)
class Inspected:
    """One step in full, asked of the target anew: ``places`` of its drafted tokens, then of the target's own token
    where that stands behind all of them. Empty where it could not be
    asked; ``why`` says why."""

    lane: str
    slot: int
    index: int
    places: tuple[TokenVerdict, ...]
    why: str = ""


InspectionEvent: TypeAlias = Inspected
