"""What the target says about single steps, asked in the middle of a generation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spectui.core.history import PastStep
from spectui.protocol.events import Sampling, Step, TokenVerdict
from spectui.setup.prompt_sets import builtin
from spectui.sources.vllm.examining import draft_totals
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.probing import LIKELIEST, ProbeRefusedError
from spectui.sources.vllm.prompting import chat_ids
from tests.conftest import LaneMaker
from tests.engine.conftest import ArAnswers
from tests.engine.driving import Outcome, check, drive, start, step

PROMPTS = [prompt.text for prompt in builtin()[:3]]
SAMPLING = Sampling(max_tokens=48, ignore_eos=True)


def inspected(lane: Lane, outcome: Outcome, asked: Step) -> tuple[TokenVerdict, ...]:
    before = sum(len(one.emitted) for one in outcome.steps[asked.request][: asked.index])
    return lane.inspect(asked.slot, before, PastStep(asked, before, 0).asked)


@pytest.mark.parametrize("spec", ["mtp:k=3", "dflash:k=5", "ngram:k=5"])
def test_looking_at_steps_in_mid_run_leaves_no_trace(make_lane: LaneMaker, ar_answers: ArAnswers, spec: str) -> None:
    lane = make_lane(spec, dtype="float32")
    expected = ar_answers(PROMPTS, SAMPLING.max_tokens)
    before = draft_totals(lane)
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
    after = draft_totals(lane)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == outcome.totals()
    assert [outcome.ids(f"r{n}") for n in range(3)] == expected
    assert lane.disagreements == []


def check_places(asked: Step, places: tuple[TokenVerdict, ...]) -> None:
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
        lane.inspect(1 << 20, 0, (1,))


def test_where_no_room_is_left_a_look_is_refused_and_the_requests_go_on(
    make_lane: LaneMaker, ar_answers: ArAnswers
) -> None:
    """16 in flight on a cache for little more than one full answer: most of the looks find no block free."""
    tight = {"dtype": "float32", "max_model_len": 512, "kv_cache_memory_bytes": 30 << 20}
    lane, prompts = make_lane("mtp:k=3", **tight), [prompt.text for prompt in builtin()[:16]]
    short = replace(SAMPLING, max_tokens=20)
    before, outcome = draft_totals(lane), Outcome()
    start(lane, prompts, short, outcome)
    answers: list[int | str] = []
    while lane.running:
        for made in [event for event in step(lane, outcome) if isinstance(event, Step)][:1]:
            try:
                answers.append(len(inspected(lane, outcome, made)))
            except ProbeRefusedError as error:
                answers.append(str(error))
    check(outcome)
    refused = {answer for answer in answers if isinstance(answer, str)}
    assert len(refused) == 1
    assert refused.pop().startswith("no room in the KV cache to ask the target: ")
    assert any(isinstance(answer, int) for answer in answers)
    after = draft_totals(lane)
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == outcome.totals()
    assert [outcome.ids(f"r{n}") for n in range(16)] == ar_answers(prompts, short.max_tokens)
    assert lane.disagreements == []


def test_a_seat_is_kept_for_a_look(make_lane: LaneMaker) -> None:
    lane = make_lane("ar", max_num_seqs=2)
    outcome = Outcome()
    start(lane, PROMPTS, replace(SAMPLING, max_tokens=8), outcome)
    for _ in range(3):
        batches = [event.batch for event in step(lane, outcome) if isinstance(event, Step)]
    assert batches == [2, 2]
    assert len(inspected(lane, outcome, outcome.steps["r0"][1])) == 1
    while lane.running:
        step(lane, outcome)
    check(outcome)


def test_a_margin_asks_for_one_place_only(make_lane: LaneMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = make_lane("ar")
    ids = chat_ids(lane.tokenizer, PROMPTS[0])
    engine, asked = lane._engine, []
    original = engine.add_request

    def add_request(request: str, prompt: Any, params: Any) -> Any:
        asked.append((params.logprobs, params.prompt_logprobs))
        return original(request, prompt, params)

    monkeypatch.setattr(engine, "add_request", add_request)
    margin = lane.top_two_margin(ids)
    assert asked == [(2, None)]
    assert margin > 0
