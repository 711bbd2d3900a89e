"""Every count of an analysis, against plain loops over small random traces."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.results import LaneAnalysis
from spectui.protocol import events as ev
from tests.support.drafted_traces import MTP, Making
from tests.support.plain_analysis import PlainPlace, plain_buckets, plain_places
from tests.support.small_traces import TEXTS, small_trace

SEEDS = st.integers(0, 2**32 - 1)

some = settings(max_examples=40)
"""A trace has hundreds of tokens, so a few traces are many cases."""


def lanes_of(events: list[ev.TraceEvent]) -> list[tuple[LaneAnalysis, list[PlainPlace]]]:
    analysis = analyse(Columns().add_all(events))
    return [(lane, plain_places(events, lane.lane, TEXTS)) for lane in analysis.lanes]


@some
@given(SEEDS)
def test_totals(seed: int) -> None:
    events = small_trace(seed)
    analysis = analyse(Columns().add_all(events))
    assert [lane.lane for lane in analysis.lanes] == ["mtp", "ngram"]
    for lane in analysis.lanes:
        steps = [event for event in events if isinstance(event, ev.Step) and event.lane == lane.lane]
        assert lane.steps == sum(bool(step.drafted) for step in steps)
        assert lane.drafted == sum(len(step.drafted) for step in steps)
        assert lane.accepted == sum(step.accepted for step in steps)
        assert lane.judged == sum(step.accepted + (step.accepted < len(step.drafted)) for step in steps)
        assert lane.lost == sum(len(step.drafted) - step.accepted for step in steps)
        assert lane.lost_k == sum(step.k - step.accepted for step in steps if step.index)


@some
@given(SEEDS)
@example(0)
def test_every_bucket(seed: int) -> None:
    for lane, places in lanes_of(small_trace(seed)):
        assert lane.judged == len(places)
        for dimension in lane.dimensions:
            plain = plain_buckets(places, dimension.key)
            assert {bucket.name for bucket in dimension.buckets} == plain.keys()
            assert bool(dimension.missing) == (not plain)
            for bucket in dimension.buckets:
                own = plain[bucket.name]
                assert bucket.acceptance.count == own.judged
                assert bucket.acceptance.value == own.accepted / own.judged
                assert (bucket.lost, bucket.lost_k) == (own.lost, own.lost_k)
                assert bucket.ranked == (own.judged >= 30)
                if dimension.key != "distance":
                    assert bucket.expected == (None if own.expected is None else pytest.approx(own.expected))


@some
@given(SEEDS)
def test_lost_tokens_by_dimension_add_up(seed: int) -> None:
    """All that a refusal lost is put down to its place, whatever else is known of it."""
    for lane, places in lanes_of(small_trace(seed, lossy=False)):
        for dimension in lane.dimensions:
            if dimension.key in ("position", "category", "context", "distance", "repetition") and places:
                assert sum(bucket.lost for bucket in dimension.buckets) == lane.lost


@some
@given(SEEDS)
def test_confusions(seed: int) -> None:
    for lane, places in lanes_of(small_trace(seed)):
        lost: Counter[tuple[int, int | None]] = Counter()
        where: defaultdict[tuple[int, int | None], set[tuple[int, int, int]]] = defaultdict(set)
        for place in places:
            if not place.right and place.wanted not in (None, place.drafted):
                lost[place.drafted, place.wanted] += place.lost
                where[place.drafted, place.wanted].add((*place.prompt, place.step))
        assert [one.lost for one in lane.confusions] == sorted(lost.values(), reverse=True)[:20]
        for one in lane.confusions:
            pair = one.drafted, one.wanted
            assert one.lost == lost[pair]
            assert one.count == sum((place.drafted, place.wanted) == pair and not place.right for place in places)
            assert (one.drafted_text, one.wanted_text) == (TEXTS[one.drafted], TEXTS[one.wanted])
            assert len(one.contexts) == min(3, one.count)
            assert not one.ranked or one.count >= 30
            assert {(c.round, c.slot, c.step) for c in one.contexts} <= where[pair]


@some
@given(SEEDS)
def test_agreement(seed: int) -> None:
    events = small_trace(seed, lossy=False)
    analysis = analyse(Columns().add_all(events))
    answers: defaultdict[tuple[str, tuple[int, int]], list[int]] = defaultdict(list)
    number = 0
    for event in events:
        if isinstance(event, ev.RoundStarted):
            number = event.round
        elif isinstance(event, ev.Step):
            answers[event.lane, (number, event.slot)] += event.emitted + event.cut
    verdicts = {
        lane.lane: {(place.prompt, place.at): place.right for place in plain_places(events, lane.lane, TEXTS)}
        for lane in analysis.lanes
    }
    counts: Counter[tuple[bool, bool]] = Counter()
    for (prompt, at), right in verdicts["mtp"].items():
        assert at is not None
        one, other = answers["mtp", prompt][: at + 1], answers["ngram", prompt][: at + 1]
        if one == other and len(one) > at and (prompt, at) in verdicts["ngram"]:
            counts[right, verdicts["ngram"][prompt, at]] += 1
    if not counts:
        assert analysis.agreements == ()
        return
    [found] = analysis.agreements
    assert (found.first, found.second) == ("mtp", "ngram")
    assert (found.both, found.only_first, found.only_second, found.neither) == (
        counts[True, True],
        counts[True, False],
        counts[False, True],
        counts[False, False],
    )
    assert found.union.value == pytest.approx(1 - found.neither / counts.total())
    assert found.union.count == found.first_share.count == counts.total()


def _confused(places: int) -> list[ev.TraceEvent]:
    """A lane that drafts a word for another in so many places, and in each round of two."""
    begun = ev.RequestStarted("mtp", "0.0", 0, 3, prompt_ids=(1, 2, 3))
    round_events: list[ev.TraceEvent] = [ev.RoundStarted(0, (ev.Prompt("p", "code"),), ev.Sampling()), begun]
    for index in range(places + 1):
        drafted = (100, 101) if index else ()
        before = index
        round_events.append(
            ev.Step(
                "mtp", "0.0", 0, index, 2, drafted, 0, (102,), (), "recovered" if index else "bonus", None, (" the",),
                (" a", " b") if index else (), 1, 10**6, 10**6 * (index + 1), before=before,
            )
        )  # fmt: skip
    return [ev.RunStarted("target", (MTP,), ev.Sampling()), *round_events, *round_events]


@pytest.mark.parametrize(("places", "named"), [(29, False), (30, True)])
def test_a_confusion_is_named_from_thirty_places(places: int, named: bool) -> None:
    """Answers that come again show no further place."""
    [lane] = analyse(Columns().add_all(_confused(places))).lanes
    [one] = lane.confusions
    assert (one.count, one.ranked) == (2 * places, named)
    assert any("mistake" in sentence for sentence in lane.sentences) == named


def test_the_same_answers_again_make_an_agreement_no_surer() -> None:
    lanes = (MTP, replace(MTP, name="other"))
    chances = {"mtp": lambda *_: 0.6, "other": lambda *_: 0.7}
    events = list(Making(chance=chances, lanes=lanes, prompts=[(f"prompt {n}", "code") for n in range(8)]).events())
    again = [replace(one, round=one.round + 8) if isinstance(one, ev.RoundStarted) else one for one in events]
    [once] = analyse(Columns().add_all(events)).agreements
    [twice] = analyse(Columns().add_all(events + again)).agreements
    assert twice.union.count == 2 * once.union.count
    for one, other in ((once.union, twice.union), (once.first_share, twice.first_share)):
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), abs=1e-9)


def test_a_greedy_trace_of_one_lane_has_no_agreement() -> None:
    events = [event for event in small_trace(1) if getattr(event, "lane", "mtp") in ("mtp", "ar")]
    assert analyse(Columns().add_all(events)).agreements == ()


@some
@given(SEEDS)
@example(244450853)
def test_a_trace_that_contradicts_itself_is_still_analysed(seed: int) -> None:
    """Each line makes sense by itself, which is all that the reader sees to."""
    rng = random.Random(seed)
    events = [_bent(event, rng) for event in small_trace(seed) if rng.random() < 0.9]
    for _ in range(rng.randint(0, 20)):
        events.insert(rng.randrange(len(events) + 1), rng.choice(events or small_trace(seed)))
    if rng.random() < 0.3:
        rng.shuffle(events)
    analysis = analyse(Columns().add_all(events))
    for lane in analysis.lanes:
        position = next(dimension for dimension in lane.dimensions if dimension.key == "position")
        assert sum(bucket.acceptance.count for bucket in position.buckets) == lane.judged
        assert sum(bucket.lost for bucket in position.buckets) == lane.lost
        assert 1 <= len(lane.sentences) <= 3


def _bent(event: ev.TraceEvent, rng: random.Random) -> ev.TraceEvent:
    if isinstance(event, ev.RequestStarted):
        return replace(
            event, slot=rng.choice((event.slot, -1, 9)), prompt_tokens=rng.choice((event.prompt_tokens, 0, -5))
        )
    if not isinstance(event, ev.Step) or rng.random() < 0.5:
        return event
    match rng.randrange(6):
        case 0:
            return replace(event, accepted=rng.randint(0, len(event.drafted)))
        case 1:
            return replace(event, before=rng.choice((None, 0, 3, 10**6)))
        case 2:
            return replace(event, index=rng.choice((-1, 0, 10**6)))
        case 3:
            return replace(event, emitted=(), cut=(), text=(), own=None)
        case 4:
            return replace(event, request="another", slot=7)
    return replace(event, k=0, lane="unknown")
