"""The fold of a trace: what is kept of it, and what is not known where something is missing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.lane_columns import LaneColumns
from spectui.core.analysis.places import Places
from spectui.core.analysis.results import Dimension
from spectui.protocol import events as ev
from tests.support.planted_traces import planted
from tests.support.small_traces import TEXTS, small_trace


def lane_of(columns: Columns, name: str) -> LaneColumns:
    return next(lane for lane in columns.lanes() if lane.name == name)


@cache
def trace() -> tuple[ev.TraceEvent, ...]:
    """A trace of one lane."""
    return tuple(planted(None, 0))


def steps_of(events: Iterable[ev.TraceEvent], lane: str = "mtp") -> list[ev.Step]:
    return [event for event in events if isinstance(event, ev.Step) and event.lane == lane]


@given(st.integers(0, 2**32 - 1))
def test_columns_hold_every_step(seed: int) -> None:
    events = small_trace(seed)
    columns = Columns().add_all(events)
    assert [lane.name for lane in columns.lanes()] == ["ar", "mtp", "ngram"]
    for lane in columns.lanes():
        steps = steps_of(events, lane.name)
        assert len(lane.rows) == len(steps)
        for number, step in enumerate(steps):
            row = lane.rows[number]
            request = lane.requests[row["request"]]
            assert (request.name, request.slot) == (step.request, step.slot)
            assert (row["index"], row["k"], row["accepted"], row["wall_ns"]) == (
                step.index,
                step.k,
                step.accepted,
                step.wall_ns,
            )
            assert step.before in (None, row["before"])
            assert row["own"] == {"bonus": 1, "recovered": 0, None: -1}[step.own]
            begin = lane.drafted_start[number]
            assert tuple(lane.drafted_ids[begin : begin + row["drafted"]]) == step.drafted
            begin = lane.verified_start[number]
            assert tuple(lane.verified_ids[begin : begin + row["emitted"] + row["cut"]]) == step.emitted + step.cut
    assert columns.texts.items() <= TEXTS.items()


def test_arrays_stay_as_they_are_while_the_fold_goes_on() -> None:
    events = [*trace()]
    columns = Columns().add_all(events[:500])
    lane = lane_of(columns, "mtp")
    rows, drafted = lane.rows.copy(), lane.drafted_ids.copy()
    columns.add_all(events[500:])
    assert np.array_equal(lane.rows, rows)
    assert np.array_equal(lane.drafted_ids, drafted)
    assert not lane.rows.flags.writeable
    assert analyse(columns) == analyse(Columns().add_all(events))


def test_a_trace_without_counts_is_counted() -> None:
    """Older traces say neither where a step stands nor what the prompt was."""
    events = small_trace(3, counted=True, lossy=False)
    older = [replace(event, before=None) if isinstance(event, ev.Step) else event for event in events]
    assert analyse(Columns().add_all(older)) == analyse(Columns().add_all(events))


def test_what_follows_a_lost_step_is_not_made_up() -> None:
    events = [*trace()]
    lost = next(n for n, event in enumerate(events) if isinstance(event, ev.Step) and event.index == 40)
    step = events[lost]
    assert isinstance(step, ev.Step)
    events[lost] = ev.Gap(1)
    columns = Columns().add_all(events)
    places = Places.of(lane_of(columns, "mtp"))
    after = (places.request == 0) & (places.at >= (step.before or 0) + len(step.emitted))
    assert after.any()
    assert (places.context[after] >= 0).all()
    assert (places.copyable[after] == -1).all()
    first_refusal = np.flatnonzero(after & ~places.right)[0]
    assert (places.distance[np.flatnonzero(after)[0] : first_refusal + 1] == -1).all()
    assert places.previous[np.flatnonzero(after)[0]] == -1
    assert analyse(columns).notes == ("1 event is missing in this trace: what came after it lacks its context.",)


def test_a_recording_that_begins_in_the_middle() -> None:
    events = [*trace()]
    run, begun = events[0], next(n for n, event in enumerate(events) if isinstance(event, ev.RoundFinished))
    analysis = analyse(Columns().add_all([run, *events[40 : begun + 1]]))
    [lane] = analysis.lanes
    [category, context, copyable] = (
        dimension for dimension in lane.dimensions if dimension.key in ("category", "context", "copyable")
    )
    assert category.buckets == context.buckets == copyable.buckets == ()
    assert category.missing == "This trace begins in the middle of its answers: record from the start of a round."
    assert len(analysis.notes) == 1
    assert lane.judged > 30


def test_a_step_that_no_engine_takes_is_left_out() -> None:
    events = [*trace()]
    whole = analyse(Columns().add_all(events)).lanes[0]
    step = steps_of(events)[5]
    odd = [replace(step, drafted=(2**40,), drafted_text=("x",), accepted=0), replace(step, index=2**40)]
    analysis = analyse(Columns().add_all(events[:8] + odd + events[8:]))
    assert analysis.lanes == (whole,)
    assert analysis.notes == ("2 steps hold numbers that no engine gives, left out here.",)


def test_a_diffusion_model_drafts_nothing() -> None:
    info = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
    step = replace(steps_of(trace())[0], lane="ar", k=0, canvas=256, own=None)
    columns = Columns().add_all([ev.RunStarted("target", (info,), ev.Sampling()), step])
    assert lane_of(columns, "ar").rows["canvas"].tolist() == [256]
    assert analyse(columns).lanes == ()


def test_a_lane_that_never_drafted() -> None:
    events = [
        replace(event, drafted=(), drafted_text=(), accepted=0) if isinstance(event, ev.Step) else event
        for event in trace()
    ]
    [lane] = analyse(Columns().add_all(events)).lanes
    assert lane.sentences == ("MTP drafted nothing, so there is nothing to judge.",)
    assert {dimension.missing for dimension in lane.dimensions} == {"No drafted token was judged."}
    assert lane.lost == 0 < lane.lost_k


def inspected(step: ev.Step, own: float, drafted: float) -> ev.Inspected:
    """A step whose refused token has the probability ``drafted`` and whose own has ``own``; it had none accepted."""
    wanted = ev.Likely(step.emitted[0], "", own)
    return ev.Inspected("mtp", step.slot, step.index, (ev.TokenVerdict(step.drafted[0], "", drafted, 2, (wanted,)),))


def test_how_sure_the_target_was() -> None:
    """Every step that refused its first token is looked into: three of four were sure."""
    events: list[ev.TraceEvent] = []
    refused = 0
    for event in trace():
        events.append(event)
        if isinstance(event, ev.Step) and event.drafted and event.accepted == 0:
            events.append(inspected(event, 0.4 if refused % 4 == 0 else 0.95, 0.3))
            refused += 1
    [lane] = analyse(Columns().add_all(events)).lanes
    certainty = next(one for one in lane.dimensions if one.key == "certainty")
    assert [(bucket.name, bucket.acceptance.count) for bucket in certainty.buckets] == [
        ("30 to 60 %", (refused + 3) // 4),
        ("90 to 99 %", refused - (refused + 3) // 4),
    ]
    assert lane.sentences[1].startswith(f"In 75 % of {refused:,} refusals that were looked into, the target was sure")
    assert "certainty" not in {weakness.dimension for weakness in lane.weaknesses}


def test_the_probability_of_an_accepted_token_is_its_own() -> None:
    events = [*trace()]
    step = next(step for step in steps_of(events) if step.accepted)
    place = events.index(step)
    look = ev.Inspected("mtp", 0, step.index, (ev.TokenVerdict(step.drafted[0], "", 0.995, 1, ()),))
    certainty = dimension(Columns().add_all([*events[: place + 1], look]), "certainty")
    assert [(bucket.name, bucket.acceptance.value) for bucket in certainty.buckets] == [("99 % and above", 1.0)]


def dimension(columns: Columns, key: str) -> Dimension:
    [lane] = analyse(columns).lanes
    return next(one for one in lane.dimensions if one.key == key)


@pytest.mark.parametrize(
    ("prompt", "answer", "copied"),
    [((1, 2, 3, 9, 1, 2), 3, True), ((1, 2, 3, 9, 1, 2), 4, False), ((1, 1, 1), 1, True), ((2, 1), 1, False)],
)
def test_copyable_is_what_follows_the_last_two_tokens_elsewhere(
    prompt: tuple[int, ...], answer: int, copied: bool
) -> None:
    step = replace(
        steps_of(trace())[0],
        drafted=(7,),
        drafted_text=("7",),
        emitted=(answer,),
        text=("x",),
        own="recovered",
        k=1,
        before=0,
    )
    begun = ev.RequestStarted("mtp", step.request, 0, len(prompt), prompt_ids=prompt)
    [bucket] = dimension(Columns().add_all([begun, step]), "copyable").buckets
    assert bucket.name == ("could be copied" if copied else "could not be copied")


def test_ids_that_no_tokenizer_gives_are_no_prompt() -> None:
    step = steps_of(trace())[0]
    begun = ev.RequestStarted("mtp", step.request, 0, 2, prompt_ids=(1, 2**40))
    [lane] = Columns().add_all([begun, step]).lanes()
    assert lane.requests[0].prompt_tokens == 2
    assert len(lane.requests[0].prompt_ids) == 0


@pytest.mark.parametrize("length", [2**40, 2**31, -1])
def test_a_length_that_no_prompt_has_is_unknown(length: int) -> None:
    events = [replace(one, prompt_tokens=length) if isinstance(one, ev.RequestStarted) else one for one in trace()]
    columns = Columns().add_all(events)
    assert {request.prompt_tokens for request in lane_of(columns, "mtp").requests} == {None}
    assert dimension(columns, "context").buckets == ()


def test_another_trace_begins_anew() -> None:
    """Its first answer has the name of one before, and began before it was recorded."""
    events = [*trace()]
    step = steps_of(events)[3]
    look = ev.Inspected("mtp", 0, step.index, (ev.TokenVerdict(1, "", 0.5, 1, ()),))
    lane = lane_of(Columns().add_all([*events[:20], events[0], look, step]), "mtp")
    assert not lane.looked
    assert [(one.name, one.round, one.prompt_tokens) for one in lane.requests] == [
        (step.request, 0, lane.requests[0].prompt_tokens),
        (step.request, None, None),
    ]
    assert lane.rows["request"].tolist()[-2:] == [0, 1]


def test_rounds_of_the_same_prompt_share_its_ids() -> None:
    """A run may ask the same for days."""
    events = [one for one in small_trace(5) if isinstance(one, ev.RequestStarted | ev.RoundStarted)]
    requests = lane_of(Columns().add_all(events + events), "mtp").requests
    again = len(requests) // 2
    assert again
    for one, other in zip(requests[:again], requests[again:], strict=True):
        assert one.prompt_ids is other.prompt_ids
