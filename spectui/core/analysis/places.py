"""Every place of a draft that the target judged: what was drafted, what was wanted, and where it stood.

The places of a step are its accepted tokens and the one that was refused first. All arrays of `Places` have one entry
for each, ordered by answer and then by time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spectui.core.analysis.lane_columns import Ids, LaneColumns, starts

_Whole = NDArray[np.int32]
_Big = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """The steps of a lane, ordered by answer and then by time.

    Attributes:
        order: The row of each in `LaneColumns.rows`.
        request: Its answer.
        before: Output tokens before it; -1 if unknown.
        count: Tokens verified by it.
        opening: The first step of the unbroken run of steps that it belongs to; lost steps break a run.
        tokens: What all of them verified, one after another.
        token_start: Where the tokens of each begin.
    """

    order: _Big
    request: _Whole
    before: _Whole
    count: _Big
    opening: _Big
    tokens: Ids
    token_start: _Big

    @classmethod
    def of(cls, lane: LaneColumns) -> Steps:
        order = np.argsort(lane.rows["request"], kind="stable")
        request = lane.rows["request"][order]
        before = lane.rows["before"][order]
        follows = np.zeros(len(order), dtype=bool)
        follows[1:] = (
            (request[1:] == request[:-1])
            & (before[:-1] >= 0)
            & (before[1:] == before[:-1] + lane.rows["emitted"][order][:-1])
        )
        opening = np.maximum.accumulate(np.where(follows, 0, np.arange(len(order))))
        count = lane.verified[order]
        token_start = starts(count)
        tokens = lane.verified_ids[_spread(lane.verified_start[order], count)]
        return cls(order, request, before, count, opening, tokens, token_start)


@dataclass(frozen=True)
class Places:
    """The judged places of a lane.

    Attributes:
        step: The row of its step in `LaneColumns.rows`.
        request: Its answer.
        position: Its place in the draft, from 0.
        right: Whether the target accepted it.
        drafted: The token that was drafted; -1 if only the number of drafted tokens is known.
        wanted: The token that the target wanted; -1 if it is not known.
        previous: The token before it; -1 if that is not known.
        at: Output tokens before it; -1 if unknown.
        context: Tokens of the prompt and the answer before it; -1 if unknown.
        distance: How many tokens after the answer's last refusal it comes, 1 for the next; 0 if there was none so far,
            -1 if that is unknown.
        copyable: 1 if the two tokens before it stand earlier in prompt or answer, followed by the wanted one, which is
            what an n-gram drafter of order 2 can find; 0 if not, -1 if unknown.
        repeated: Whether the drafter drafted the same token as just before in this draft; of no use where ``drafted``
            is unknown.
        probability: The target's probability of the wanted token; NaN if it was not recorded. None if none was.
        stake: Tokens of the draft that a refusal here loses, this one included.
        stake_k: The same against K.
    """

    step: _Whole
    request: _Whole
    position: NDArray[np.uint8]
    right: NDArray[np.bool_]
    drafted: Ids
    wanted: Ids
    previous: Ids
    at: _Whole
    context: _Whole
    distance: _Whole
    copyable: NDArray[np.int8]
    repeated: NDArray[np.bool_]
    probability: NDArray[np.float32] | None
    stake: NDArray[np.int16]
    stake_k: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.step)

    @classmethod
    def of(cls, lane: LaneColumns, steps: Steps | None = None) -> Places:
        """Lay out the judged places of ``lane``."""
        steps = Steps.of(lane) if steps is None else steps
        rows = lane.rows[steps.order]
        drafted_count, accepted = rows["drafted"].astype(np.int64), rows["accepted"].astype(np.int64)
        judged = accepted + (accepted < drafted_count)
        owner = np.repeat(np.arange(len(rows), dtype=np.int32), judged)
        position = _spread(np.zeros(len(rows), dtype=np.int64), judged).astype(np.uint8)
        right = position < accepted[owner]
        at_draft = lane.drafted_start[steps.order][owner] + position
        drafted = lane.drafted_ids[at_draft]
        # All before the first place of a draft is in the output; -2 never equals an id.
        one_before = np.where(position > 0, lane.drafted_ids[at_draft - 1], -2).astype(np.int32)
        last = _last_of_prompts(lane)
        wanted, previous = _wanted(steps, accepted, owner, position, right, drafted, one_before, last)
        before = steps.before[owner]
        at = np.where(before >= 0, before + position, -1).astype(np.int32)
        prompts = np.array([-1 if r.prompt_tokens is None else r.prompt_tokens for r in lane.requests], dtype=np.int32)
        request = steps.request[owner]
        prompt = prompts[request] if len(prompts) else request
        return cls(
            step=steps.order[owner].astype(np.int32),
            request=request,
            position=position,
            right=right,
            drafted=drafted,
            wanted=wanted,
            previous=previous,
            at=at,
            context=np.where((at >= 0) & (prompt >= 0), at + prompt, -1).astype(np.int32),
            distance=_distance(steps, accepted, drafted_count, owner, at),
            copyable=_copyable(lane, steps, owner, at),
            repeated=drafted == one_before,
            probability=_probability(lane, steps, owner, position, wanted),
            stake=(drafted_count[owner] - position).astype(np.int16),
            stake_k=(rows["k"].astype(np.int16)[owner] - position).astype(np.int16),
        )

    @property
    def lost(self) -> _Big:
        """Tokens that were lost here, against the rest of the draft."""
        return np.where(self.right, 0, self.stake).astype(np.int64)

    @property
    def lost_k(self) -> _Big:
        """Tokens that were lost here, against K."""
        return np.where(self.right, 0, self.stake_k).astype(np.int64)


def _spread(first: _Big, counts: _Big) -> _Big:
    """The numbers from each first one on, so many as its count."""
    numbers: _Big = np.repeat(first - starts(counts), counts) + np.arange(int(counts.sum()))
    return numbers


def _last_of_prompts(lane: LaneColumns) -> Ids:
    return np.array([one.prompt_ids[-1] if len(one.prompt_ids) else -1 for one in lane.requests], dtype=np.int32)


def _wanted(
    steps: Steps,
    accepted: _Big,
    owner: _Whole,
    position: NDArray[np.uint8],
    right: NDArray[np.bool_],
    drafted: Ids,
    one_before: Ids,
    prompt: Ids,
) -> tuple[Ids, Ids]:
    """The token that the target wanted in each place, and the one before it."""
    if not len(owner):
        return drafted, drafted
    known = accepted < steps.count
    own = np.full(len(known), -1, dtype=np.int32)
    own[known] = steps.tokens[(steps.token_start + accepted)[known]]
    last = np.full(len(own), -1, dtype=np.int32)
    within = np.flatnonzero(steps.opening[1:] < np.arange(1, len(own))) + 1
    within = within[steps.token_start[within] > 0]
    last[within] = steps.tokens[steps.token_start[within] - 1]
    first = (steps.before == 0) & (steps.opening == np.arange(len(own)))
    last[first] = prompt[steps.request[first]]
    # What was accepted is what was verified there: it may be known although the draft is not.
    at = steps.token_start[owner] + position
    there = position < steps.count[owner]
    emitted = np.full(len(owner), -1, dtype=np.int32)
    emitted[there] = steps.tokens[at[there]]
    behind = (position > 0) & (position <= steps.count[owner])
    before = np.full(len(owner), -1, dtype=np.int32)
    before[behind] = steps.tokens[at[behind] - 1]
    return (
        np.where(right, np.where(drafted >= 0, drafted, emitted), own[owner]).astype(np.int32),
        np.where(position > 0, np.where(one_before >= 0, one_before, before), last[owner]).astype(np.int32),
    )


def _distance(steps: Steps, accepted: _Big, drafted: _Big, owner: _Whole, at: _Whole) -> _Whole:
    number = np.arange(len(accepted))
    refused = np.where(accepted < drafted, number, -1)
    last = np.full(len(accepted), -1, dtype=np.int64)
    last[1:] = np.maximum.accumulate(refused)[:-1] if len(accepted) else 0
    known = (last >= steps.opening) & (steps.before >= 0)
    place = np.where(known, steps.before[last] + accepted[last], -1)[owner]
    from_start = ((steps.before[steps.opening] == 0) & ~known)[owner]
    return np.where(place >= 0, at - place, np.where(from_start, 0, -1)).astype(np.int32)


def _copyable(lane: LaneColumns, steps: Steps, owner: _Whole, at: _Whole) -> NDArray[np.int8]:
    found = np.full(len(owner), -1, dtype=np.int8)
    number = np.arange(len(steps.order))
    opens = np.flatnonzero((steps.opening == number) & (steps.before == 0))
    ends = np.searchsorted(steps.opening, opens, side="right")
    begins, stops = np.searchsorted(owner, opens), np.searchsorted(owner, ends)
    for first, end, begin, stop in zip(*(bounds.tolist() for bounds in (opens, ends, begins, stops)), strict=True):
        prompt = lane.requests[steps.request[first]].prompt_ids
        if len(prompt) and begin < stop:
            last = steps.token_start[end - 1] + steps.count[end - 1]
            tokens = steps.tokens[steps.token_start[first] : last]
            if len(tokens) and tokens.min() < 0:
                continue
            again = _seen(np.concatenate((prompt, tokens)))
            there = at[begin:stop] + len(prompt)
            found[begin:stop] = np.where(there < len(again), again[np.minimum(there, len(again) - 1)], -1)
    return found


def _seen(ids: Ids) -> NDArray[np.int8]:
    """By place, whether its token and the two before it stand together earlier as well."""
    seen = np.zeros(len(ids), dtype=np.int8)
    if len(ids) < 4:
        return seen
    # Ranks instead of ids make a key of three exact in 64 bits, for up to two million different tokens.
    different, rank = np.unique(ids, return_inverse=True)
    key = (rank[:-2] * len(different) + rank[1:-1]) * len(different) + rank[2:]
    order = np.argsort(key, kind="stable")
    seen[order[1:] + 2] = key[order[1:]] == key[order[:-1]]
    return seen


def _probability(
    lane: LaneColumns, steps: Steps, owner: _Whole, position: NDArray[np.uint8], wanted: Ids
) -> NDArray[np.float32] | None:
    if not lane.looked:
        return None
    table = {(one.request, one.index, one.place, one.token): one.probability for one in lane.looked}
    pairs = {(one.request, one.index) for one in lane.looked}
    key = (lane.rows["request"].astype(np.int64) << 32 | lane.rows["index"])[steps.order]
    looked = np.isin(key, [request << 32 | index for request, index in pairs])
    found = np.full(len(owner), np.nan, dtype=np.float32)
    for place in np.flatnonzero(looked[owner]).tolist():
        request, index = divmod(int(key[owner[place]]), 1 << 32)
        found[place] = table.get((request, index, int(position[place]), int(wanted[place])), np.nan)
    return found
