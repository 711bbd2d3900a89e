"""Step times of a lane from the rows of its trace, at every K, measured or estimated by the cost model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spectui.core.cost import CostModel, Observed, StepTime
from spectui.core.headroom.choosing import Floats

Rows = Any
"""The steps of a lane: an array with the fields ``index``, ``k``, ``drafted``, ``accepted``, ``batch``,
``disturbed``, ``wall_ns``, ``draft_ns`` and ``verify_ns`` of `Step`, numbers of tokens in place of tokens, -1 for an
unknown time."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The time of a step at each K.

    Attributes:
        times: Seconds at each K from 0; infinite where they cannot be estimated.
        measured: The K at which steps were measured.
        plain: Seconds of a step of AR; None without an AR lane.
        assumed: Whether AR's step stands for K = 0, because the K that were measured do not carry to all others.
    """

    times: Floats
    measured: tuple[int, ...]
    plain: float | None
    assumed: bool


def verifying(rows: Rows) -> Rows:
    """The steps without each request's first, which processes its prompt."""
    return rows[rows["index"] > 0]


def request_tok_s(rows: Rows) -> float | None:
    """Tokens per second of one request, on lane time: verified tokens over the time of their steps, each request's
    first left out. None without others."""
    later = verifying(rows)
    total = float(later["wall_ns"].sum(dtype="f8"))
    return (float(later["accepted"].sum(dtype="f8")) + len(later)) / total * 1e9 if total > 0 else None


def costs_of(rows: Rows, k_max: int, ar: Rows | None) -> Costs:
    """Fit the cost model to the steps.

    Args:
        rows: The steps that verify, at least one of which had a draft.
        k_max: The largest K that is asked for.
        ar: Steps of the AR lane; None without one.
    """
    rate = None if ar is None else request_tok_s(ar)
    plain = None if rate is None else 1 / rate
    quiet = rows[rows["disturbed"] == 0]
    # Where every step was disturbed, they are what there is.
    rows = quiet if (quiet["drafted"] > 0).any() else rows
    timed = bool((rows["verify_ns"] >= 0).all())
    observed = [_observed(rows[rows["k"] == k], int(k), timed) for k in np.unique(rows["k"])]
    measured = tuple(one.k for one in observed)
    times = _times(observed, k_max)
    if assumed := plain is not None and measured[0] > 0 and not bool(np.isfinite(times).all()):
        times = _times([Observed(0, 1, StepTime(0.0, 0.0, plain or 0.0)), *(_whole(one) for one in observed)], k_max)
    if plain is not None:
        # No step that could draft is faster than AR's, wherever a line leads.
        estimated = ~np.isin(np.arange(k_max + 1), measured)
        times[estimated] = np.maximum(times[estimated], plain)
    return Costs(times, measured, plain, assumed)


def _times(observed: list[Observed], k_max: int) -> Floats:
    model = CostModel(observed)
    times = [model.time(k) for k in range(k_max + 1)]
    return np.array([np.inf if one is None else one.total for one in times])


def _observed(rows: Rows, k: int, timed: bool) -> Observed:
    drafting, bare = rows[rows["drafted"] > 0], rows[rows["drafted"] == 0]
    if not k:
        return Observed(0, len(rows), _mean(rows, timed))
    return Observed(k, len(drafting), _mean(drafting, timed), len(bare), _mean(bare, timed))


def _mean(rows: Rows, timed: bool) -> StepTime:
    if not len(rows):
        return StepTime(0.0, 0.0, 0.0)
    wall = float(rows["wall_ns"].mean(dtype="f8")) / 1e9
    if not timed:
        return StepTime(0.0, 0.0, wall)
    draft, verify = (float(np.maximum(rows[name], 0).mean(dtype="f8")) / 1e9 for name in ("draft_ns", "verify_ns"))
    return StepTime(draft, verify, wall - draft - verify)


def _whole(one: Observed) -> Observed:
    """The same with times that are not split, as AR's is not."""
    return Observed(
        one.k,
        one.steps,
        StepTime(0.0, 0.0, one.time.total),
        one.bare_steps,
        StepTime(0.0, 0.0, one.bare.total),
    )
