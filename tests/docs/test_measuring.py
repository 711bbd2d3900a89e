"""The worked examples of docs/measuring.md are what the program computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from spectui.bench.harness import Measurement, Sample
from spectui.core.acceptance import AcceptanceCounter
from spectui.core.batch_cost import BatchCost, pays
from spectui.core.cost import CostModel, Drafts, Observed, StepTime
from spectui.core.kv_cache import cache_traffic
from spectui.core.rates import per_second
from spectui.core.state import WINDOW_STEPS
from spectui.core.traffic import step_bytes
from spectui.core.trouble import (
    ACCEPTED,
    CLIFFS,
    LEAST_STEPS,
    LONG,
    LONG_CONTEXT,
    NO_GAIN,
    PADDING,
    REJECTED,
    STEADY,
    wilson,
)
from spectui.protocol.samples import CacheLayers
from tests.docs.pages import PAGES
from tests.support.making_machines import DENSE

PAGE = " ".join(PAGES["docs/measuring.md"].split())


def _throughput() -> str:
    found = per_second(100 * 3, 100 * 10_000_000)
    return f"100 steps of 10 ms with 3 tokens each are {found:.0f} tok/s"


def _acceptance() -> str:
    counter = AcceptanceCounter()
    for drafted, accepted in ((2, 2), (3, 0), (3, 1), (3, 3)):
        counter.add(drafted, accepted)
    read = counter.read()
    at = [f"{share:.2f}" for share in read.by_position if share is not None]
    return (
        f"The length is 1 + {read.accepted} / {read.steps} = {read.length:.1f}, the rate {read.accepted} / "
        f"{read.drafted} = {read.rate:.2f}. Acceptance at position 1 is 3 / 4 = {at[0]}, at position 2 it is 2 / 4 = "
        f"{at[1]}, at position 3 it is 1 / 3 = {at[2]}."
    )


def _scheduling() -> str:
    measured = Measurement()
    rates = {"ar": 100, "ar default": 110, "mtp": 138, "mtp default": 146}
    measured.add({name: Sample(rate, 1) for name, rate in rates.items()})
    raced, served = measured.ratio("mtp", "ar"), measured.ratio("mtp default", "ar default")
    return (
        f"AR makes {rates['ar']} tok/s tapped and {rates['ar default']} by default, MTP {rates['mtp']} and "
        f"{rates['mtp default']}; that is a speed-up of {raced.median:.2f} in the race and of {served.median:.2f} on a "
        "server."
    )


def _estimate() -> str:
    bare, drafting = StepTime(0, 0, 0.009), StepTime(0, 0, 0.014)
    model = CostModel([Observed(5, 20, drafting, 80, bare)])
    found, time = model.estimate(5, [Drafts(5, 0.2, (0.2, 0.2, 0.2, 0.2, 0.0))]), model.time(5)
    assert found.tok_s is not None
    assert time is not None
    return (
        f"That gives {found.tok_s * time.total:.1f} tokens per step; at 14 ms with a draft and 9 ms without, a step "
        f"takes {time.total * 1000:.0f} ms: {found.tok_s:.0f} tok/s."
    )


def _pays() -> str:
    found = pays(BatchCost.of([(1, 0.012), (4, 0.024)], 1.5), BatchCost.of([(1, 0.010), (4, 0.013)], 1.0))
    assert found is not None
    assert found.first
    return f"at {found.crossing:.1f} requests. Measured at 1 to 4 requests, the lines hold up to {found.most}."


def _cache() -> str:
    layers = (CacheLayers(False, 10 * 2048), CacheLayers(False, 50 * 2048, window=1024))
    moved = cache_traffic(replace(DENSE, layers=layers), [32_768], 1, drafter=False)
    assert moved is not None
    return f"read {moved / 1e9:.2f} GB of a context of 32,768 tokens"


def _step() -> str:
    layers = (CacheLayers(False, 2),)
    memory = replace(DENSE, target_read=900, kv_token_bytes=2, draft_read=50, draft_output=30, layers=layers)
    assert not memory.draft_parallel
    at = [step_bytes(memory, [10], k + 1, k) for k in (3, 0)]
    return f"read {at[0]:,.0f} bytes in a step at K = 3 of a request with 10 tokens, and {at[1]:.0f} at K = 0"


def _rejected() -> str:
    low, high = wilson(0, 100)
    assert high < REJECTED
    limit = f"below {REJECTED * 100:.0f} %"
    return f"The interval is {low:.0f} to {high * 100:.1f} %, {limit}: nearly all drafts are rejected."


@pytest.mark.parametrize("example", [_throughput, _acceptance, _scheduling, _estimate, _pays, _cache, _step, _rejected])
def test_an_example_is_what_the_program_computes(example: Callable[[], str]) -> None:
    assert example() in PAGE


def test_the_thresholds_of_the_signs_are_the_programs() -> None:
    for said in (
        f"95 % confidence, in less than {REJECTED * 100:.0f} % of the steps, of all and of the last {WINDOW_STEPS}",
        f"more than {LONG_CONTEXT:,} tokens of context",
        f"is right in {STEADY * 100:.0f} % or more",
        f"differ by more than {PADDING:,} tokens",
        f"{LONG:g} tokens per step or more, and yet surely slower than AR",
        f"by {(1 - NO_GAIN) * 100:.0f} % or more",
        f"no draft in {LEAST_STEPS} steps",
        f"allow for {ACCEPTED * 100:.0f} % again",
        f"none kept past position {CLIFFS[0] - 1} (or {CLIFFS[1] - 1})",
    ):
        assert said in PAGE, said
