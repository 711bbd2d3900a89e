"""The analysis of attached servers: what counts alone tell, and what they cannot."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.places import Places
from spectui.core.analysis.results import Analysis, Dimension, LaneAnalysis
from spectui.core.analysis.window import Window
from spectui.core.analysis.words import NO_CATEGORIES
from spectui.core.hard_positions import HardPosition, HardPositions
from spectui.protocol import events as ev
from spectui.protocol.steps import id_text
from tests.support.attached_run import WORDS, attached_run, counters_run

FROM_COUNTS = ("position", "context", "distance")
FROM_IDS = ("kind", "repetition")


@cache
def as_counts(known: bool) -> tuple[ev.TraceEvent, ...]:
    """The run with all of its steps counted; ``known`` is whether the ids that were verified are."""
    return tuple(_counted(event, known) if isinstance(event, ev.Step) else event for event in attached_run())


def _counted(step: ev.Step, known: bool) -> ev.CountedStep:
    names = ("lane", "request", "slot", "index", "k", "accepted", "own", "cut_reason", "batch", "wall_ns", "clock_ns")
    same = {name: getattr(step, name) for name in (*names, "draft_ns", "verify_ns", "totals", "before")}
    return ev.CountedStep(
        **same,
        drafted=len(step.drafted),
        emitted=len(step.emitted),
        cut=len(step.cut),
        ids=step.emitted + step.cut if known else (),
        text=step.text if known else (),
    )


@cache
def analysed(known: bool | None) -> Analysis:
    """The analysis; None of the run as it is."""
    return analyse(Columns().add_all(attached_run() if known is None else as_counts(known)))


def lane(known: bool | None, name: str = "e1") -> LaneAnalysis:
    return next(one for one in analysed(known).lanes if one.lane == name)


def dimension(of: LaneAnalysis, key: str) -> Dimension:
    return next(one for one in of.dimensions if one.key == key)


@pytest.mark.parametrize("known", [True, False])
def test_counts_tell_all_that_needs_no_ids(known: bool) -> None:
    whole, told = lane(None), lane(known)
    same = ("title", "requests", "steps", "drafted", "accepted", "judged", "lost", "lost_k")
    assert [getattr(told, name) for name in same] == [getattr(whole, name) for name in same]
    assert whole.title == "gpu1:5571"
    for key in FROM_COUNTS:
        assert dimension(told, key) == dimension(whole, key)
    assert analysed(known).headroom[0] == analysed(None).headroom[0]


def test_what_needs_ids_is_missing_where_they_are() -> None:
    told = lane(False)
    assert not told.confusions
    for key in (*FROM_IDS, "copyable"):
        found = dimension(told, key)
        assert not found.buckets
        assert "does not send the ids" in found.missing
    assert not any(one.dimension in FROM_IDS for one in told.weaknesses)


def test_kinds_of_what_was_verified_are_known_without_its_drafts() -> None:
    assert dimension(lane(True), "kind") == dimension(lane(None), "kind")
    assert not lane(True).confusions
    assert not dimension(lane(True), "repetition").buckets


def test_ids_without_texts_have_no_kinds() -> None:
    bare = [replace(event, text=()) if isinstance(event, ev.CountedStep) else event for event in as_counts(True)]
    found = analyse(Columns().add_all(bare)).lanes[0]
    assert not dimension(found, "kind").buckets


def test_requests_of_servers_have_no_categories_and_nothing_in_common() -> None:
    found = analysed(None)
    assert not found.agreements
    for one in found.lanes:
        assert dimension(one, "category").missing == NO_CATEGORIES
    for room in found.headroom:
        (category,) = (choice for choice in room.choices if choice.key == "category")
        assert (category.tok_s, category.missing) == (None, NO_CATEGORIES)
        assert "AR" not in " ".join(choice.missing for choice in room.choices)
        assert all(choice.times_ar is None for choice in room.choices)


def test_two_runs_of_servers_are_pooled_without_being_compared() -> None:
    columns = Columns().add_all(attached_run()).add_all(attached_run())
    assert not analyse(columns).agreements
    assert analyse(columns).lanes[0].drafted == 2 * lane(None).drafted


def test_a_plain_server_is_no_reference() -> None:
    plain = [_plain(event) for event in attached_run()]
    found = analyse(Columns().add_all(plain))
    assert [one.lane for one in found.headroom] == ["e2", "e3"]
    assert all(choice.times_ar is None for room in found.headroom for choice in room.choices)


def _plain(event: ev.TraceEvent) -> ev.TraceEvent:
    """The run with e1 as a server that does not draft."""
    if isinstance(event, ev.ServerSeen) and event.lane == "e1":
        return replace(event, info=replace(event.info, method="ar", k_max=0))
    if isinstance(event, ev.Step) and event.lane == "e1":
        return replace(event, drafted=(), accepted=0, drafted_text=(), own="bonus", k=0)
    return event


def test_counters_alone_have_nothing_to_analyse() -> None:
    found = analyse(Columns().add_all(counters_run()))
    assert not found.lanes
    assert not found.headroom
    assert found.notes == ("No step of gpu3:8000 was seen: nothing is said of it here.",)


def test_the_wanted_tokens_of_mixed_steps_are_those_of_the_output() -> None:
    """Whether a step's drafts are known or not, the tokens around each place are those that were emitted."""
    mixed = [
        _counted(event, True) if isinstance(event, ev.Step) and event.index % 2 else event for event in attached_run()
    ]
    whole, half = (
        next(one for one in Columns().add_all(events).lanes() if one.name == "e1") for events in (attached_run(), mixed)
    )
    known, told = Places.of(whole), Places.of(half)
    for name in ("wanted", "previous", "right", "at", "context", "distance"):
        assert np.array_equal(getattr(known, name), getattr(told, name)), name
    hidden = half.rows["index"][told.step] % 2 == 1
    assert (told.drafted[hidden] == -1).all()
    assert np.array_equal(told.drafted[~hidden], known.drafted[~hidden])


