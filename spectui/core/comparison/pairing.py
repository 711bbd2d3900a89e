"""Which lane of A is compared with which lane of B, and which answers of theirs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spectui.core.comparison.answers import Answer, PromptKey, Recorded
from spectui.errors import UsageError, did_you_mean
from spectui.protocol.events import LaneInfo, RunStarted, Sampling


def lane_pairs(a: RunStarted, b: RunStarted, named: Sequence[tuple[str, str]]) -> list[tuple[LaneInfo, LaneInfo]]:
    """Lanes to compare: those that were ``named``, those of the same name, the first AR lanes, and the only drafting
    lane of each trace where nothing else drafts in both.

    Raises:
        UsageError: A trace has no lane of a name.
    """
    ours, theirs = ({lane.name: lane for lane in run.lanes} for run in (a, b))
    for one, other in named:
        for name, lanes, trace in ((one, ours, "A"), (other, theirs, "B")):
            if name not in lanes:
                hint = did_you_mean(name, lanes) or f": {trace} has {', '.join(lanes)}"
                raise UsageError(f"--lane {one}={other}: {trace} has no lane '{name}'{hint}")
    taken = [(ours[one], theirs[other]) for one, other in named]
    pairs = list(taken)
    for name, lane in ours.items():
        if name in theirs and all(lane is not one and theirs[name] is not other for one, other in taken):
            pairs.append((lane, theirs[name]))
    if not any(one.k_max and other.k_max for one, other in pairs):
        drafting = [[lane for lane in lanes.values() if lane.k_max] for lanes in (ours, theirs)]
        if all(len(lanes) == 1 for lanes in drafting):
            pairs.append((drafting[0][0], drafting[1][0]))
    plain = [next((lane for lane in run.lanes if lane.method == "ar"), None) for run in (a, b)]
    if plain[0] and plain[1] and all(plain[0] is not one and plain[1] is not other for one, other in pairs):
        pairs.append((plain[0], plain[1]))
    order = list(ours)
    return sorted(pairs, key=lambda pair: order.index(pair[0].name))


@dataclass(frozen=True, slots=True)
class Matched:
    """The answers of a pair of lanes.

    Attributes:
        pairs: Whole answers to the same prompt, sampled in the same way.
        left_out: Why there are not more, a sentence each.
    """

    pairs: tuple[tuple[Answer, Answer], ...]
    left_out: tuple[str, ...]


def matched(a: Recorded, b: Recorded, lane_a: str, lane_b: str) -> Matched:
    """Pair the answers of two lanes: the first to a prompt in A with the first to it in B, the second with the
    second."""
    ours = _whole(a, lane_a)
    waiting: dict[PromptKey, dict[Sampling, deque[Answer]]] = {}
    for answer in _whole(b, lane_b):
        waiting.setdefault(answer.key, {}).setdefault(answer.sampling, deque()).append(answer)
    pairs: list[tuple[Answer, Answer]] = []
    sampled: Counter[tuple[Sampling, Sampling]] = Counter()
    other_ids = 0
    for answer in ours:
        others = waiting.get(answer.key, {})
        alike = others.get(answer.sampling)
        if alike is None and others:
            sampled[answer.sampling, next(iter(others))] += 1
        elif alike and not answer.prompt.asked and _differ(answer, alike[0]):
            other_ids += 1
        elif alike:
            pairs.append((answer, alike.popleft()))
    return Matched(tuple(pairs), tuple(_reasons(a, b, (lane_a, lane_b), len(pairs), sampled, other_ids)))


def _whole(recorded: Recorded, lane: str) -> list[Answer]:
    return [answer for answer in recorded.answers if answer.lane == lane and answer.whole]


def _differ(one: Answer, other: Answer) -> bool:
    return bool(one.prompt_ids and other.prompt_ids) and one.prompt_ids != other.prompt_ids


def _reasons(
    a: Recorded,
    b: Recorded,
    lanes: tuple[str, str],
    pairs: int,
    sampled: Counter[tuple[Sampling, Sampling]],
    other_ids: int,
) -> Iterator[str]:
    for (ours, theirs), count in sampled.items():
        yield f"{_answers(count)} left out: {_sampling_differs(ours, theirs)}"
    if other_ids:
        yield f"{_answers(other_ids)} left out: the prompt's text is the same, its tokens are not (a chat template?)"
    for name, recorded, lane in (("A", a, lanes[0]), ("B", b, lanes[1])):
        own = [answer for answer in recorded.answers if answer.lane == lane]
        broken = sum(not answer.whole for answer in own)
        if broken:
            yield f"{_answers(broken)} of {name} left out: stopped before the end, or steps are missing"
        alone = len(own) - broken - pairs - sum(sampled.values()) - other_ids
        if alone > 0:
            yield f"{_answers(alone)} left out: only {name} has them"


def _answers(count: int) -> str:
    return f"{count:,} answer{'s' * (count != 1)}"


def _sampling_differs(ours: Sampling, theirs: Sampling) -> str:
    """``temperature 0 in A, 0.7 in B``."""
    said = []
    for name in ("temperature", "top_p", "top_k", "max_tokens", "ignore_eos", "stop", "json_schema"):
        one, other = getattr(ours, name), getattr(theirs, name)
        if one != other:
            shown = [f"{value:g}" if isinstance(value, float) else _short(value) for value in (one, other)]
            said.append(f"{name.replace('_', ' ')} {shown[0]} in A, {shown[1]} in B")
    return "; ".join(said)


def _short(value: object) -> str:
    match value:
        case None | () | "":
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple():
            value = ", ".join(map(str, value))
    text = str(value)
    return text if len(text) <= 24 else text[:23] + "…"
