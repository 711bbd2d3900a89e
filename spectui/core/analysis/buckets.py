"""Acceptance and lost tokens of every bucket of a dimension."""

from __future__ import annotations

import numpy as np

from spectui.core.analysis.dimensions import NO_DRAFTS
from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import LEAST, Bucket, Dimension
from spectui.core.analysis.tables import Cells, Table


def dimension(measured: Measured, number: int) -> Dimension:
    """The figures of a lane's dimension."""
    coded, cells = measured.coded[number], measured.tables[number]
    buckets = tuple(
        _bucket(measured, name, cells, cells.code == code)
        for code, name in enumerate(coded.names)
        if (cells.code == code).any()
    )
    missing = "" if buckets else coded.missing if len(coded.codes) else NO_DRAFTS
    return Dimension(coded.key, coded.title, buckets, missing)


def _bucket(measured: Measured, name: str, cells: Table, inside: Cells) -> Bucket:
    own = cells.only(inside)
    acceptance = measured.share(own)
    usual, _ = expected(cells, inside)
    lost, lost_k = int(own.lost.sum()), int(own.lost_k.sum())
    return Bucket(name, acceptance, usual, lost, lost_k, acceptance.count >= LEAST)


def expected(cells: Table, inside: Cells) -> tuple[float | None, float]:
    """The acceptance of the tokens ``inside`` if they were like the others that they are compared with, and the tokens
    that they lose beyond it.

    At a position with no others nothing can be expected, so its tokens are left out of both. A refusal is expected to
    lose what a refusal at this place would have lost: tokens not accepted, times what was at stake.
    """
    strata, many = cells.stratum, int(cells.stratum.max()) + 1 if len(cells.stratum) else 0
    position = np.zeros(many, dtype=np.int64)
    position[strata] = cells.position
    count, right = np.bincount(strata, cells.count, many), np.bincount(strata, cells.right, many)
    own, own_right = (np.bincount(strata, of * inside, many) for of in (cells.count, cells.right))
    weight = own * (count - own) / np.maximum(count, 1)
    ahead = (right - own_right) / np.maximum(count - own, 1) - own_right / np.maximum(own, 1)
    # Answers with few tokens on either side say little of the difference (Mantel-Haenszel weights).
    weights = np.bincount(position, weight)
    ahead = np.bincount(position, weight * ahead) / np.where(weights > 0, weights, 1)
    usual = np.bincount(position, own_right) / np.maximum(np.bincount(position, own), 1) + ahead
    usual = np.clip(usual, 0, 1)[cells.position]
    known = inside & (weights[cells.position] > 0)
    of = float(cells.count[known].sum())
    if not of:
        return None, 0.0
    beyond = cells.lost[known].sum() - ((1 - usual) * cells.stake)[known].sum()
    return float((usual * cells.count)[known].sum() / of), float(beyond)
