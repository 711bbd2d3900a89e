"""What better choices would give a lane, from the steps that it took.

Every figure is tokens per second of one request. Tokens are those that were verified, so those after an answer's end
count; a request's first step, which processes its prompt, is left out, of AR too. All but the first figure are
estimates: ``tokens(K) / t(K)``, each summed over the steps, with ``tokens(K) = 1 + min(a, K)`` for a step that accepted
``a`` of a draft at the recorded K, and ``t(K)`` from `spectui.core.cost`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.results import LEAST, Choice, Headroom
from spectui.core.analysis.words import NO_CATEGORIES, RECORD_LONGER
from spectui.core.headroom.choosing import best_choices, grouped
from spectui.core.headroom.costs import Costs, Rows, costs_of, request_tok_s
from spectui.core.headroom.replaying import replay
from spectui.core.headroom.working_on import work_on

TITLES = {
    "now": "as it ran",
    "fixed": "the best fixed K",
    "category": "the best K per category",
    "oracle": "K chosen with hindsight",
    "bandit": "k=auto",
    "perfect": "a perfect drafter",
}
"""The choices in their order, with their names for the user."""

LEAST_SHARE = 0.1
"""Steps that the K whose drafts are looked at must have, as a share of those at the K that has most."""

MOST_NAMED = 8
"""Categories that are named with their K."""


@dataclass(frozen=True, slots=True)
class _Lane:
    """What the estimates are made of.

    Attributes:
        k: The K whose drafts are looked at.
        k_top: The largest K that was recorded.
        k_now: The K that others are compared with.
        accepted: By step at that K, how many drafted tokens were accepted.
        category: By the same steps, the place of its category in ``names``.
        names: The categories.
        costs: The time of a step at each K up to ``k``.
    """

    k: int
    k_top: int
    k_now: int
    accepted: NDArray[np.int64]
    category: NDArray[np.int64]
    names: tuple[str, ...]
    costs: Costs


def headroom(
    lane: str,
    rows: Rows,
    category: NDArray[np.int64],
    names: Sequence[str],
    ar: Rows | None = None,
    *,
    automatic: bool = False,
    k: int | None = None,
) -> Headroom:
    """Estimate what better choices would give.

    Args:
        lane: The lane's name.
        rows: Its steps in order; see `costs.Rows`.
        category: By step, the place of its category in ``names``.
        names: The categories; none for the requests of a server.
        ar: The steps of the AR lane; None without one.
        automatic: Whether the lane chose its K after every step.
        k: The K that others are compared with; None for that of most steps, which then stand for all.
    """
    kept = rows["index"] > 0
    rows, category = rows[kept], np.asarray(category)[kept].astype(np.int64)
    now = request_tok_s(rows if k is None or automatic else rows[rows["k"] == k])
    plain = None if ar is None else request_tok_s(ar)
    found, why = _lane(rows, category, tuple(names), ar, k)
    if found is None:
        return Headroom(
            lane,
            (_choice("now", now, "", plain), *(_missing(key, why) for key in TITLES if key != "now")),
            None,
            why,
            "",
        )
    why = _why_not(found, automatic)
    choices = [_choice("now", now, "K=auto" if automatic else f"K={found.k_now}", plain)]
    for key, made in _MADE.items():
        missing = NO_CATEGORIES if key == "category" and not names else why
        choices.append(_missing(key, missing) if missing else _choice(key, *made(found), plain))
    choices.append(_choice("perfect", *_perfect(found), plain))
    best, sentence = work_on(found.accepted, found.k_now, found.costs, fixed=None if why else _best_fixed(found))
    return Headroom(lane, tuple(choices), best, sentence, _formula(found))


def _choice(key: str, tok_s: float | None, detail: str, plain: float | None) -> Choice:
    return Choice(key, TITLES[key], tok_s, None if tok_s is None or plain is None else tok_s / plain, detail)


def _missing(key: str, why: str) -> Choice:
    return Choice(key, TITLES[key], None, None, missing=why)


def _lane(
    rows: Rows, category: NDArray[np.int64], names: tuple[str, ...], ar: Rows | None, compared: int | None
) -> tuple[_Lane | None, str]:
    """What the estimates are made of; None, and a sentence that says why, if they cannot be made."""
    ks, counts = np.unique(rows["k"][rows["k"] > 0], return_counts=True)
    enough = counts >= max(LEAST, LEAST_SHARE * counts.max()) if len(ks) else np.array([], dtype=bool)
    if not enough.any():
        return None, f"Fewer than {LEAST} steps could draft: {RECORD_LONGER}."
    if not (rows["drafted"] > 0).any():
        return None, "Nothing was drafted, so there is nothing to estimate from."
    k = int(ks[enough].max())
    at = rows["k"] >= k
    accepted = np.minimum(rows["accepted"][at].astype(np.int64), k)
    now = int(ks[np.argmax(counts)]) if compared is None else compared
    costs = costs_of(rows, max(k, now), ar)
    now = min(now, k)
    if not np.isfinite(costs.times[now]):
        return None, "The step times are too uneven to estimate from: record on a machine with nothing else running."
    return _Lane(k, int(ks.max()), now, accepted, category[at], names, replace(costs, times=costs.times[: k + 1])), ""


def _why_not(lane: _Lane, automatic: bool) -> str:
    """Why other K cannot be estimated; empty if they can."""
    if automatic:
        return "K was automatic, so long drafts were made where the text is easy: record the lane at a fixed K."
    if not np.isfinite(lane.costs.times).all():
        ks = ", ".join(map(str, lane.costs.measured))
        # A server has no AR lane beside it.
        another = "an AR lane beside it, or a second K (+ -)" if lane.names else "the server at a second K too (+ -)"
        return f"The times of K = {ks} do not carry to every other K: record {another}."
    return ""


def _best_fixed(lane: _Lane) -> tuple[float, int]:
    """The best K for all steps together."""
    tokens, steps = grouped(lane.accepted, np.zeros_like(lane.accepted), 1, lane.k)
    rate, chosen = best_choices(tokens, steps, lane.costs.times)
    return rate, int(chosen[0])


def _fixed(lane: _Lane) -> tuple[float, str]:
    """The same, with the K in words."""
    rate, k = _best_fixed(lane)
    return rate, _named(lane, k)


def _named(lane: _Lane, k: int) -> str:
    """A K; the largest one is told to be that, since a larger one might be better still."""
    if k < lane.k:
        return f"K={k}"
    return f"K={k}, largest {'recorded' if lane.k == lane.k_top else 'with enough steps'}"


def _category(lane: _Lane) -> tuple[float, str]:
    """The best K of each category."""
    tokens, steps = grouped(lane.accepted, lane.category, len(lane.names), lane.k)
    rate, chosen = best_choices(tokens, steps, lane.costs.times)
    there = [place for place in range(len(lane.names)) if steps[place]]
    told = [f"{lane.names[place]} K={chosen[place]}" for place in there[:MOST_NAMED]]
    more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    return rate, ", ".join(told) + more


def _oracle(lane: _Lane) -> tuple[float, str]:
    """The best K of each step, whose accepted length is known beforehand: the limit of any adaptive K."""
    tokens, steps = grouped(lane.accepted, lane.accepted, lane.k + 1, lane.k)
    rate, chosen = best_choices(tokens, steps, lane.costs.times)
    mean = float((chosen * steps).sum() / steps.sum())
    return rate, f"K=0 to {int(chosen[steps > 0].max())}, {mean:.1f} on average"


def _bandit(lane: _Lane) -> tuple[float, str]:
    """The policy of ``k=auto`` on the same steps."""
    found = replay(lane.accepted, lane.costs.times, lane.k_now)
    part = f", on {found.steps:,} of {len(lane.accepted):,} steps" if found.steps < len(lane.accepted) else ""
    return found.tok_s, f"K {found.mean_k:.1f} on average{part}"


def _perfect(lane: _Lane) -> tuple[float, str]:
    """Every drafted token accepted at the same cost."""
    rates = (np.arange(lane.k + 1) + 1) / lane.costs.times
    k = int(np.argmax(rates))
    return float(rates[k]), _named(lane, k)


def _formula(lane: _Lane) -> str:
    """The cost model with its numbers put in, at the K of most steps."""
    times, k = lane.costs.times, lane.k_now
    shares = [float((lane.accepted >= place).mean()) for place in range(1, k + 1)]
    tokens = 1 + sum(shares)
    shown = [one for one in dict.fromkeys((0, 1, k, lane.k)) if np.isfinite(times[one])]
    spelt = ", ".join(f"t({one}) = {times[one] * 1e3:.1f} ms" for one in shown)
    summed = " + ".join(["1", *(f"{share:.2f}" for share in shares[:5]), *(["..."] if k > 5 else [])])
    taken = ", if a step without drafts takes as long as AR's" if lane.costs.assumed else ""
    return (
        f"est. tok/s = tokens(K) / t(K), {spelt}{taken}; "
        f"tokens({k}) = {summed} = {tokens:.2f}, so {tokens / times[k]:.1f} tok/s at K = {k}"
    )


_MADE: Final[dict[str, Callable[[_Lane], tuple[float, str]]]] = {
    "fixed": _fixed,
    "category": _category,
    "oracle": _oracle,
    "bandit": _bandit,
}
