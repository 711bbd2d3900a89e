"""Judged tokens counted by answer, position and bucket: all that acceptance and its certainty are computed from.

Tokens of one answer are alike: one answer is easy and another hard, so a thousand tokens of ten answers are worth fewer
independent ones. How many is the design effect of cluster samples (Kish 1965, "Survey Sampling", section 5.4), from the
correlation of tokens within an answer, which is estimated by moments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.results import Share

Z95 = 1.959964
_DENSE = 1 << 22

Cells: TypeAlias = NDArray[np.bool_]
"""By cell of a table, whether it is chosen."""

_Numbers: TypeAlias = NDArray[np.float64]
_Places: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """Cells of judged tokens that have everything in common.

    Attributes:
        cluster: By cell, the answer; answers to the same prompt are one.
        stratum: By cell, a number that it shares with those that it is compared with.
        position: By cell, the position in the draft, from 0.
        code: By cell, the bucket.
        count: By cell, tokens judged.
        right: By cell, tokens accepted.
        stake: By cell, tokens that refusals of all of them would lose, and ``lost`` those that refusals lost.
        lost_k: The same against K.
    """

    cluster: _Places
    stratum: _Places
    position: _Places
    code: _Places
    count: _Numbers
    right: _Numbers
    stake: _Numbers
    lost: _Numbers
    lost_k: _Numbers

    def only(self, cells: Cells) -> Table:
        """Some of the cells."""
        return Table(*(getattr(self, column.name)[cells] for column in fields(self)))


def table(
    group: NDArray[np.integer],
    cluster_of: _Places,
    position: NDArray[np.integer],
    code: NDArray[np.integer],
    right: Cells,
    stake: NDArray[np.integer],
    stake_k: NDArray[np.integer],
    *,
    within: bool,
) -> Table:
    """Count the places whose code is not negative.

    Args:
        group: By place, the number of its answer.
        cluster_of: By number of an answer, its cluster.
        position: By place, the position in the draft.
        code: By place, the bucket.
        right: By place, whether the target accepted it.
        stake: By place, tokens that a refusal loses.
        stake_k: The same against K.
        within: Whether a place is compared with those of its answer only, at the same position.
    """
    known = np.flatnonzero(code >= 0) if len(code) and code.min() < 0 else slice(None)
    group, position, code = group[known], position[known], code[known]
    right, stake, stake_k = right[known], stake[known], stake_k[known]
    positions, codes = (int(of.max()) + 1 if len(of) else 1 for of in (position, code))
    key = (group.astype(np.int64) * positions + position) * codes + code
    size = int(key.max()) + 1 if len(key) else 0
    cells, place = (None, key) if size <= _DENSE else np.unique(key, return_inverse=True)
    if cells is None:
        cells = np.flatnonzero(np.bincount(key, minlength=size))
        number = np.zeros(size, dtype=np.int64)
        number[cells] = np.arange(len(cells))
        place = number[key]

    def summed(weights: NDArray[np.generic] | None) -> _Numbers:
        return np.bincount(place, weights, len(cells)).astype(np.float64)

    wrong = ~right
    rest, code_of = np.divmod(cells, codes)
    group_of, position_of = np.divmod(rest, positions)
    return Table(
        cluster_of[group_of],
        np.unique(rest, return_inverse=True)[1] if within else position_of,
        position_of,
        code_of,
        summed(None),
        summed(right),
        summed(stake),
        summed(np.where(wrong, stake, 0)),
        summed(np.where(wrong, stake_k, 0)),
    )


def correlation(cluster: NDArray[np.int64], count: _Numbers, right: _Numbers, expected: _Numbers, fitted: int) -> float:
    """The correlation of tokens within a cluster, from 0 to 1, beyond what their ``expected`` acceptance explains.

    The covariance of two tokens of a cluster is taken as the correlation times both standard deviations. So the squared
    sum of a cluster's residuals exceeds the sum of their squares by the correlation times the sum, over pairs, of both
    standard deviations.

    Args:
        cluster: By cell, its cluster.
        count: By cell, tokens.
        right: By cell, tokens accepted.
        expected: By cell, the acceptance expected of each.
        fitted: Figures of clusters that were fitted in finding ``expected``; each makes residuals a little smaller.
    """
    _, cluster = np.unique(cluster, return_inverse=True)
    variance = expected * (1 - expected)
    off = np.bincount(cluster, right - count * expected)
    own = float((right * (1 - expected) ** 2 + (count - right) * expected**2).sum())
    reach = np.bincount(cluster, count * np.sqrt(variance))
    pairs = float((reach**2).sum() - (count * variance).sum())
    if pairs <= 0 or len(off) <= fitted:
        return 0.0
    scale = len(off) / (len(off) - fitted)
    return min(1.0, max(0.0, (float((off**2).sum()) * scale - own) / pairs))


def by_position(cells: Table) -> _Numbers:
    """By cell, the acceptance of all tokens at its position."""
    count = np.bincount(cells.position, cells.count)
    right = np.bincount(cells.position, cells.right)
    shares: _Numbers = (right / np.maximum(count, 1))[cells.position]
    return shares


def share(count: float, right: float, design_effect: float = 1.0) -> Share:
    """``right`` of ``count`` with the 95 % interval of Wilson 1927, its count divided by the design effect."""
    if not count:
        return Share(None, None, None, 0)
    n, p = count / max(1.0, design_effect), right / count
    middle = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    reach = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return Share(p, max(0.0, min(p, middle - reach)), min(1.0, max(p, middle + reach)), int(count))


def design_effect(cluster: NDArray[np.int64], count: _Numbers, correlated: float) -> float:
    """By how much fewer independent tokens those of some clusters are worth: Kish's 1 + rho x (m - 1), where m is the
    size of the cluster that a token is in, on average over tokens."""
    if not len(count):
        return 1.0
    _, cluster = np.unique(cluster, return_inverse=True)
    sizes = np.bincount(cluster, count)
    return 1.0 + correlated * (float((sizes**2).sum() / sizes.sum()) - 1)
