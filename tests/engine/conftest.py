"""What tests of engines hold lanes against."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from spectui.protocol.events import Sampling
from tests.conftest import LaneMaker
from tests.engine.driving import drive

ArAnswers = Callable[..., list[list[int]]]


@pytest.fixture(scope="session")
def ar_answers(make_lane: LaneMaker) -> ArAnswers:
    """``ar_answers(prompts, 32, dtype="bfloat16")``: what plain greedy decoding answers to each prompt, that many ids
    whether the answer ends before or not; generated once, in float32 unless told otherwise."""
    known: dict[tuple[str, str], list[int]] = {}

    def answers(prompts: Sequence[str], tokens: int, dtype: str = "float32") -> list[list[int]]:
        lacking = [text for text in prompts if len(known.get((dtype, text), ())) < tokens]
        if lacking:
            outcome = drive(make_lane("ar", dtype=dtype), lacking, Sampling(max_tokens=tokens, ignore_eos=True))
            known.update({(dtype, text): outcome.ids(f"r{slot}") for slot, text in enumerate(lacking)})
        return [known[dtype, text][:tokens] for text in prompts]

    return answers
