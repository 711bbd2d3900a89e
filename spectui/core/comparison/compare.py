"""Compares two traces.

Every figure is one more chance of a false alarm, so a change counts only if it does among all of them
(`spectui.core.bench.holm`); the intervals are the usual 95 % ones of each figure alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

from spectui.core.analysis.kind_names import ORDER
from spectui.core.bench.differing import LEVEL
from spectui.core.bench.holm import holm
from spectui.core.comparison.answers import Answer, Recorded
from spectui.core.comparison.change import LEAST_CONVERSATIONS, Effect, Pair, effect
from spectui.core.comparison.conditions import changed_conditions, untimed
from spectui.core.comparison.measures import SPEEDUP, WHOLE, Measure, at_position, of_kind
from spectui.core.comparison.pairing import lane_pairs, matched
from spectui.core.comparison.results import By, Change, Comparison, LanePair
from spectui.core.disturbance import DOUBTFUL
from spectui.errors import RunError
from spectui.protocol.events import LaneInfo, RunStarted

_OF_CATEGORIES = tuple(one for one in WHOLE if one.name in ("acceptance_length", "speedup", "step_ms"))


@dataclass(frozen=True, slots=True)
class _Both:
    """Two answers to the same prompt, with AR's in each trace."""

    a: Answer
    b: Answer
    plain_a: Answer | None
    plain_b: Answer | None

    @property
    def quiet(self) -> bool:
        """Whether nothing else disturbed the lanes much."""
        return all(one.disturbed_ns <= DOUBTFUL * one.time_ns for one in (self.a, self.b))

    @property
    def quiet_plain(self) -> bool:
        plain = [one for one in (self.plain_a, self.plain_b) if one is not None]
        return all(one.disturbed_ns <= DOUBTFUL * one.time_ns for one in plain)


@dataclass(frozen=True, slots=True)
class _Lane:
    """What is compared of a pair of lanes."""

    one: LaneInfo
    other: LaneInfo
    both: tuple[_Both, ...]
    same_k: bool
    times: bool
    speedup: bool
    left_out: tuple[str, ...]
    k: str


def compare(a: Recorded, b: Recorded, named: Sequence[tuple[str, str]] = ()) -> Comparison:
    """Compare two traces; ``named`` lanes of A and B belong together.

    Raises:
        UsageError: A trace has no lane of such a name.
        RunError: Nothing can be compared; the message says why.
    """
    run_a, run_b = _run(a, "A"), _run(b, "B")
    if run_a.target != run_b.target:
        raise RunError(
            f"A raced {run_a.target}, B {run_b.target}: acceptance can be compared on the same target only; record "
            "both on it"
        )
    infos = lane_pairs(run_a, run_b, named)
    if not infos:
        raise RunError(
            f"no lane of A ({', '.join(lane.name for lane in run_a.lanes)}) has the name of one of B "
            f"({', '.join(lane.name for lane in run_b.lanes)}): name two with --lane A=B"
        )
    conditions = changed_conditions(a, b, (run_a, run_b), infos)
    lanes = [_lane(a, b, one, other, untimed(conditions, one.name)) for one, other in infos]
    if not any(lane.both for lane in lanes):
        why = next((sentence for lane in lanes for sentence in lane.left_out), "neither has a finished one")
        raise RunError(f"A and B have no answer in common ({why}): record both with the same prompts and sampling")
    changes = [list(_changes(lane)) for lane in lanes]
    adjusted = iter(holm([change.p for own in changes for change in own]))
    judged = [
        tuple(
            replace(change, p=p, changed=p is not None and p <= LEVEL) for change, p in zip(own, adjusted, strict=False)
        )
        for own in changes
    ]
    found = tuple(_pair(lane, own) for lane, own in zip(lanes, judged, strict=True))
    return Comparison(
        lanes=found,
        conditions=conditions,
        notes=tuple(_notes(infos, found)),
        comparisons=sum(change.p is not None for own in judged for change in own),
        level=LEVEL,
    )


def whole_effect(
    a: Recorded, b: Recorded, measure: Measure, named: Sequence[tuple[str, str]]
) -> dict[str, Effect | str]:
    """The ratio of a figure of all answers, for every pair of drafting lanes by name; a sentence where it is not known.

    Raises:
        UsageError, RunError: As in `compare`.
    """
    run_a, run_b = _run(a, "A"), _run(b, "B")
    infos = [(one, other) for one, other in lane_pairs(run_a, run_b, named) if one.k_max and other.k_max]
    conditions = changed_conditions(a, b, (run_a, run_b), infos)
    found: dict[str, Effect | str] = {}
    for one, other in infos:
        lane = _lane(a, b, one, other, untimed(conditions, one.name))
        ratio = effect(measure, _grouped(measure, lane), relative=True) if _has(lane, measure) else None
        known = ratio is not None and ratio.low is not None
        found[one.name] = ratio if ratio is not None and known else _unknown(lane, measure)
    return found


def _unknown(lane: _Lane, measure: Measure) -> str:
    if lane.left_out:
        return lane.left_out[0]
    return f"it needs {LEAST_CONVERSATIONS:.0f} prompts or more, with a draft in A and B, for an interval"


def _run(recorded: Recorded, name: str) -> RunStarted:
    if recorded.run is None:
        raise RunError(f"{name} does not say what raced, because its first lines are missing: record it again")
    if recorded.run.attached:
        raise RunError(
            f"{name} is of servers, whose prompts are those of their clients: two of them have no answers to compare; "
            "spectui analyze shows each by itself"
        )
    return recorded.run


