"""Planted faults are found and correct lanes are not blamed, on a made-up target with the default number of samples."""

from __future__ import annotations

import numpy as np
import pytest

from spectui.bench.lossless_sampling import ANSWER_TOKENS, MOST_QUESTIONS
from spectui.core.lossless.distribution import DistributionCheck, LaneDistribution
from spectui.core.lossless.significance import FAULT, SOUGHT_POWER
from tests.support.synthetic_sampler import Sampler, judged

RUNS = 500


SAMPLES = MOST_QUESTIONS
"""As many of the default number of answers as the target is asked about."""


def run(number: int, *, fault: float = 0.0, samples: int = 1500) -> DistributionCheck:
    """AR and two drafting lanes, of which the second may be at fault."""
    dice = [np.random.default_rng((number, lane)) for lane in range(3)]
    lanes = (
        judged(Sampler(dice[0], k=0).tally(samples)),
        judged(Sampler(dice[1]).tally(samples)),
        judged(Sampler(dice[2], fault=fault).tally(samples)),
    )
    return DistributionCheck(lanes, 1.0, 1.0, 0, 6, 16)


def test_correct_lanes_are_blamed_in_less_than_one_run_of_a_hundred() -> None:
    """Nor is AR."""
    checks = [run(number) for number in range(RUNS)]
    assert sum(check.failed or not check.judged for check in checks) < RUNS / 100


def test_drafts_accepted_two_points_too_often_are_found() -> None:
    found = [
        judged(Sampler(np.random.default_rng(number), fault=FAULT).tally(SAMPLES, ANSWER_TOKENS))
        for number in range(200)
    ]
    share = sum(lane.apart for lane in found) / len(found)
    assert share >= SOUGHT_POWER
    stated = found[0].drafts
    assert stated is not None
    assert stated.power == pytest.approx(share, abs=0.05)
    assert stated.needed is not None
    assert stated.needed <= 1


def test_the_lane_at_fault_is_named_and_the_other_is_not() -> None:
    check = run(1, fault=3 * FAULT)
    assert [check.verdict(lane) for lane in check.lanes] == ["passes", "passes", "fails"]
    assert check.failed


def test_rounding_in_a_batch_is_no_fault_once_it_is_allowed_for() -> None:
    """With errors of 5 % in each token's odds, as in bfloat16."""

    def share_apart(rounding: float) -> float:
        lanes = [
            judged(Sampler(np.random.default_rng(number), rounding=0.05).tally(40_000), rounding=rounding)
            for number in range(40)
        ]
        return sum(lane.apart for lane in lanes) / len(lanes)

    assert share_apart(1e-4) > 0.5, "so many samples tell rounding from nothing"
    assert share_apart(2 * 0.05**2) == 0


def test_ar_that_is_apart_from_its_probabilities_blames_nobody() -> None:
    lanes = (apart("AR", control=True), apart("MTP"))
    check = DistributionCheck(lanes, 1.0, 1.0, 0, 6, 16)
    assert not check.judged
    assert not check.failed
    assert {check.verdict(lane) for lane in lanes} == {"undecided"}


def apart(title: str, control: bool = False) -> LaneDistribution:
    lane = judged(Sampler(np.random.default_rng(1), fault=0.2).tally(1500))
    return LaneDistribution(title, title, control, 1500, lane.level, lane.rounding, lane.tokens, lane.drafts)
