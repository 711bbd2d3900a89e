"""K changes while a lane generates, and the search for the best K, on the real engine."""

from __future__ import annotations

import random

import pytest

from spectui.protocol.events import Sampling, TuneTurn
from spectui.setup.prompt_sets import builtin
from spectui.sources.vllm.examining import draft_totals
from spectui.sources.vllm.lane import Lane
from spectui.sources.vllm.prompting import Fitting, chat_ids
from spectui.sources.vllm.tuning import Tuning
from tests.conftest import LaneMaker
from tests.engine.conftest import ArAnswers
from tests.engine.driving import Outcome, check, start, step

PROMPTS = [prompt.text for prompt in builtin()]
LONG = Sampling(max_tokens=256, ignore_eos=True)
CHANGES = 100


@pytest.mark.parametrize("spec", ["mtp:k=3", "dflash:k=5", "ngram:k=5"])
def test_a_hundred_changes_of_k_leave_no_trace_in_the_text(
    make_lane: LaneMaker, ar_answers: ArAnswers, spec: str
) -> None:
    lane, prompts = make_lane(spec, dtype="float32"), PROMPTS[:2]
    before = draft_totals(lane)
    outcome, changes = change_k_in_every_step(lane, prompts, LONG, random.Random(3))
    after = draft_totals(lane)
    assert changes >= CHANGES
    assert tuple(b - a for a, b in zip(before, after, strict=True)) == outcome.totals()
    assert [outcome.ids(f"r{n}") for n in range(2)] == ar_answers(prompts, LONG.max_tokens)
    assert lane.disagreements == []


@pytest.mark.parametrize("spec", ["mtp:k=3", "dflash:k=5"])
def test_k_changes_with_16_requests_in_flight(make_lane: LaneMaker, ar_answers: ArAnswers, spec: str) -> None:
    prompts, short = PROMPTS[:16], Sampling(max_tokens=32, ignore_eos=True)
    outcome, _ = change_k_in_every_step(make_lane(spec, dtype="float32"), prompts, short, random.Random(4))
    assert [outcome.ids(f"r{n}") for n in range(16)] == ar_answers(prompts, short.max_tokens)


def change_k_in_every_step(
    lane: Lane, prompts: list[str], sampling: Sampling, dice: random.Random
) -> tuple[Outcome, int]:
    """Answer prompts at once; returns what came of it, and how often K was another than before."""
    outcome, changes = Outcome(), 0
    start(lane, prompts, sampling, outcome)
    try:
        while lane.running:
            k = dice.randint(0, lane.info.k_max)
            changes += k != lane.k
            lane.k = k
            step(lane, outcome)
    finally:
        lane.k = lane.info.k_max
    check(outcome)
    return outcome, changes


def test_a_search_measures_every_k_and_leaves_the_lane_at_the_best(make_lane: LaneMaker) -> None:
    lane = make_lane("mtp:k=3")
    prompts = [Fitting(chat_ids(lane.tokenizer, text)) for text in PROMPTS[:4]]
    tuning = Tuning(lane, range(3), prompts, requests=2, sampling=Sampling(), budget_s=1e9, piece_tokens=8)
    turns: list[TuneTurn] = []
    before = draft_totals(lane)
    while len(turns) < 2:
        if (turn := tuning.step()) is not None:
            turns.append(turn)
    for figure in turns[0].figures:
        assert figure.tok_s is not None
        assert figure.tok_s > 0
        assert figure.estimate_tok_s is not None
        assert (figure.draft_s or 0) + (figure.verify_s or 0) <= (figure.step_s or 0)
        assert len(figure.by_position) <= figure.k
    assert draft_totals(lane)[0] > before[0]
    assert turns[1].spent_s > turns[0].spent_s > 0
    ended = tuning.end("cancelled", lambda best: f"serve {best}")
    assert not lane.running
    assert lane.k == ended.last.best == turns[1].best
    assert ended.serve == f"serve {{2: {ended.last.best}}}"
    lane.k = lane.info.k_max


def test_a_search_that_is_stopped_in_its_first_turn_leaves_the_lane_as_it_was(make_lane: LaneMaker) -> None:
    lane = make_lane("mtp:k=3")
    lane.k = 2
    prompts = [Fitting(chat_ids(lane.tokenizer, PROMPTS[0]))]
    tuning = Tuning(lane, range(4), prompts, requests=1, sampling=Sampling(), budget_s=1e9, piece_tokens=8)
    tuning.step()
    ended = tuning.end("cancelled", lambda best: f"serve {best}")
    assert (lane.k, ended.last.turn, ended.last.best, ended.serve) == (2, 0, 2, "")
    lane.k = lane.info.k_max


def test_a_sweep_measures_every_k_in_every_turn(make_lane: LaneMaker) -> None:
    lane = make_lane("mtp:k=3")
    prompts = [Fitting(chat_ids(lane.tokenizer, text)) for text in PROMPTS[:2]]
    sweep = Tuning(
        lane, range(4), prompts, requests=1, sampling=Sampling(), budget_s=1e-9, piece_tokens=12, sweep_turns=2
    )
    while sweep.ended is None:
        sweep.step()
    last = sweep.end("budget").last
    assert last.turn == 2
    assert last.running == (0, 1, 2, 3)
    assert sweep.held_out().keys() == {0, 1, 2, 3}
    assert all(estimate > 0 for estimate in sweep.held_out().values())
    lane.k = lane.info.k_max


def test_a_search_ends_with_its_budget(make_lane: LaneMaker) -> None:
    lane = make_lane("mtp:k=3")
    prompts = [Fitting(chat_ids(lane.tokenizer, PROMPTS[0]))]
    tuning = Tuning(lane, range(2), prompts, requests=1, sampling=Sampling(), budget_s=1e-6, piece_tokens=4)
    assert tuning.ended is None
    while tuning.ended is None:
        tuning.step()
    assert tuning.ended == "budget"
    assert tuning.turn().turn == 1
    tuning.end("budget")
    lane.k = lane.info.k_max


@pytest.mark.parametrize(
    ("ks", "prompts", "said"),
    [
        ((0, 9), [Fitting([1])], "built for K from 0 to 3, not for 9"),
        ((0, 1), [], "no prompts"),
        ((), [Fitting([1])], "no K"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    make_lane: LaneMaker, ks: tuple[int, ...], prompts: list[Fitting], said: str
) -> None:
    lane = make_lane("mtp:k=3")
    with pytest.raises(ValueError, match=said):
        Tuning(lane, ks, prompts, requests=1, sampling=Sampling(), budget_s=1)
