"""The steps of a lane that can be compared with each other: of one number of requests in flight, and at a K that did
not follow the text.

A step that more requests share takes longer, so a mean over several numbers is that of none of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.results import LEAST
from spectui.core.headroom.costs import Rows, request_tok_s, verifying
from spectui.core.headroom.headroom import LEAST_SHARE


@dataclass(frozen=True, slots=True)
class Selected:
    """The steps that headroom is computed from.

    Attributes:
        places: Their places among all of the lane's.
        ar: The AR lane's steps with as many requests in flight; None without any.
        automatic: Whether the lane chose its K.
        k: The K that others are compared with; None if it is automatic, or no K has enough steps.
        detail: What to add to the K to say which steps they are; empty if they are all.
        note: The same as sentences.
    """

    places: NDArray[np.int64]
    ar: Rows | None
    automatic: bool
    k: int | None
    detail: str
    note: str


def select(rows: Rows, automatic: NDArray[np.bool_], ar: Rows | None, *, runs: int = 1) -> Selected:
    """Choose them: the number in flight with most steps; a K that did not follow the text where there is one; and of
    several K the one with most time, or the fastest if several runs tried them in turn.

    Args:
        rows: All steps of the lane; see `costs.Rows`.
        automatic: By step, whether the lane chose its K.
        ar: The steps of the AR lane; None without one.
        runs: How many runs they are from.
    """
    details, notes = [], []
    drafting = (rows["index"] > 0) & (rows["k"] > 0)
    # An automatic K that never moved followed nothing.
    chose = len(np.unique(rows["k"][automatic & drafting])) > 1
    kept = np.ones(len(rows), dtype=bool)
    if chose and int((drafting & ~automatic).sum()) >= LEAST:
        kept, chose = ~automatic, False
        details.append("while fixed")
        notes.append("Steps at an automatic K do not count here.")
    sizes = rows["batch"][kept & drafting]
    if ar is not None:
        ar = verifying(ar)
        shared = sizes[np.isin(sizes, ar["batch"])]
        sizes = shared if len(shared) else sizes
    if len(sizes):
        size = int(np.bincount(sizes).argmax())
        several = bool((verifying(rows[kept])["batch"] != size).any())
        kept &= rows["batch"] == size
        if ar is not None:
            ar = ar[ar["batch"] == size]
        if several:
            details.append(f"{size} in flight")
            notes.append(f"Only steps with {size} request{'' if size == 1 else 's'} in flight count here.")
    places = np.flatnonzero(kept)
    k, how = (None, "") if chose else _compared(rows[kept & drafting], fastest=runs > 1)
    if how:
        details.insert(0, how)
        notes.append(f"The comparison is with K={k}, {how}.")
    ar = None if ar is None or not len(ar) else ar
    return Selected(places, ar, chose, k, ", ".join(details), " ".join(notes))


def _compared(rows: Rows, *, fastest: bool) -> tuple[int | None, str]:
    """The K that others are compared with, and why it is that one if there are others."""
    ks, counts = np.unique(rows["k"], return_counts=True)
    least = max(LEAST, LEAST_SHARE * counts.max(initial=0))
    enough = [int(k) for k, count in zip(ks, counts, strict=True) if count >= least]
    if not enough:
        return None, ""
    at = {k: rows[rows["k"] == k] for k in enough}
    if fastest:
        k = max(at, key=lambda one: request_tok_s(at[one]) or 0.0)
    else:
        k = max(at, key=lambda one: int(at[one]["wall_ns"].sum()))
    if len(ks) == 1:
        return k, ""
    return k, "the fastest that ran" if fastest else "which ran longest"
