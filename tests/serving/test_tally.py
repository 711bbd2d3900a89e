"""What a server counts of its steps, and what of it viewers are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.serving.tally import MOST_NAME, Tally, Verified, in_share
from spectui.wire.messages import MOST_PROMPT_IDS, MOST_RUNNING, Began, Ended, EngineStep, Item, KSet, Preempted, Row

HIDDEN = [-1, -1, -1]


def output(name: str, ids: Sequence[int], reason: str | None = None, stop: Any = None) -> Any:
    return SimpleNamespace(request_id=name, new_token_ids=[*ids], finish_reason=reason, stop_reason=stop)


def take(
    tally: Tally,
    sampled: Mapping[str, list[int]],
    drafts: Mapping[str, list[int]] | None = None,
    *outputs: Any,
    goes_on: bool = False,
    **others: Any,
) -> list[Item]:
    """Let a tally count a step in which each request sampled such ids, and emitted all of them unless ``outputs`` say
    something else; returns what viewers are told."""
    named = {one.request_id: one for one in outputs}
    step = Verified(
        k=3,
        wall_ns=100,
        draft_ns=others.get("draft_ns"),
        verify_ns=others.get("verify_ns"),
        place={name: at for at, name in enumerate(sampled)},
        sampled=tally.copies(sampled.values()),
        drafts=drafts or {},
        told=others.get("told"),
        ruled_out=others.get("ruled_out"),
    )
    tally.step(step, [named.get(name) or output(name, ids) for name, ids in sampled.items()], lambda name: goes_on)
    return tally.feed.take()[0]


def watched(*names: str, **settings: Any) -> Tally:
    tally = Tally(3, **settings)
    tally.feed.watched = True
    for name in names:
        tally.began(name, [7, 8, 9], 3)
    tally.feed.take()
    return tally


def rows(items: Sequence[Item]) -> list[Row]:
    (step,) = (item for item in items if isinstance(item, EngineStep))
    return step.rows


def test_a_step_of_two_requests_one_of_which_ends_in_it() -> None:
    tally = watched("a", "b")
    take(tally, {"a": [1], "b": [2]})
    # Three drafts, two of which are kept; and all of them, cut behind the first because of the limit.
    ended = output("b", [7], "length")
    items = take(tally, {"a": [4, 5, 9], "b": [7, 8, 9, 1]}, {"a": [4, 5, 6], "b": [7, 8, 9]}, ended, draft_ns=30)
    assert items == [
        EngineStep(
            k=3,
            wall_ns=100,
            clock_ns=200,
            draft_ns=30,
            verify_ns=None,
            totals=[4, 6, 2, 6, 5, 3, 0],
            rows=[
                Row(0, 1, 1, [4, 5, 6], 2, [4, 5, 9], 3, None),
                Row(1, 1, 1, [7, 8, 9], 3, [7, 8, 9, 1], 1, "length"),
            ],
        ),
        Ended(1, "length", 2),
    ]
    standing = tally.standing(5)
    assert standing.totals == [4, 6, 2, 6, 5, 3, 0]
    assert (standing.accepted_at, standing.drafted_at) == ([2, 2, 1], [2, 2, 2])
    assert (standing.clock_ns, standing.engine_steps, standing.k, standing.dropped) == (200, 2, 3, 5)
    assert (standing.draft_ns, standing.verify_ns) == (30, None)
    assert [(one.slot, one.request, one.prompt_tokens, one.emitted, one.steps) for one in standing.running] == [
        (0, "a", 3, 4, 2)
    ]


def test_without_viewers_the_sums_are_the_same_and_nothing_waits() -> None:
    seen, unseen = watched("a", "b"), watched("a", "b")
    unseen.feed.watched = False
    for tally in (seen, unseen):
        take(tally, {"a": [4, 5, 9], "b": [7, 8]}, {"a": [4, 5, 6], "b": [7, 9]}, verify_ns=70)
        tally.preempted("a")
        tally.ended("a", "abort")
        tally.set_k(1)
        tally.began("c", [1], 1)
    assert len(seen.feed.take()[0]) == 4
    assert unseen.feed.take()[0] == []
    ours, theirs = seen.standing(0), unseen.standing(0)
    assert ours.running[1].started_ns
    assert ours.running[1].slot == theirs.running[1].slot == 2
    assert [(s.totals, s.accepted_at, s.drafted_at, s.clock_ns, s.verify_ns, s.k) for s in (ours, theirs)] == [
        ([2, 5, 2, 5, 3, 0, 0], [2, 1, 0], [2, 2, 1], 100, 70, 1)
    ] * 2


def test_a_part_of_a_prompt_takes_time_and_tells_nothing() -> None:
    tally = watched("long")
    assert take(tally, {"long": []}) == []
    assert (tally.standing(0).clock_ns, tally.standing(0).engine_steps, tally.standing(0).totals) == (100, 0, [0] * 7)


@pytest.mark.parametrize("hidden", [HIDDEN, [4, -1, -1]])
def test_hidden_drafts_are_numbers(hidden: list[int]) -> None:
    tally = watched("a")
    assert rows(take(tally, {"a": [4, 5, 9]}, {"a": hidden})) == [Row(0, 0, 0, 3, 2, [4, 5, 9], 3)]
    assert tally.standing(0).totals == [1, 3, 1, 3, 2, 0, 0]


def test_hidden_drafts_that_the_worker_tells_are_seen() -> None:
    tally = watched("a", "b")
    sampled, hidden = {"a": [4, 5], "b": [6]}, {"a": HIDDEN[:2], "b": HIDDEN}
    # The worker drafts as many as it was built for, and one of the requests is new to it.
    told = rows(take(tally, sampled, hidden, told={"a": [4, 9, 8]}))
    assert [(row.drafted, row.accepted) for row in told] == [([4, 9], 1), (3, 0)]


def test_drafts_that_a_grammar_has_ruled_out_do_not_count() -> None:
    tally = watched("a", "b", "c")
    sampled, drafts = {"a": [4, 9], "b": [5], "c": [6]}, {"a": [4, 5, -1], "b": [-1, -1, -1], "c": [1, 2]}
    found = rows(take(tally, sampled, drafts, ruled_out={"a": 1, "b": 3}))
    assert [(row.drafted, row.accepted) for row in found] == [([4, 5], 1), ([], 0), ([1, 2], 0)]
    assert tally.standing(0).totals == [3, 4, 2, 4, 1, 0, 0]


def test_numbers_only() -> None:
    tally = Tally(3, redaction="counts")
    tally.feed.watched = True
    tally.began("patient-17", [7, 8, 9], 3)
    (began,) = tally.feed.take()[0]
    assert isinstance(began, Began)
    assert (began.slot, began.request, began.prompt_tokens, began.prompt_ids) == (0, "0", 3, [])
    assert rows(take(tally, {"patient-17": [4, 9]}, {"patient-17": [4, 5]})) == [Row(0, 0, 0, 2, 1, 2, 2)]
    assert tally.standing(0).running[0].request == "0"


def test_of_requests_outside_the_share_numbers_only() -> None:
    names = [f"chatcmpl-{number:032x}" for number in range(400)]
    chosen = [name for name in names if in_share(name, 0.25)]
    assert 60 < len(chosen) < 140
    assert [name for name in chosen if in_share(name, 0.5)] == chosen
    assert not any(in_share(name, 0.0) for name in names)
    assert all(in_share(name, 1.0) for name in names)
    inside, outside = chosen[0], next(name for name in names if name not in chosen)
    tally = Tally(3, share=0.25)
    tally.feed.watched = True
    tally.began(inside, [7], 1)
    tally.began(outside, [7], 1)
    items, standing = tally.feed.take()
    began = [(item.request, item.prompt_ids) for item in items if isinstance(item, Began)]
    assert began == [(inside, [7]), ("1", [])]
    assert [one.request for one in standing.running] == [inside, "1"]
    drafts = {inside: [4, 5], outside: [4, 5]}
    found = rows(take(tally, {inside: [4, 9], outside: [4, 9]}, drafts))
    assert [(row.drafted, row.sampled) for row in found] == [([4, 5], [4, 9]), (2, 2)]


def test_rows_whose_drafts_should_be_seen_and_are_not() -> None:
    tally = watched("a")
    for told, drafts, unseen in [
        (None, HIDDEN, 1),
        ({}, HIDDEN, 2),
        (None, [], 2),
        ({"a": [4, 5, 6]}, HIDDEN, 0),
        ({"b": [4, 5, 6]}, HIDDEN, 1),
        (None, [4, 5, 6], 0),
        (None, HIDDEN, 1),
        ({"a": HIDDEN}, HIDDEN, 0),
    ]:
        take(tally, {"a": [9]}, {"a": drafts}, told=told)
        assert tally.unseen == unseen
    for settings in ({"share": 0.0}, {"redaction": "counts"}):
        tally = watched("a", **settings)
        take(tally, {"a": [9]}, {"a": HIDDEN})
        assert tally.unseen == 0


def test_long_prompts_travel_without_ids_and_long_names_are_cut() -> None:
    tally = watched()
    tally.began("n" * 5000, [1] * (MOST_PROMPT_IDS + 1), MOST_PROMPT_IDS + 1)
    tally.began("embedded", None, 4)
    long, embedded = tally.feed.take()[0]
    assert isinstance(long, Began)
    assert isinstance(embedded, Began)
    assert (long.request, long.prompt_ids, long.prompt_tokens) == ("n" * MOST_NAME, [], MOST_PROMPT_IDS + 1)
    assert embedded.prompt_ids == []
    assert rows(take(tally, {"n" * 5000: [3]}))[0].slot == 0


@pytest.mark.parametrize(
    ("reason", "stop", "ending", "cut"),
    [
        ("stop", None, "eos", "eos"),
        ("stop", 128_009, "eos", "eos"),
        ("stop", "###", "stop", "stop"),
        ("length", None, "length", "length"),
        ("repetition", "repetition_detected", "stop", "stop"),
        ("error", None, "error", None),
        ("something new", None, "error", None),
    ],
)
def test_how_a_request_ends_in_a_step(reason: str, stop: Any, ending: str, cut: str | None) -> None:
    tally = watched("a")
    step, ended = take(tally, {"a": [4]}, None, output("a", [4], reason, stop))
    assert isinstance(step, EngineStep)
    assert isinstance(ended, Ended)
    assert (step.rows[0].cut_reason, ended.reason) == (cut, ending)


def test_the_canvas_of_a_diffusion_model_is_no_draft() -> None:
    tally = Tally(0)
    tally.feed.watched = True
    tally.began("a", [7], 1)
    tally.feed.take()
    (row,) = rows(take(tally, {"a": [4, 5, 6]}, {"a": [1, 2, 3, 4]}))
    assert (row.drafted, row.accepted, row.sampled, row.emitted) == ([], 0, [4, 5, 6], 3)
    assert tally.standing(0).totals == [1, 3, 0, 0, 0, 0, 0]


def test_a_request_that_emits_nothing_ends_too() -> None:
    tally = watched("a", "b")
    items = take(tally, {"a": [], "b": []}, None, output("a", [], "stop"), output("b", []))
    assert items == [Ended(0, "eos", 0)]
    assert [one.slot for one in tally.standing(0).running] == [1]


def test_a_streamed_prompt_goes_on_behind_its_turn() -> None:
    tally = watched("a")
    turn = output("a", [4], "stop")
    assert [type(item) for item in take(tally, {"a": [4]}, None, turn, goes_on=True)] == [EngineStep]
    assert rows(take(tally, {"a": [5]}))[0].index == 1


def test_what_happens_between_steps() -> None:
    tally = watched("a", "b")
    tally.preempted("a")
    tally.ended("a", "abort")
    tally.ended("a", "abort")
    tally.ended("never", "abort")
    tally.preempted("a")
    tally.set_k(2)
    assert tally.feed.take()[0] == [Preempted(0), Ended(0, "abort", 0), KSet(2)]
    # Results that were under way when the request ended are nobody's.
    assert take(tally, {"a": [4]}) == []
    tally.forget_requests()
    assert tally.standing(0).running == []


def test_only_so_many_requests_are_named() -> None:
    tally = Tally(0, waiting=lambda: 4321)
    for number in range(MOST_RUNNING + 5):
        tally.began(str(number), None, 1)
    standing = tally.standing(0)
    assert [one.slot for one in standing.running] == [*range(MOST_RUNNING)]
    assert (standing.waiting, standing.k, standing.accepted_at) == (4321, 0, [])
