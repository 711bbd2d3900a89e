"""Hard positions of a trace: what was refused, where, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from spectui.core.hard_positions import HardPosition, HardPositions
from spectui.protocol import events as ev
from tests.support.drafted_traces import AR, MTP, Making

pytestmark = pytest.mark.unit

MAKING = Making()
SECOND = replace(MTP, name="other")


def hard(events: Iterable[ev.TraceEvent], lanes: tuple[str, ...] = (), context: int = 0) -> list[HardPosition]:
    found: list[HardPosition] = []
    positions = HardPositions(found.append, lanes, context)
    for event in events:
        positions.add(event)
    positions.close()
    assert positions.found == len(found)
    return found


def refusals(events: Iterable[ev.TraceEvent]) -> list[ev.Step]:
    steps = [event for event in events if isinstance(event, ev.Step)]
    return [step for step in steps if step.accepted < len(step.drafted) and step.accepted < len(step.emitted)]


def test_every_refusal_is_one_with_all_that_came_before_it() -> None:
    events = list(MAKING.events())
    found, expected = hard(events), refusals(events)
    assert len(found) == len(expected) > 100
    prompts = {e.request: e.prompt_ids for e in events if isinstance(e, ev.RequestStarted)}
    for one, step in zip(found, expected, strict=True):
        answered = [
            token
            for e in events
            if isinstance(e, ev.Step) and (e.lane, e.request) == (step.lane, step.request) and e.index < step.index
            for token in e.emitted
        ]
        assert one.context == (*prompts[step.request], *answered)
        assert one.position == len(one.context)
        assert one.prompt_tokens == len(prompts[step.request])
        assert (one.drafted, one.accepted, one.step) == (step.drafted, step.accepted, step.index)
        assert one.wanted == step.emitted[step.accepted] != one.drafted[one.accepted]
        assert one.wanted_text == step.text[step.accepted]
        assert one.lost == len(step.drafted) - step.accepted
    assert {(one.target, one.lane) for one in found} == {("target", "mtp")}
    assert {one.category for one in found} == {"coding", "math"}
    assert [one.round for one in found] == sorted(one.round for one in found)


def test_a_long_context_is_cut_from_the_left() -> None:
    events = list(MAKING.events())
    whole, short = hard(events), hard(events, context=16)
    assert all(b.context == a.context[-16:] and b.position == a.position for a, b in zip(whole, short, strict=True))


def test_lanes_are_chosen() -> None:
    chance = {"mtp": MAKING.chance["mtp"], "other": MAKING.chance["mtp"]}
    events = list(replace(MAKING, lanes=(AR, MTP, SECOND), chance=chance).events())
    assert {one.lane for one in hard(events)} == {"mtp", "other"}
    assert {one.lane for one in hard(events, ("other",))} == {"other"}
    assert len(hard(events)) == len(hard(events, ("other",))) + len(hard(events, ("mtp",)))


def test_a_refusal_behind_the_end_is_none() -> None:
    step = next(step for step in refusals(MAKING.events()) if step.accepted)
    cut = replace(step, emitted=step.emitted[:1], cut=step.emitted[1:])
    events = [replace_step(event, step, cut) for event in MAKING.events()]
    assert not [one for one in hard(events) if (one.round, one.step) == (int(step.request[0]), step.index)]


def replace_step(event: ev.TraceEvent, old: ev.Step, new: ev.Step) -> ev.TraceEvent:
    return new if event == old else event


def test_probabilities_are_those_that_were_looked_at() -> None:
    """Steps are looked at later, and only some; a wanted token is among the likeliest or not."""
    events = list(MAKING.events())
    step = next(step for step in refusals(events) if len(step.drafted) == 3 and step.accepted == 1)
    wanted = step.emitted[1]

    def verdict(token: int, *likeliest: tuple[int, float]) -> ev.TokenVerdict:
        return ev.TokenVerdict(token, "", 0.25, 2, tuple(ev.Likely(one, "", p) for one, p in likeliest))

    places = (verdict(step.drafted[0]), verdict(step.drafted[1], (wanted, 0.5)), verdict(step.drafted[2]))
    end = next(i for i, e in enumerate(events) if isinstance(e, ev.RoundFinished) and e.round == int(step.request[0]))

    def looked(places: tuple[ev.TokenVerdict, ...]) -> HardPosition:
        inspected = ev.Inspected("mtp", 0, step.index, places)
        found = hard([*events[:end], inspected, *events[end:]])
        others = [one for one in found if one.drafted_probability != (None,) * len(one.drafted)]
        assert len(others) <= 1
        return next(one for one in found if (one.round, one.step) == (int(step.request[0]), step.index))

    assert looked(places).drafted_probability == (0.25, 0.25, 0.25)
    assert looked(places).wanted_probability == 0.5
    assert looked((places[0], verdict(step.drafted[1]))).wanted_probability is None
    assert looked((places[0], verdict(12345), places[2])).drafted_probability == (0.25, None, 0.25)
    assert looked(()).drafted_probability == (None, None, None)


def test_what_comes_after_a_missing_step_is_unknown() -> None:
    events = list(MAKING.events())
    lost = [e for e in events if not (isinstance(e, ev.Step) and (e.lane, e.request, e.index) == ("mtp", "2.0", 5))]
    found: list[HardPosition] = []
    positions = HardPositions(found.append)
    for event in lost:
        positions.add(event)
    positions.close()
    assert max(one.step for one in found if one.round == 2) < 5
    assert positions.unknown == len([s for s in refusals(events) if s.request == "2.0" and s.index > 5])
    assert len([one for one in found if one.round != 2]) == len([s for s in refusals(events) if s.request != "2.0"])


def test_without_the_ids_of_prompts_there_are_none() -> None:
    positions = HardPositions(lambda one: None)
    for event in replace(MAKING, ids=False).events():
        positions.add(event)
    positions.close()
    assert (positions.found, positions.without_ids) == (0, len(refusals(MAKING.events())))


def test_events_without_their_beginning_are_survived() -> None:
    steps = [event for event in MAKING.events() if isinstance(event, ev.Step)]
    positions = HardPositions(lambda one: None)
    for step in steps:
        positions.add(step)
    positions.close()
    assert (positions.found, positions.unknown) == (0, len(refusals(steps)))
