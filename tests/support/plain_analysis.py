"""The figures of an analysis once more, with plain loops over events: what the arrays must agree with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from spectui.core.analysis.kinds import NAMES, Kind, kind_of
from spectui.protocol import events as ev


@dataclass
class PlainPlace:
    """A judged token; None where something is not known."""

    right: bool
    drafted: int
    wanted: int | None
    position: int
    lost: int
    lost_k: int
    prompt: tuple[int, int]
    at: int | None
    step: int
    values: dict[str, str] = field(default_factory=dict)


@dataclass
class _Request:
    key: tuple[int, int]
    category: str
    prompt_tokens: int
    prompt_ids: tuple[int, ...]
    tokens: list[int] = field(default_factory=list)
    cut: list[int] = field(default_factory=list)
    unbroken: bool = True
    count: int | None = 0
    next_index: int = 0
    last_refusal: int | None = None
    from_start: bool = True
    reached: int | None = None
    previous: int | None = None


def _range(value: int, edges: Iterable[int], first: int) -> str:
    low = first
    for edge in edges:
        if value < edge:
            return f"{low:,}" if edge == low + 1 else f"{low:,} to {edge - 1:,}"
        low = edge
    return f"{low:,} and more"


def plain_places(events: Iterable[ev.TraceEvent], lane: str, texts: dict[int, str]) -> list[PlainPlace]:
    """Every judged token of a lane whose answers' starts are in the trace, in the order of the trace."""
    requests: dict[str, _Request] = {}
    begun: ev.RoundStarted | None = None
    found: list[PlainPlace] = []
    for event in events:
        if isinstance(event, ev.RoundStarted):
            begun = event
        elif isinstance(event, ev.RequestStarted) and event.lane == lane:
            assert begun is not None
            category = begun.prompts[event.slot].category
            key = begun.round, event.slot
            requests[event.request] = _Request(key, category, event.prompt_tokens, event.prompt_ids)
        elif isinstance(event, ev.Step) and event.lane == lane:
            found += _judged(event, requests[event.request], texts)
    return found


def _judged(step: ev.Step, of: _Request, texts: dict[int, str]) -> list[PlainPlace]:
    before = step.before
    if before is None:
        before = of.count if step.index == of.next_index else None
    if before is None or of.reached != before:
        # The first step of all follows nothing either.
        of.last_refusal, of.from_start, of.unbroken = None, before == 0, before == 0
        of.tokens, of.previous = [], None
        if before == 0 and of.prompt_ids:
            of.previous = of.prompt_ids[-1]
    verified = step.emitted + step.cut
    known = [*of.prompt_ids, *of.tokens]
    places = []
    for position, drafted in enumerate(step.drafted[: step.accepted + 1]):
        right = position < step.accepted
        wanted = drafted if right else verified[position] if position < len(verified) else None
        at = None if before is None else before + position
        place = PlainPlace(
            right,
            drafted,
            wanted,
            position,
            0 if right else len(step.drafted) - step.accepted,
            0 if right else step.k - step.accepted,
            of.key,
            at,
            step.index,
        )
        previous = step.drafted[position - 1] if position else of.previous
        place.values["position"] = str(position + 1)
        place.values["category"] = of.category
        if wanted is not None:
            place.values["kind"] = NAMES[
                _kind(texts.get(wanted, ""), None if previous is None else texts.get(previous, ""))
            ]
        if at is not None:
            place.values["context"] = _range(of.prompt_tokens + at, (128 << n for n in range(13)), 0)
            if of.last_refusal is not None:
                place.values["distance"] = _range(at - of.last_refusal, (2, 3, 5, 9, 17, 33, 65), 1)
            elif of.from_start:
                place.values["distance"] = "none was refused yet"
        if of.prompt_ids and of.unbroken and at is not None and wanted is not None:
            whole = [*known, *step.drafted[:position], wanted]
            runs = [tuple(whole[n : n + 3]) for n in range(len(whole) - 2)]
            copied = len(runs) > 1 and runs[-1] in runs[:-1]
            place.values["copyable"] = "could be copied" if copied else "could not be copied"
        repeats = position > 0 and step.drafted[position - 1] == drafted
        place.values["repetition"] = f"{'repeats' if repeats else 'differs from'} the draft's last token"
        places.append(place)
    if before is not None and step.accepted < len(step.drafted):
        of.last_refusal = before + step.accepted
    of.tokens += verified
    of.previous = verified[-1] if verified else of.previous
    of.next_index = step.index + 1
    of.count = of.reached = None if before is None else before + len(step.emitted)
    if before is None:
        of.previous = None
    return places


def _kind(text: str, previous: str | None) -> Kind:
    kind = kind_of(text)
    if kind is Kind.CONTINUATION and previous and not (previous[-1].isalnum() or previous[-1] in "'\u2019_"):
        return Kind.START
    return kind


@dataclass(frozen=True)
class PlainBucket:
    """The figures of a bucket; ``expected`` as `Bucket` has it for dimensions whose others are all of the lane."""

    judged: int
    accepted: int
    lost: int
    lost_k: int
    expected: float | None


def plain_buckets(places: list[PlainPlace], key: str) -> dict[str, PlainBucket]:
    """The buckets of a dimension by name."""
    having = [place for place in places if key in place.values]
    by_name: defaultdict[str, list[PlainPlace]] = defaultdict(list)
    for place in having:
        by_name[place.values[key]].append(place)
    found = {}
    for name, own in by_name.items():
        usual, compared = 0.0, 0
        for place in own:
            others = [o.right for o in having if o.position == place.position and o.values[key] != name]
            if others:
                usual += sum(others) / len(others)
                compared += 1
        found[name] = PlainBucket(
            len(own),
            sum(place.right for place in own),
            sum(place.lost for place in own),
            sum(place.lost_k for place in own),
            usual / compared if compared else None,
        )
    return found
