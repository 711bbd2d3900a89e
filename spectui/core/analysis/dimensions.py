"""The properties of judged tokens along which acceptance is told apart, and how their values are called."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis import kinds
from spectui.core.analysis.lane_columns import LaneColumns
from spectui.core.analysis.places import Places
from spectui.core.analysis.words import NO_CATEGORIES

CONTEXTS = tuple(128 << power for power in range(13))
"""Tokens of context at which a bucket begins, but for the first."""

DISTANCES = (2, 3, 5, 9, 17, 33, 65)
"""Tokens after a refusal at which a bucket begins, but for the first."""

CERTAINTIES = (0.3, 0.6, 0.9, 0.99)
"""Probabilities at which a bucket begins, but for the first."""

NO_PROMPT_IDS = "Unknown, since an older version recorded this trace without the ids of its prompts."
NO_START = "This trace begins in the middle of its answers: record from the start of a round."
NOT_INSPECTED = "The target's probabilities were not recorded: look into steps with i while recording."
IDS_KEPT = "Unknown, since the server does not send the ids that this takes."
NO_DRAFTS = "No drafted token was judged."


@dataclass(frozen=True)
class Coded:
    """One dimension of the judged places.

    Attributes:
        key: As in `spectui.core.analysis.results.Dimension`.
        title: Its name on the screen.
        codes: By place, the number of its bucket; -1 if its value is not known.
        names: The names of the buckets.
        places: By bucket, what to say behind "weak"; empty if it is never called a weakness.
        up_to: By bucket, the same for it and all before it; empty if the buckets have no order.
        beyond: By bucket, the same for it and all after it.
        missing: Why no value is known, as a sentence.
        within: Whether tokens are compared with those of the same answer only. The distance from a refusal needs it,
            because hard answers have many refusals.
    """

    key: str
    title: str
    codes: NDArray[np.integer]
    names: tuple[str, ...]
    places: tuple[str, ...] = ()
    up_to: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    missing: str = ""
    within: bool = False


def dimensions(lane: LaneColumns, places: Places, texts: Mapping[int, str], ends: Collection[int]) -> tuple[Coded, ...]:
    """Every dimension of the lane's judged places."""
    kind = kinds.kinds_of(places.wanted, places.previous, texts, ends)
    if lane.attached and not any(token in texts for token in np.unique(places.wanted).tolist()):
        # A server may send ids whose texts are not known here.
        kind = np.full_like(kind, -1)
    names = tuple(kinds.NAMES.values())
    return (
        _position(places),
        Coded("kind", "kind of token", kind, names, tuple(f"at {name}" for name in names), missing=IDS_KEPT),
        _category(lane, places),
        _context(places),
        _distance(places),
        _copyable(lane, places),
        Coded(
            "repetition",
            "drafter repeats its own token",
            np.where(places.drafted >= 0, places.repeated.view(np.int8), np.int8(-1)),
            ("differs from the draft's last token", "repeats the draft's last token"),
            ("", "where it repeats its own last token"),
            missing=IDS_KEPT,
        ),
        _certainty(places),
    )


def _position(places: Places) -> Coded:
    most = int(places.position.max()) + 1 if len(places) else 0
    return Coded("position", "position in the draft", places.position, tuple(str(n + 1) for n in range(most)))


def _category(lane: LaneColumns, places: Places) -> Coded:
    number: dict[str, int] = {}
    of = [-1 if one.category is None else number.setdefault(one.category, len(number)) for one in lane.requests]
    codes = np.array(of, dtype=np.int32)[places.request] if of else places.request
    return Coded(
        "category",
        "category",
        codes,
        tuple(number),
        tuple(f"on {name} prompts" for name in number),
        missing=NO_CATEGORIES if lane.attached else NO_START,
    )


def _context(places: Places) -> Coded:
    codes = _codes(places.context, CONTEXTS)
    return Coded(
        "context",
        "tokens of context",
        codes,
        _ranges(0, CONTEXTS),
        up_to=tuple(f"within the first {edge:,} tokens of context" for edge in CONTEXTS),
        beyond=("", *(f"beyond {edge:,} tokens of context" for edge in CONTEXTS)),
        missing=NO_START,
    )


def _distance(places: Places) -> Coded:
    codes = np.where(places.distance == 0, len(DISTANCES) + 1, _codes(places.distance, DISTANCES)).astype(np.int8)
    return Coded(
        "distance",
        "tokens since the last refusal",
        codes,
        (*_ranges(1, DISTANCES), "none was refused yet"),
        up_to=(
            "at the first token after a refusal",
            *(f"up to {edge - 1} tokens after a refusal" for edge in DISTANCES[1:]),
        ),
        missing=NO_START,
        within=True,
    )


def _copyable(lane: LaneColumns, places: Places) -> Coded:
    # That a token is harder where it cannot be copied is so by nature, and no weakness.
    return Coded(
        "copyable",
        "could be copied from the context",
        places.copyable,
        ("could not be copied", "could be copied"),
        ("", "at tokens that it could copy from the context"),
        missing=IDS_KEPT if lane.attached else NO_PROMPT_IDS,
    )


def _certainty(places: Places) -> Coded:
    names = ("below 30 %", "30 to 60 %", "60 to 90 %", "90 to 99 %", "99 % and above")
    title = "the target's probability of its own token"
    if places.probability is None:
        return Coded("certainty", title, np.full(len(places), -1, dtype=np.int8), names, missing=NOT_INSPECTED)
    codes = np.digitize(places.probability, CERTAINTIES).astype(np.int8)
    codes[np.isnan(places.probability)] = -1
    return Coded("certainty", title, codes, names, missing=NOT_INSPECTED)


def _codes(values: NDArray[np.int32], edges: Sequence[int]) -> NDArray[np.int8]:
    codes = np.searchsorted(np.array(edges, dtype=np.int32), values, side="right").astype(np.int8)
    codes[values < 0] = -1
    return codes


def _ranges(first: int, edges: Sequence[int]) -> tuple[str, ...]:
    """The names of the buckets that begin at ``first`` and at each edge."""
    begins = (first, *edges)
    within = [
        f"{low:,}" if high == low + 1 else f"{low:,} to {high - 1:,}" for low, high in zip(begins, edges, strict=False)
    ]
    return (*within, f"{begins[-1]:,} and more")
