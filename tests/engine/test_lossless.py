"""The losslessness checks on real engines: the demo's lanes pass, and planted faults are found."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest

from spectui.bench import lossless_sampling
from spectui.bench.lossless import check_greedy
from spectui.bench.lossless_sampling import check_distribution
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.greedy import Losslessness
from spectui.core.lossless.words import greedy_lines
from spectui.protocol.events import Prompt, Sampling
from spectui.sources.vllm.compat.parts import model_runner_of
from spectui.sources.vllm.config import Chat
from spectui.sources.vllm.lane import Lane
from tests.conftest import LaneMaker

SESSION: Any = SimpleNamespace(driving=lambda title: nullcontext())
RAW = Chat(raw=True)
PROMPTS = [
    Prompt(text, "lists", number, 4)
    for number, text in enumerate(
        ("1, 2, 3, 4, 5, 6,", "Monday, Tuesday, Wednesday,", "a b c d e f g", "The capital of France is")
    )
]
Forward = Callable[..., Any]


@pytest.fixture(scope="module")
def lanes(make_lane: LaneMaker) -> tuple[Lane, Lane]:
    return make_lane("ar", dtype="float32"), make_lane("mtp:k=3", dtype="float32")


def greedy(lanes: tuple[Lane, Lane]) -> Losslessness:
    return check_greedy(SESSION, lanes, PROMPTS, RAW, tokens=24, concurrency=4)


AR: dict[str, LaneDistribution] = {}
"""What the first test says about AR, for the second."""


def sampled(lanes: tuple[Lane, Lane], monkeypatch: pytest.MonkeyPatch) -> DistributionCheck:
    monkeypatch.setattr(lossless_sampling, "ANSWER_TOKENS", 10)
    monkeypatch.setattr(lossless_sampling, "COMPARED_TOKENS", 6)
    sampling = Sampling(temperature=0.8, seed=1)
    check = check_distribution(SESSION, lanes, PROMPTS, RAW, sampling, samples=48, done=AR)
    AR[check.lanes[0].lane] = check.lanes[0]
    return check


def replaced(monkeypatch: pytest.MonkeyPatch, lane: Lane, wrap: Callable[[Forward], Forward]) -> None:
    sampler = model_runner_of(lane._engine).rejection_sampler
    monkeypatch.setattr(sampler, "forward", wrap(sampler.forward))


def test_the_demos_greedy_lanes_are_ars_in_float32(lanes: tuple[Lane, Lane]) -> None:
    before = [(lane.clock_ns, lane.totals, lane.k) for lane in lanes]
    check = greedy(lanes)
    assert [lane.identical for lane in check.lanes] == [4, 4]
    assert check.lanes[1].accepted > 0
    assert [(lane.clock_ns, lane.totals, lane.k) for lane in lanes] == before


def test_one_altered_token_is_found(lanes: tuple[Lane, Lane], monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first request with an accepted draft, which becomes another token."""
    altered: list[int] = []

    def altering(forward: Forward) -> Forward:
        def alter(metadata: Any, *rest: Any) -> Any:
            output = forward(metadata, *rest)
            for row in output.sampled_token_ids:
                if not altered and len(row) > 1 and row[1] >= 0:
                    altered.append(int(row[0]))
                    row[0] = 100 + (int(row[0]) == 100)
            return output

        return alter

    replaced(monkeypatch, lanes[1], altering)
    check = greedy(lanes)
    assert len(altered) == 1
    (found,) = check.lanes[1].real(check.threshold)
    assert check.failed
    assert found.reference == lanes[0].tokenizer.decode(altered)
    assert f'{lanes[1].info.title}, lists prompt {found.prompt + 1} ("' in greedy_lines(check)[2]


def test_the_demos_lanes_sample_from_the_targets_distribution(
    lanes: tuple[Lane, Lane], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, vLLM 0.32 alone would not: it judges drafts at no temperature in particular."""
    check = sampled(lanes, monkeypatch)
    assert [check.verdict(lane) for lane in check.lanes] == ["passes", "passes"]
    drafts = check.lanes[1].drafts
    assert drafts is not None
    assert drafts.drafts > 100
    assert check.lanes[1].rounding == lossless_sampling.LEAST_ROUNDING


def test_a_sampler_that_accepts_what_it_likes_is_found(
    lanes: tuple[Lane, Lane], monkeypatch: pytest.MonkeyPatch
) -> None:
    def accepting(forward: Forward) -> Forward:
        def accept(metadata: Any, *rest: Any) -> Any:
            output = forward(metadata, *rest)
            first = 0
            for row, count in zip(output.sampled_token_ids, metadata.num_draft_tokens, strict=True):
                # The first draft of each request is always accepted; what was sampled in its place follows it.
                if count and row[0] != metadata.draft_token_ids[first]:
                    row[1], row[0] = int(row[0]), int(metadata.draft_token_ids[first])
                first += count
            return output

        return accept

    replaced(monkeypatch, lanes[1], accepting)
    check = sampled(lanes, monkeypatch)
    assert [check.verdict(lane) for lane in check.lanes] == ["passes", "fails"]
