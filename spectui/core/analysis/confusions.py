"""The pairs of a refused token and the wanted one that cost most."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spectui.core.analysis.measured import Measured
from spectui.core.analysis.results import LEAST, Confusion, Context

MOST = 20
CONTEXTS = 3
CONTEXT_CHARS = 40
_CONTEXT_TOKENS = 40


def confusions(measured: Measured, texts: Mapping[int, str]) -> tuple[Confusion, ...]:
    """The most expensive pairs by the tokens that they lost, each with its first places."""
    places = measured.places
    known = (places.wanted >= 0) & (places.drafted >= 0)
    refused = np.flatnonzero(~places.right & known & (places.wanted != places.drafted))
    pair = places.drafted[refused].astype(np.int64) << 32 | places.wanted[refused]
    pairs, first, number, count = np.unique(pair, return_index=True, return_inverse=True, return_counts=True)
    lost = np.bincount(number, places.lost[refused], len(pairs)).astype(np.int64)
    distinct = np.bincount(number, measured.distinct[refused], len(pairs))
    # Of pairs that cost the same, the one that happened more often, then the earlier one.
    worst = np.lexsort((first, -count, -lost))[:MOST]
    found = []
    for one in worst.tolist():
        drafted, wanted = divmod(int(pairs[one]), 1 << 32)
        contexts = tuple(_context(measured, int(place), texts) for place in refused[number == one][:CONTEXTS])
        found.append(
            Confusion(
                drafted,
                wanted,
                texts.get(drafted, ""),
                texts.get(wanted, ""),
                int(count[one]),
                int(lost[one]),
                contexts,
                bool(distinct[one] >= LEAST),
            )
        )
    return tuple(found)


def _context(measured: Measured, place: int, texts: Mapping[int, str]) -> Context:
    """Where a place is, and the text before it as far as it was generated."""
    row = int(measured.places.step[place])
    request = measured.lane.requests[measured.places.request[place]]
    position = int(measured.places.position[place])
    step = measured.place_in_order[row]
    begin = int(measured.steps.token_start[measured.steps.opening[step]])
    end = int(measured.steps.token_start[step]) + position
    tokens = measured.steps.tokens[max(begin, end - _CONTEXT_TOKENS) : end].tolist()
    text = "".join(texts.get(token, "") for token in tokens)[-CONTEXT_CHARS:]
    return Context(
        text, -1 if request.round is None else request.round, request.slot, int(measured.lane.rows["index"][row])
    )
