"""What the target says about single steps, asked in the middle of a generation."""

from __future__ import annotations

import pytest

from spectui.bench.prompts import builtin
from spectui.commands import MAX_CONCURRENCY
from spectui.core.history import PastStep
from spectui.events import Place, Sampling, Step
from spectui.sources.vllm.lane import LIKELIEST, Lane
from tests.conftest import LaneMaker
from tests.engine.driving import Outcome, check, drive, start, step
from tests.engine.test_agreement import spec_decode_counters

PROMPTS = [prompt.text for prompt in builtin()[:3]]
SAMPLING = Sampling(max_tokens=48, ignore_eos=True)


def inspected(lane: Lane, outcome: Outcome, asked: Step) -> tuple[Place, ...]:
    before = sum(len(one.emitted) for one in outcome.steps[asked.request][: asked.index])
    return lane.inspect(asked.slot, before, PastStep(asked, before, 0).asked)


@pytest.mark.parametrize("spec", ["mtp:k=3", "dflash:k=5", "ngram:k=5"])
def test_looking_at_steps_in_mid_run_leaves_no_trace(make_lane: LaneMaker, spec: str) -> None:
    lane = make_lane(spec, dtype="float32")
    expected = drive(make_lane("ar", dtype="float32"), PROMPTS, SAMPLING)
    before = spec_decode_counters(lane)
    outcome = Outcome()
    start(lane, PROMPTS, SAMPLING, outcome)
    looked = 0
    while lane.running:
        made = [event for event in step(lane, outcome) if isinstance(event, Step)]
        if made and looked < 12:
            looked += 1
            clock = lane.clock_ns
            places = inspected(lane, outcome, made[looked % len(made)])
            assert lane.clock_ns == clock
            check_places(made[looked % len(made)], places)
    check(outcome)
    after = spec_decode_counters(lane)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == outcome.totals()
    assert [outcome.ids(f"r{n}") for n in range(3)] == [expected.ids(f"r{n}") for n in range(3)]
    assert lane.disagreements == []


def check_places(asked: Step, places: tuple[Place, ...]) -> None:
    """In a greedy lane a draft is accepted if and only if the target ranks it first."""
    assert len(places) == len(asked.drafted) + (asked.accepted == len(asked.drafted))
    for place in places:
        assert len(place.likeliest) == LIKELIEST
        shares = [one.probability for one in place.likeliest]
        assert shares == sorted(shares, reverse=True)
        assert 0 <= place.probability <= shares[0] <= 1
    assert all(place.rank == 1 for place in places[: asked.accepted])
    if asked.accepted < len(asked.drafted):
        broke = places[asked.accepted]
        assert broke.rank > 1
        if asked.own == "recovered":
            assert broke.likeliest[0].token == asked.emitted[asked.accepted]
    elif asked.own is not None:
        assert places[-1].token == asked.emitted[-1]
        assert places[-1].rank == 1


def test_a_finished_request_can_still_be_looked_at(make_lane: LaneMaker) -> None:
    lane = make_lane("mtp:k=3")
    outcome = drive(lane, PROMPTS[:1], SAMPLING)
    last = outcome.steps["r0"][-1]
    assert inspected(lane, outcome, last)
    with pytest.raises(KeyError):
        lane.inspect(MAX_CONCURRENCY, 0, (1,))
