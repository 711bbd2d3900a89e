"""The figures of docs/losslessness.md are the program's."""

from __future__ import annotations

import pytest

from spectui.bench import lossless_sampling as sampling
from spectui.bench.lossless import LIKELIEST
from spectui.core.lossless import chances, distribution, significance, tally
from spectui.core.lossless.greedy import distances
from spectui.core.losslessness import NEAR_TIE_MARGIN
from tests.docs.pages import PAGES

PAGE = " ".join(PAGES["docs/losslessness.md"].split())


@pytest.mark.parametrize(
    "said",
    [
        f"is at most {NEAR_TIE_MARGIN} nats behind",
        f"for its {LIKELIEST} likeliest tokens",
        f"samples {sampling.SAMPLES} answers of {sampling.ANSWER_TOKENS} tokens to the "
        f"{ {4: 'four'}[sampling.MOST_PROMPTS] } shortest prompts",
        f"w = 1 / (p (1 - p) + {significance.SOFTENED})",
        f"of the first { {3: 'three'}[tally.POSITIONS] } tokens",
        f"context with {tally.LEAST_SAMPLES} samples or more, tokens with fewer than {significance.LEAST_EXPECTED:g}",
        f"at least {100 * sampling.LEAST_ROUNDING**0.5:g} % squared",
        f"below {distribution.ALARMS} / (2 x lanes)",
        f"{100 * significance.FAULT:g} percentage points too high",
        f"if it is below {100 * significance.SOUGHT_POWER:g} %",
        f"by more than {100 * chances.MOST_UNSURE:g} %",
    ],
)
def test_constants_are_the_programs(said: str) -> None:
    assert said in PAGE


def test_the_example_is_what_the_program_computes() -> None:
    likeliest = ((1, -0.5), (2, -0.7), (3, -1.5))
    margin, near = distances(likeliest, 1, 2)
    _, far = distances(likeliest, 1, 3)
    assert f"The margin is {margin:.1f}." in PAGE
    assert f"says B is {near:.1f} behind, a near tie; one that says C is {far:.1f} behind" in PAGE
