"""What stretches of hard text do to the comparison of some tokens with others.

Tokens of one stretch are alike, so tokens that stand together, such as the first 128 of the answers, differ from the
others by chance more than single tokens would: `widening` says by how much.

Tokens after a refusal differ for more than chance. Hard text comes in stretches, and a refusal is likely in one, so
the tokens after it are harder even for a drafter that refusals do nothing to. Reading an answer backwards does not tell
the two apart: in any stationary series of rights and wrongs, as many wrongs come within some distance after a wrong as
before one. What does is that stretches belong to the text: it stays hard whether or not a token of it is refused.

So the verdicts are taken as those of a hidden Markov model (Rabiner 1989, "A tutorial on hidden Markov models and
selected applications in speech recognition"), whose state is how hard the text is just there, beside the position in
the draft. It is fitted twice by expectation maximisation, with an effect of the tokens in question and without; twice
the difference of the log-likelihoods is chi-square with one degree of freedom if there is none (Wilks 1938).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.tables import correlation

BLOCK = 64
"""Tokens of an answer that are taken as alike."""

LENGTH = 64
"""Tokens of a piece; each begins anew, so that they can be computed side by side."""

MOST_PIECES = 500
"""Pieces that are looked at; more make a certain effect no surer."""

ROUNDS = 250
"""Rounds of expectation maximisation at most."""

_ANSWERS, _TEXT = (0.7, 0.0, -0.7), (0.7, -0.7)
"""Where the logits of the states begin, relative to the mean: a piece keeps one of the first through all stretches."""

_STAYS = (0.97, 0.8)
"""Chances of staying in a stretch that fits begin with; the better fit counts."""

_RIDGE = 1e-3

_Numbers = NDArray[np.float64]
_Whole = NDArray[np.integer]
_Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Beyond:
    """What an effect adds to stretches.

    Attributes:
        statistic: Twice the gain in log-likelihood, 0 if the tokens are easier.
        difference: By how much acceptance is lower for it.
    """

    statistic: float
    difference: float


@dataclass(frozen=True)
class _Pieces:
    """Pieces of answers: by token and piece, its cell (position, and whether it is in question), and its verdict."""

    cell: NDArray[np.int64]
    judged: _Flags
    right: _Flags
    positions: int


@dataclass
class _Model:
    """The logit of a state at a position is their sum, less ``harm`` for the tokens in question."""

    stay: _Numbers
    begin: _Numbers
    state: _Numbers
    position: _Numbers
    harm: float

    def chances(self) -> _Numbers:
        """By state and cell, the chance that a token is accepted."""
        logit = self.state[:, None, None] + self.position[None, :, None] - self.harm * np.arange(2.0)
        chances: _Numbers = 1 / (1 + np.exp(-np.clip(logit.reshape(len(self.state), -1), -30, 30)))
        return chances


def widening(
    cluster: _Whole,
    request: _Whole,
    at: _Whole,
    position: _Whole,
    right: _Flags,
    inside: _Flags,
    *,
    ordered: bool,
) -> float:
    """By how much the design effect of a comparison is larger, at least 1, if tokens of a stretch are what is alike
    instead of those of whole answers.

    Args:
        cluster: By judged place, what is taken as alike elsewhere: the answers to its prompt.
        request: Its answer.
        at: Tokens of the answer before it.
        position: Its position in the draft.
        right: Whether it was accepted.
        inside: Whether it is in question; it is compared with the others at its position.
        ordered: Whether those in question stand together, so that a stretch lies on one side and its neighbour on the
            other.
    """
    key = position.astype(np.int64) * 2 + inside
    count, accepted = np.bincount(key), np.bincount(key, right)
    fitted = (accepted / np.maximum(count, 1))[key]
    spread = np.sqrt(fitted * (1 - fitted))
    away = (inside - (np.bincount(position, inside) / np.maximum(np.bincount(position), 1))[position]) * spread
    alone = float((away**2).sum())
    if not alone:
        return 1.0

    def effect(alike: _Whole) -> float:
        number = np.unique(alike, return_inverse=True)[1]
        correlated = correlation(number, np.ones(len(number)), right.astype(np.float64), fitted, 2)
        return max(1.0, 1.0 + correlated * (float((np.bincount(number, away) ** 2).sum()) / alone - 1.0))

    block = request.astype(np.int64) << 32 | at // BLOCK * 2
    return max(1.0, effect(block | inside if ordered else block) / effect(cluster))


def beyond_stretches(request: _Whole, at: _Whole, position: _Whole, right: _Flags, near: _Flags) -> Beyond:
    """What being ``near`` a refusal adds.

    Args:
        request: By judged place, its answer; ordered by it, and then by ``at``.
        at: Tokens of the answer before it.
        position: Its position in the draft.
        right: Whether it was accepted.
        near: Whether it is in question.
    """
    pieces = _pieces(request, at, position, right, near)
    plain = _best(pieces, [_start(pieces, stays) for stays in _STAYS], harms=False)
    starts = [plain[1]] + [_start(pieces, stays, harm=1.0) for stays in _STAYS]
    with_it, harmed = _best(pieces, starts, harms=True)
    # The likelihood has many tops, and a fit that missed the highest must not speak for an effect.
    without = max(plain[0], _fitted(pieces, replace(harmed, harm=0.0), harms=False)[0])
    if harmed.harm <= 0:
        return Beyond(0.0, 0.0)
    return Beyond(max(0.0, 2 * (with_it - without)), _difference(pieces, harmed))


def _pieces(request: _Whole, at: _Whole, position: _Whole, right: _Flags, near: _Flags) -> _Pieces:
    key = request.astype(np.int64) << 32 | at // LENGTH
    keys, piece = np.unique(key, return_inverse=True)
    if len(keys) > MOST_PIECES:
        chosen = np.linspace(0, len(keys) - 1, MOST_PIECES).astype(np.int64)
        number = np.full(len(keys), -1)
        number[chosen] = np.arange(MOST_PIECES)
        piece = number[piece]
    kept = piece >= 0
    shape = LENGTH, int(piece.max()) + 1
    where = (at % LENGTH)[kept], piece[kept]
    cell, judged, accepted = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    cell[where], judged[where], accepted[where] = (position.astype(np.int64) * 2 + near)[kept], True, right[kept]
    return _Pieces(cell, judged, accepted, int(position.max()) + 1)


def _start(pieces: _Pieces, stays: float, harm: float = 0.0) -> _Model:
    many = len(_ANSWERS) * len(_TEXT)
    stay = np.kron(np.eye(len(_ANSWERS)), [[stays, 1 - stays], [1 - stays, stays]]).astype(np.float64)
    mean = float(np.clip(pieces.right[pieces.judged].mean(), 0.01, 0.99))
    state = np.add.outer(_ANSWERS, _TEXT).ravel() * (0.5 if harm else 1.0) + np.log(mean / (1 - mean)) + harm / 2
    return _Model(stay, np.full(many, 1 / many), state, np.zeros(pieces.positions), harm)


def _best(pieces: _Pieces, starts: Sequence[_Model], *, harms: bool) -> tuple[float, _Model]:
    return max((_fitted(pieces, start, harms=harms) for start in starts), key=lambda fit: fit[0])


def _fitted(pieces: _Pieces, start: _Model, *, harms: bool) -> tuple[float, _Model]:
    """The log-likelihood and the model after some rounds."""
    model = _Model(start.stay, start.begin, start.state.copy(), start.position.copy(), start.harm)
    likelihood = -np.inf
    bins = (pieces.cell * 2 + pieces.right)[pieces.judged]
    many = pieces.positions * 4
    for _ in range(ROUNDS):
        before = likelihood
        likelihood, of_state, moves = _expected(pieces, model)
        if likelihood - before < 0.01:
            break
        counts = np.array([np.bincount(bins, weights, many) for weights in of_state[pieces.judged].T]).reshape(
            len(model.state), pieces.positions * 2, 2
        )
        begin = of_state[0].sum(axis=0) + 1
        model.begin = begin / begin.sum()
        moves += 0.5 * (model.stay > 0)
        model.stay = moves / moves.sum(axis=1, keepdims=True)
        _refit(model, counts, harms=harms)
    return likelihood, model


def _expected(pieces: _Pieces, model: _Model) -> tuple[float, _Numbers, _Numbers]:
    """The log-likelihood; by token, piece and state how likely the state is; how often each state follows each."""
    chances = model.chances().T[pieces.cell]
    seen = np.where(pieces.right[..., None], chances, 1 - chances)
    seen[~pieces.judged] = 1.0
    forward = np.empty_like(seen)
    scale = np.empty(seen.shape[:2])
    now = np.broadcast_to(model.begin, seen.shape[1:])
    for place in range(len(seen)):
        now = (now @ model.stay if place else now) * seen[place]
        scale[place] = now.sum(axis=1)
        now = now / scale[place][:, None]
        forward[place] = now
    scaled = seen / scale[..., None]
    behind = np.empty_like(seen)
    behind[-1] = 1.0
    for place in range(len(seen) - 1, 0, -1):
        scaled[place] *= behind[place]
        behind[place - 1] = scaled[place] @ model.stay.T
    many = len(model.state)
    moves = model.stay * (forward[:-1].reshape(-1, many).T @ scaled[1:].reshape(-1, many))
    return float(np.log(scale).sum()), forward * behind, moves


def _refit(model: _Model, counts: _Numbers, *, harms: bool) -> None:
    """Two of Newton's steps of the logistic regression of verdicts on state, position and being in question."""
    states, positions = len(model.state), len(model.position)
    state, cell = np.divmod(np.arange(states * positions * 2), positions * 2)
    columns = [np.eye(states)[state], np.eye(positions)[cell // 2]]
    if harms:
        columns.append(-(cell % 2)[:, None].astype(np.float64))
    design = np.hstack(columns)
    values = np.concatenate((model.state, model.position, [model.harm] if harms else []))
    count = counts.sum(axis=2).ravel()
    right = counts[..., 1].ravel()
    for _ in range(2):
        chance = 1 / (1 + np.exp(-np.clip(design @ values, -30, 30)))
        slope = design.T @ (right - count * chance) - _RIDGE * values
        curve = (design * (count * chance * (1 - chance))[:, None]).T @ design + _RIDGE * np.eye(len(values))
        values = values + np.clip(np.linalg.solve(curve, slope), -1, 1)
    model.state, model.position = values[:states], values[states : states + positions]
    model.harm = float(values[-1]) if harms else 0.0


def _difference(pieces: _Pieces, model: _Model) -> float:
    """How much less the tokens in question are accepted than they would be without the effect."""
    _, of_state, _ = _expected(pieces, model)
    near = pieces.judged & (pieces.cell % 2 == 1)
    chances = model.chances()
    without, with_it = chances[:, pieces.cell[near] - 1].T, chances[:, pieces.cell[near]].T
    return float((of_state[near] * (without - with_it)).sum() / near.sum())