def _lane(a: Recorded, b: Recorded, one: LaneInfo, other: LaneInfo, untimed: tuple[str, str]) -> _Lane:
    found = matched(a, b, one.name, other.name)
    plain_a, plain_b = _plain(a, one), _plain(b, other)
    both = tuple(_Both(x, y, plain_a.get(x.place), plain_b.get(y.place)) for x, y in found.pairs)
    left_out = [*found.left_out, *filter(None, untimed[:1] if not one.k_max else untimed)]
    same = tuple(pair for pair in both if pair.a.ks == pair.b.ks or (pair.a.automatic and pair.b.automatic))
    ks_a, ks_b = (_ks([getattr(pair, side) for pair in both]) for side in ("a", "b"))
    if both and not same:
        left_out.append(
            f"K {ks_a} in A, {ks_b} in B: only acceptance by position is compared"
            + (
                " (a drafter that drafts all tokens at once drafts others at another K)"
                if one.method == "dflash"
                else ""
            )
        )
    elif len(same) < len(both):
        left_out.append(f"{len(both) - len(same)} answers left out: their K was not the same in A and B")
        both = same
    disturbed = sum(not pair.quiet for pair in both)
    if disturbed:
        left_out.append(f"times of {disturbed} of {len(both)} answers left out: something else disturbed them")
    return _Lane(
        one, other, both, bool(same), not untimed[0], not untimed[1], tuple(left_out), ks_a if one.k_max else ""
    )


def _plain(recorded: Recorded, lane: LaneInfo) -> dict[tuple[int, int], Answer]:
    """AR's whole answers by their place, for any other lane."""
    name = next((one.name for one in recorded.run.lanes if one.method == "ar"), None) if recorded.run else None
    if name is None or name == lane.name:
        return {}
    return {answer.place: answer for answer in recorded.answers if answer.lane == name and answer.whole}


def _ks(answers: Sequence[Answer]) -> str:
    ks = sorted(set().union(*(answer.ks for answer in answers))) if answers else []
    return "" if not ks else str(ks[0]) if len(ks) == 1 else f"{ks[0]} to {ks[-1]}"


def _has(lane: _Lane, measure: Measure) -> bool:
    """Whether the pair of lanes can be compared in a figure of whole answers."""
    return lane.same_k and (lane.speedup if measure is SPEEDUP else lane.times or not measure.timed)


def _changes(lane: _Lane) -> Iterator[Change]:
    def change(measure: Measure, by: By, name: str = "") -> Iterator[Change]:
        found = effect(measure, _grouped(measure, lane, name if by == "category" else None))
        if found is not None:
            yield Change(
                measure.name, by, name, found.a, found.b, measure.relative, found.change, found.low, found.high, found.p
            )

    for measure in WHOLE:
        if _has(lane, measure):
            yield from change(measure, "all")
    categories = list(dict.fromkeys(pair.a.prompt.category for pair in lane.both))
    for category in categories if len(categories) > 1 else ():
        for measure in _OF_CATEGORIES:
            if _has(lane, measure):
                yield from change(measure, "category", category)
    if lane.same_k:
        known = {kind for pair in lane.both for kind in (*pair.a.kinds, *pair.b.kinds)}
        for kind in filter(known.__contains__, ORDER):
            yield from change(of_kind(kind), "kind", kind)
    longest = max((drafted for pair in lane.both for drafted, _ in (*pair.a.shapes, *pair.b.shapes)), default=0)
    for position in range(1, longest + 1):
        yield from change(at_position(position), "position", str(position))


def _grouped(measure: Measure, lane: _Lane, category: str | None = None) -> dict[Hashable, list[Pair]]:
    """The sums of every pair of answers that has the figure, by conversation.

    Shares are taken of all tokens, so an answer without a token of a kind in one trace still counts in the other; a
    time that one of them lacks is no time.
    """
    groups: dict[Hashable, list[Pair]] = {}
    for pair in lane.both:
        if category is not None and pair.a.prompt.category != category:
            continue
        if measure.timed and not (pair.quiet and (pair.quiet_plain or measure is not SPEEDUP)):
            continue
        a, b = measure.of(pair.a, pair.plain_a), measure.of(pair.b, pair.plain_b)
        if measure.timed and (a is None or b is None):
            continue
        zero = tuple(0.0 for _ in a or b or ())
        if a is not None or b is not None:
            groups.setdefault(pair.a.conversation, []).append((a or zero, b or zero))
    return groups


def _pair(lane: _Lane, changes: tuple[Change, ...]) -> LanePair:
    return LanePair(
        a=lane.one.name,
        b=lane.other.name,
        title=lane.one.title,
        answers=len(lane.both),
        same=sum(pair.a.ids == pair.b.ids for pair in lane.both),
        conversations=len({pair.a.conversation for pair in lane.both}),
        k=lane.k,
        changes=changes,
        left_out=lane.left_out,
    )


def _notes(infos: Sequence[tuple[LaneInfo, LaneInfo]], lanes: Sequence[LanePair]) -> Iterator[str]:
    drafting = {one.name for one, _ in infos if one.k_max}
    if any(change.changed for lane in lanes if lane.a not in drafting for change in lane.changes):
        yield "AR changed too, and it drafts nothing: the machine or engine changed. Judge drafting by the speed-ups."
    few = [lane.name for lane in lanes if 0 < lane.conversations < LEAST_CONVERSATIONS]
    if few:
        yield (
            f"{', '.join(few)}: too few different prompts to test any change; record {LEAST_CONVERSATIONS:.0f} or more "
            "(the turns of a conversation count as one)"
        )