def test_a_window_moves_on_within_a_round_that_never_ends() -> None:
    window = Window(most=400)
    for event in attached_run():
        window.add(event)
        assert window.steps - window.dropped < 800
    assert window.dropped > 0
    found = analyse(window.columns)
    # The third server went away long before.
    assert [one.title for one in found.lanes] == ["gpu1:5571", "gpu1:5572"]
    assert sum(len(one.rows) for one in window.columns.lanes()) == window.steps - window.dropped


def test_hard_positions_skip_what_a_server_keeps() -> None:
    prompt = tuple(range(12))
    events = [
        replace(event, prompt_ids=prompt, prompt_tokens=12) if isinstance(event, ev.RequestStarted) else event
        for event in attached_run()
    ]
    given: list[HardPosition] = []
    hard = HardPositions(given.append)
    most = 0
    for event in events:
        hard.add(event)
        most = max(most, len(hard._round.requests) if hard._round else 0)
    hard.close()
    refused = [
        event
        for event in events
        if isinstance(event, ev.AnyStep) and event.accepted < min(event.drafted_count, event.emitted_count)
    ]
    assert hard.found == len(given) == sum(isinstance(event, ev.Step) for event in refused)
    assert hard.hidden == sum(isinstance(event, ev.CountedStep) for event in refused)
    assert most < 40
    one = given[0]
    assert (one.target, one.context[:12]) == ("Qwen/Qwen3-8B", prompt)
    assert one.wanted_text.strip() in WORDS


def test_an_id_that_stands_for_a_text_is_no_number_and_gives_way_to_it() -> None:
    """The vocabulary of a server is read while its first requests run."""
    events = list(attached_run())
    steps = [place for place, event in enumerate(events) if isinstance(event, ev.Step)]

    def unread(first: int) -> list[ev.TraceEvent]:
        told = list(events)
        for place in steps[:first]:
            step = events[place]
            assert isinstance(step, ev.Step)
            drafted, ids = (tuple(map(id_text, some)) for some in (step.drafted, step.emitted + step.cut))
            told[place] = replace(step, text=ids, drafted_text=drafted)
        return told

    some, none = (analyse(Columns().add_all(unread(first))) for first in (len(steps) // 2, len(steps)))
    for name in ("e1", "e2"):
        known = dimension(lane(None, name), "kind")
        partly = next(dimension(one, "kind") for one in some.lanes if one.lane == name)
        assert [(one.name, one.acceptance) for one in partly.buckets] == [
            (one.name, one.acceptance) for one in known.buckets
        ]
        assert not next(dimension(one, "kind") for one in none.lanes if one.lane == name).buckets
