"""Where a drafter fails beyond chance, and beyond what the positions of its drafts explain.

Every bucket, or every one up to or from some bucket on where they have an order, is held against the lane's other
tokens at the same positions with the Mantel-Haenszel test (Mantel and Haenszel 1959, "Statistical aspects of the
analysis of data from retrospective studies of disease"), whose statistic is divided by the design effect. The tokens
that the cause itself picks out differ most clearly, so the largest statistic names the cause rather than what only
goes along with it: numbers, not the category that has many of them. How large it must be allows for how many were
tried (Bonferroni) and for how few answers the design effect was estimated from. Tokens after a refusal must also be
harder than `spectui.core.analysis.stretches` explains.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.buckets import expected
from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import LEAST, Weakness
from spectui.core.analysis.stretches import Beyond, beyond_stretches, widening
from spectui.core.analysis.tables import Cells, Table, correlation
from spectui.core.chi_square import normal_quantile
from spectui.core.paired import LEAST_FREEDOM, student_t

CHANCE = 0.01
"""How often a weakness is named in a trace that has none, at most."""

LEAST_DIFFERENCE = 0.05
"""Difference of acceptance below which nothing is called a weakness, however certain it is."""

LEAST_AFTER = 0.12
"""The same after a refusal, where acceptance is lower by itself: refusals are many where a text is hard."""

LEAST_EXCESS = 0.5
"""Tokens lost per 100 drafted below which nothing is called a weakness."""

MOST = 5
"""Weaknesses of a lane that are named."""

USUAL_CORRELATION, USUAL_WEIGHT = 0.03, 4
"""The correlation of tokens of an answer that is assumed before any is seen, and the answers that it counts for: a few
answers that happen to be alike do not show that all are."""

_ENOUGH = 400_000
"""Tokens whose stretches are looked at: with more, every few answers tell as much."""

_FEWEST = 1.5
"""Design effect above which the answers themselves are compared; fewer than five cannot be."""


@dataclass(frozen=True)
class _Candidate:
    """Buckets of a dimension that could be called a weakness together."""

    number: int
    where: str
    codes: range
    ordered: bool

    def of(self, codes: NDArray[np.integer]) -> Cells:
        return (codes >= self.codes.start) & (codes < self.codes.stop)


def weaknesses(measured: Measured) -> tuple[Weakness, ...]:
    """The weaknesses of a lane, the strongest first. Each but the first still holds for the tokens that those before
    it leave, so that no two say nearly the same."""
    found: list[Weakness] = []
    left = measured.distinct.copy()
    named: set[int] = set()
    tables = measured.tables if left.all() else measured.tables_of(left)
    while len(found) < MOST and (best := _strongest(measured, tables, named)):
        candidate, strength, certain = best
        beyond, strength = _in_stretches(measured, candidate, left, strength)
        if strength <= certain**2 or (beyond is not None and beyond.difference < LEAST_AFTER):
            named.add(candidate.number)
            continue
        found.append(_weakness(measured, candidate, strength, beyond))
        left &= ~candidate.of(measured.coded[candidate.number].codes)
        if candidate.ordered:
            named.add(candidate.number)
        tables = measured.tables_of(left)
    return tuple(found)


def _candidates(measured: Measured, tables: Sequence[Table], named: Collection[int]) -> Iterator[_Candidate]:
    """What could be called a weakness: enough tokens of it, and enough others. Buckets that have no tokens begin and
    end nothing. A bucket with more than half of all tokens is none, since the few others differ from it instead; where
    buckets have an order a weakness may well cover most of them, as after a refusal if there are many."""
    for number, (coded, cells) in enumerate(zip(measured.coded, tables, strict=True)):
        if number in named or not len(cells.code):
            continue
        counts = np.bincount(cells.code, cells.count, len(coded.names))
        every = measured.tables[number]
        most = np.bincount(every.code, every.count, len(coded.names)) > every.count.sum() / 2
        last = len(counts)
        single = [(where, range(code, code + 1), False) for code, where in enumerate(coded.places) if not most[code]]
        up_to = [(where, range(code + 1), True) for code, where in enumerate(coded.up_to) if counts[code]]
        beyond = [(where, range(code, last), True) for code, where in enumerate(coded.beyond) if counts[code]]
        for where, codes, ordered in single + up_to + beyond:
            many = counts[codes.start : codes.stop].sum()
            if where and many >= LEAST and counts.sum() - many >= LEAST:
                yield _Candidate(number, where, codes, ordered)


def _in_stretches(
    measured: Measured, candidate: _Candidate, left: NDArray[np.bool_], strength: float
) -> tuple[Beyond | None, float]:
    """What the candidate adds to stretches of hard text, for those that only such stretches bring about; and its
    strength as far as stretches leave it."""
    places, codes = measured.places, measured.coded[candidate.number].codes
    known = left & (places.at >= 0) & (codes >= 0)
    known &= places.request % (1 + int(known.sum()) // _ENOUGH) == 0
    if not known.any():
        return None, strength
    request = places.request[known]
    of = request, places.at[known], places.position[known], places.right[known], candidate.of(codes)[known]
    if measured.coded[candidate.number].within:
        beyond = beyond_stretches(*of)
        return beyond, min(strength, beyond.statistic)
    return None, strength / widening(measured.cluster[request], *of, ordered=candidate.ordered)


def _strongest(
    measured: Measured, tables: Sequence[Table], named: Collection[int]
) -> tuple[_Candidate, float, float] | None:
    """The candidate that is told from the others most clearly, if any is certain, with its strength and the normal
    quantile that makes it certain."""
    tried = list(_candidates(measured, tables, named))
    if not tried:
        return None
    certain = normal_quantile(CHANCE / len(tried))
    best = None
    for candidate in tried:
        cells = tables[candidate.number]
        inside = candidate.of(cells.code)
        own = cells.only(inside)
        usual, beyond = expected(cells, inside)
        least = LEAST_AFTER if measured.coded[candidate.number].within else LEAST_DIFFERENCE
        if usual is None or usual - own.right.sum() / own.count.sum() < least:
            continue
        if beyond * 100 < LEAST_EXCESS * measured.drafted:
            continue
        strength = _strength(cells, inside, certain)
        if strength > certain**2 and (best is None or strength > best[1]):
            best = candidate, strength, certain
    return best


def _strength(cells: Table, inside: Cells, certain: float) -> float:
    """The one-sided Mantel-Haenszel statistic of the cells ``inside`` against the others at the same positions, divided
    by the design effect; smaller where few answers were compared, as Student's t needs more than ``certain``.

    Args:
        cells: The judged tokens.
        inside: Those in question.
        certain: The normal quantile whose square makes the statistic certain.
    """
    answers, cluster = np.unique(cells.cluster, return_inverse=True)
    strata, many = cells.stratum, int(cells.stratum.max()) + 1

    def summed(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[np.float64] = np.bincount(strata, values, many).astype(np.float64)
        return sums

    count, right = summed(cells.count), summed(cells.right)
    own, own_right = summed(cells.count * inside), summed(cells.right * inside)
    both = (own > 0) & (own < count)
    if not both.any():
        return 0.0
    n, y, m, z = count[both], right[both], own[both], own_right[both]
    worse = float((m * y / n - z).sum())
    variance = float((m * (n - m) * y * (n - y) / (n * n * (n - 1))).sum())
    if worse <= 0 or variance <= 0:
        return 0.0
    used = both[strata]
    share_in = (own / np.maximum(count, 1))[strata]
    inner, outer = own_right / np.maximum(own, 1), (right - own_right) / np.maximum(count - own, 1)
    fitted = np.where(inside, inner[strata], outer[strata])
    away = np.where(used, inside - share_in, 0.0)
    spread = np.sqrt(fitted * (1 - fitted))
    freedom = max(0.0, len(answers) - 2.0)
    alike = correlation(cluster, cells.count, cells.right, fitted, 2)
    alike = (freedom * alike + USUAL_WEIGHT * USUAL_CORRELATION) / (freedom + USUAL_WEIGHT)
    alone = float((cells.count * away**2 * spread**2).sum())
    together = float((np.bincount(cluster, cells.count * away * spread) ** 2).sum())
    effect = max(1.0, 1.0 + alike * (together / alone - 1.0)) if alone else 1.0
    statistic = worse**2 / variance / effect
    if together > _FEWEST * alone and freedom < LEAST_FREEDOM:
        return 0.0
    if effect > 1.0:
        freedom *= (effect / (effect - 1.0)) ** 2
        statistic *= (certain / student_t(max(freedom, 3.0), certain)) ** 2
    return statistic


def _weakness(measured: Measured, candidate: _Candidate, strength: float, after: Beyond | None) -> Weakness:
    cells = measured.tables[candidate.number]
    inside = candidate.of(cells.code)
    own = cells.only(inside)
    acceptance = measured.share(own)
    usual, beyond = expected(cells, inside)
    if after is not None and usual is not None and acceptance.value is not None:
        # The rest of the difference is the stretches'.
        difference = usual - acceptance.value
        kept = min(1.0, after.difference / difference) if difference > 0 else 1.0
        usual, beyond = acceptance.value + kept * difference, kept * beyond
    return Weakness(
        dimension=measured.coded[candidate.number].key,
        where=candidate.where,
        acceptance=acceptance,
        expected=usual if usual is not None else 0.0,
        excess=100 * beyond / measured.drafted,
        lost_share=float(own.lost.sum()) / measured.lost,
        strength=strength,
    )
