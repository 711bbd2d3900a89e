"""The tap is right in every situation that the scheduler knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spectui.protocol.events import Sampling
from spectui.setup.prompt_sets import builtin
from tests.conftest import LaneMaker
from tests.engine.driving import GREEDY, Outcome, check, drive, start, step

PROMPTS = [prompt.text for prompt in builtin()]
REPEAT = "Repeat this line five times: the quick brown fox jumps over the lazy dog."
DRAFTING = ["ngram:k=5", "draft_model:model=target,k=4"]


@pytest.mark.parametrize("spec", ["ar", *DRAFTING])
@pytest.mark.parametrize("requests", [1, 4])
def test_several_requests_at_once(make_lane: LaneMaker, spec: str, requests: int) -> None:
    outcome = drive(make_lane(spec), PROMPTS[:requests], Sampling(max_tokens=24))
    assert len(outcome.finished) == requests
    assert max(s.batch for steps in outcome.steps.values() for s in steps) == requests


@pytest.mark.parametrize("spec", DRAFTING)
def test_sampling_at_a_temperature(make_lane: LaneMaker, spec: str) -> None:
    outcome = drive(make_lane(spec), [REPEAT, PROMPTS[0]], Sampling(temperature=0.8, seed=7, max_tokens=32))
    assert outcome.totals()[0] > 0


def test_the_first_step_has_no_draft(make_lane: LaneMaker) -> None:
    outcome = drive(make_lane("draft_model:model=target,k=4"), [REPEAT])
    first, second = outcome.steps["r0"][:2]
    assert (first.drafted, first.own) == ((), "bonus")
    assert len(second.drafted) == 4


def test_an_ar_lane_never_drafts(make_lane: LaneMaker) -> None:
    outcome = drive(make_lane("ar"), [REPEAT])
    assert all((s.k, s.drafted, s.own) == (0, (), "bonus") for s in outcome.steps["r0"])


def test_max_tokens_cuts_the_last_verification(make_lane: LaneMaker) -> None:
    outcome = drive(make_lane("draft_model:model=target,k=4"), [REPEAT], Sampling(max_tokens=9, ignore_eos=True))
    last = outcome.steps["r0"][-1]
    assert last.cut_reason == "length"
    assert (len(last.emitted), len(last.cut), last.accepted, last.own) == (3, 2, 4, None)
    assert len(outcome.ids("r0")) == 9
    assert outcome.finished["r0"].reason == "length"


def test_a_stop_string_inside_an_accepted_run(make_lane: LaneMaker) -> None:
    outcome = drive(make_lane("draft_model:model=target,k=4"), [REPEAT], Sampling(max_tokens=64, stop=(" fox",)))
    last = outcome.steps["r0"][-1]
    assert last.cut_reason == "stop"
    assert outcome.finished["r0"].reason == "stop"
    assert "".join(last.text[: len(last.emitted)]).endswith(" fox")
    assert "fox" not in outcome.output_text["r0"]


def test_eos_inside_an_accepted_run(make_lane: LaneMaker) -> None:
    """The demo target answers these briefly; the drafter, being the target, drafts beyond the EOS that ends them."""
    short = [f"Reply with the single word {word}." for word in ("yes", "no", "blue", "seven", "Paris", "stop")]
    outcome = drive(make_lane("draft_model:model=target,k=4"), short, Sampling(max_tokens=200))
    ended = [steps[-1] for steps in outcome.steps.values() if steps[-1].cut_reason == "eos"]
    assert ended
    assert any(s.cut for s in ended)


@pytest.mark.parametrize("spec", DRAFTING)
def test_k_changes_between_steps(make_lane: LaneMaker, spec: str) -> None:
    lane = make_lane(spec)
    outcome = Outcome()
    start(lane, [REPEAT], Sampling(max_tokens=60, ignore_eos=True), outcome)
    full = lane.k
    seen = set()
    for number, k in enumerate([full, 0, 1, 0, 2, full, 3] * 20):
        if not lane.running:
            break
        if number % 2 == 0:
            lane.k = k
        seen.update(len(e.drafted) for e in step(lane, outcome) if hasattr(e, "drafted"))
    lane.k = full
    check(outcome)
    assert not lane.running
    assert {0, full} <= seen
    assert len(seen) > 2


def test_an_automatic_k_changes_and_the_text_does_not(make_lane: LaneMaker) -> None:
    lane = make_lane("draft_model:model=target,k=4", dtype="float32")
    fixed = drive(lane, [REPEAT], Sampling(max_tokens=64, ignore_eos=True)).ids("r0")
    lane.choice = None
    outcome = drive(lane, [REPEAT], Sampling(max_tokens=64, ignore_eos=True))
    assert lane.choice is None
    lane.k = lane.info.k_max
    plain = drive(make_lane("ar", dtype="float32"), [REPEAT], Sampling(max_tokens=64, ignore_eos=True)).ids("r0")
    assert outcome.ids("r0") == fixed == plain
    assert {0, 1, 2, 4} <= {s.k for s in outcome.steps["r0"]}


def test_k_zero_is_plain_decoding_of_the_same_text(make_lane: LaneMaker) -> None:
    lane = make_lane("draft_model:model=target,k=4", dtype="float32")
    full = drive(lane, [REPEAT]).ids("r0")
    lane.k = 0
    outcome = drive(lane, [REPEAT])
    lane.k = 4
    assert outcome.ids("r0") == full
    assert all(s.k == 0 and not s.drafted for s in outcome.steps["r0"][1:])


def test_prefill_in_chunks(make_lane: LaneMaker) -> None:
    long_prompt = " ".join(["A quiet harbour town wakes slowly."] * 20) + " Summarize."
    lane = make_lane("ngram:k=5", max_num_batched_tokens=32, dtype="float32")
    outcome = Outcome()
    start(lane, [long_prompt], GREEDY, outcome)
    silent = 0
    while lane.running:
        silent += not step(lane, outcome)
    check(outcome)
    assert silent >= 3
    assert outcome.ids("r0") == drive(make_lane("ar", dtype="float32"), [long_prompt]).ids("r0")
    assert outcome.steps["r0"][0].clock_ns > outcome.steps["r0"][0].wall_ns


def test_abort_in_mid_run(make_lane: LaneMaker) -> None:
    lane = make_lane("draft_model:model=target,k=4")
    outcome = Outcome()
    start(lane, PROMPTS[:3], Sampling(max_tokens=200), outcome)
    for _ in range(4):
        step(lane, outcome)
    for event in lane.abort():
        outcome.add(event)
    check(outcome)
    assert not lane.running
    assert [outcome.finished[f"r{i}"].reason for i in range(3)] == ["abort"] * 3
    drive(lane, PROMPTS[:2], Sampling(max_tokens=8))


def test_preemption_when_the_cache_is_too_small(make_lane: LaneMaker) -> None:
    lane = make_lane("ngram:k=5", kv_cache_memory_bytes=30 << 20, max_model_len=256, dtype="float32")
    prompts = [REPEAT, *PROMPTS[:3]]
    outcome = drive(lane, prompts, Sampling(max_tokens=120, ignore_eos=True))
    assert outcome.preempted
    assert all(len(outcome.ids(f"r{i}")) == 120 for i in range(4))


@pytest.mark.parametrize("spec", DRAFTING)
def test_structured_output(make_lane: LaneMaker, spec: str) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "size": {"enum": ["small", "large"]}},
        "required": ["city", "size"],
    }
    sampling = Sampling(max_tokens=80, json_schema=json.dumps(schema))
    example = 'Describe a city as JSON, like {"city": "Bergen", "size": "small"} or {"city": "Lima", "size": "large"}.'
    outcome = drive(make_lane(spec), [example], sampling)
    assert outcome.totals()[0] > 0
    assert json.loads(outcome.output_text["r0"])["size"] in ("small", "large")


def test_prefix_caching(make_lane: LaneMaker) -> None:
    lane = make_lane("ngram:k=5", enable_prefix_caching=True, dtype="float32")
    first = drive(lane, [REPEAT])
    second = drive(lane, [REPEAT])
    assert first.ids("r0") == second.ids("r0")
    assert second.steps["r0"][0].wall_ns > 0


@pytest.mark.parametrize("spec", ["ar", *DRAFTING])
def test_pieces_join_to_the_output_text(make_lane: LaneMaker, spec: str) -> None:
    prompts = ["Write three emoji: 🎉🚀🌍, then a line of Chinese.", "Print a table of é, ü, ß and ñ.", PROMPTS[0]]
    lane = make_lane(spec)
    outcome = drive(lane, prompts, Sampling(max_tokens=48))
    special = {str(token) for token in lane.tokenizer.all_special_tokens}
    for request, steps in outcome.steps.items():
        text = "".join(p for s in steps for p in s.text[: len(s.emitted)] if p not in special)
        assert text == outcome.output_text[request].rstrip("\ufffd")


def test_a_margin_is_measured_off_the_clock(make_lane: LaneMaker, demo_model: Path) -> None:
    lane = make_lane("ar")
    before = lane.clock_ns
    assert lane.top_two_margin(lane.tokenizer.encode("The capital of France is")) > 0
    assert lane.clock_ns == before
