"""How much a step has to read: worked tables, and what must hold for any lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.traffic import RECENT_STEPS, Traffic, TrafficMeter, experts_read, step_bytes
from spectui.protocol.samples import CacheLayers, LaneMemory
from tests.support.making_machines import AR, DENSE, MTP, PROMPT_TOKENS, MadeRace, made_step

SERIAL = replace(DENSE, drafter_bytes=60, draft_read=50, draft_output=30)
PARALLEL = replace(SERIAL, draft_parallel=True)
MIXTURE = replace(DENSE, expert_bytes=8_000, experts=8, experts_active=2)
MIXED_DRAFTER = replace(SERIAL, draft_expert_bytes=400, draft_experts=4, draft_experts_active=1)
WINDOWED = replace(
    SERIAL, layers=(CacheLayers(False, 2), CacheLayers(False, 10, window=4), CacheLayers(True, 3, window=8))
)


@pytest.mark.parametrize(
    ("memory", "contexts", "rows", "k", "expected"),
    [
        pytest.param(DENSE, (0,), 1, 0, 900, id="weights alone"),
        pytest.param(DENSE, (10, 20), 2, 0, 960, id="and the contexts"),
        pytest.param(DENSE, (30,), 4, 3, 960, id="a drafter without weights reads nothing"),
        pytest.param(SERIAL, (10,), 4, 3, 1_070, id="a pass for each token, as in the docstring"),
        pytest.param(SERIAL, (10,), 1, 0, 940, id="K = 0 runs the first, as in the docstring"),
        pytest.param(SERIAL, (0,), 1, 3, 1_050, id="a step without drafts makes those of the next"),
        pytest.param(PARALLEL, (0,), 1, 0, 920, id="K = 0 of a parallel drafter"),
        pytest.param(PARALLEL, (0,), 4, 3, 950, id="one pass for all tokens"),
        pytest.param(MIXTURE, (0,), 1, 0, 900 + 2_000, id="the experts of one token"),
        pytest.param(MIXTURE, (0,), 2, 0, 900 + 3_500, id="two tokens share some"),
        pytest.param(replace(MIXTURE, experts_active=8), (0,), 3, 0, 8_900, id="all experts"),
        pytest.param(MIXED_DRAFTER, (0,), 1, 0, 900 + 20 + 100, id="the drafter's experts of one token"),
        pytest.param(MIXED_DRAFTER, (0,), 2, 1, 900 + 50 + 175, id="of what the target has just computed"),
        pytest.param(MIXED_DRAFTER, (0,), 2, 3, 900 + 150 + 175 + 2 * 100, id="and of one token in further passes"),
        pytest.param(MIXED_DRAFTER, (0, 0), 4, 2, 900 + 100 + 400 * (1 - 0.75**4) + 175, id="of each request"),
        pytest.param(
            replace(MIXED_DRAFTER, draft_parallel=True), (0,), 1, 1, 900 + 50 + 175, id="of a parallel pass's tokens"
        ),
        pytest.param(WINDOWED, (30, 3), 2, 0, 920 + 66 + 70 + 33, id="each request's own window"),
        pytest.param(WINDOWED, (30,), 4, 3, 900 + 60 + 40 + 3 * (50 + 24), id="the drafter's cache in each pass"),
        pytest.param(
            replace(DENSE, layers=(CacheLayers(False, 0, state_bytes=7),)), (30,), 4, 3, 900 + 7 + 28, id="states"
        ),
        pytest.param(replace(SERIAL, devices=2), (0,), 2, 1, 475, id="each of two GPUs"),
        pytest.param(replace(DENSE, target_read=None), (0,), 1, 0, None, id="target unknown"),
        pytest.param(replace(DENSE, kv_token_bytes=None), (0,), 1, 0, None, id="cache unknown"),
        pytest.param(replace(SERIAL, kv_token_bytes=None), (0,), 1, 3, None, id="the drafter's cache unknown"),
        pytest.param(replace(DENSE, draft_read=None), (0,), 1, 0, None, id="drafter unknown"),
        pytest.param(replace(SERIAL, draft_output=None), (0,), 1, 0, None, id="K = 0 in an older trace"),
        pytest.param(replace(SERIAL, draft_output=None), (0,), 2, 1, 950, id="K = 1 in an older trace"),
    ],
)
def test_bytes_of_a_step(
    memory: LaneMemory, contexts: Sequence[int], rows: int, k: int, expected: float | None
) -> None:
    assert step_bytes(memory, contexts, rows, k) == (None if expected is None else pytest.approx(expected))


mixtures = st.integers(1, 256).flatmap(lambda experts: st.tuples(st.just(experts), st.integers(1, experts)))


@given(mixture=mixtures, tokens=st.integers(1, 500))
def test_experts_read_lie_between_those_of_one_token_and_all(mixture: tuple[int, int], tokens: int) -> None:
    experts, active = mixture
    share = experts_read(experts, active, tokens)
    assert active / experts - 1e-12 <= share <= 1
    assert share <= experts_read(experts, active, tokens + 1)
    assert experts_read(experts, active, 1) == pytest.approx(active / experts)


@given(experts=st.integers(1, 256), tokens=st.integers(1, 500))
def test_where_a_token_goes_through_all_experts_all_are_read(experts: int, tokens: int) -> None:
    assert experts_read(experts, experts, tokens) == 1


def test_a_dense_model_has_no_experts_to_read() -> None:
    assert experts_read(0, 0, 5) == 0


def metered(memory: LaneMemory, *steps: tuple[int, int, int, float]) -> TrafficMeter:
    """A meter after steps of (requests, drafted, emitted, ms), each request with ten tokens in the cache."""
    meter, clock_ns = TrafficMeter(), 0
    for requests, drafted, emitted, ms in steps:
        clock_ns += round(ms * 1e6)
        for slot in range(requests):
            meter.add(made_step("mtp", drafted, emitted, ms, clock_ns, slot, requests), 10, memory)
    return meter


def test_a_step_counts_once_the_next_one_begins() -> None:
    assert metered(SERIAL).read() is None
    assert metered(SERIAL, (3, 2, 2, 10)).read() is None
    traffic = metered(SERIAL, (1, 2, 2, 10), (1, 0, 1, 99)).read()
    assert traffic == Traffic(
        step_bytes=pytest.approx(900 + 20 + 100),
        per_second=pytest.approx(1_020 / 0.010),
        recent=pytest.approx(1_020 / 0.010),
        tokens_per_step=2,
    )


def test_requests_of_one_engine_step_read_the_weights_once() -> None:
    traffic = metered(SERIAL, (4, 2, 2, 10), (1, 0, 1, 10)).read()
    assert traffic is not None
    assert traffic.step_bytes == pytest.approx(900 + 4 * 20 + 2 * 50)
    assert traffic.tokens_per_step == 8


def test_each_request_of_a_step_has_its_own_window() -> None:
    meter, memory = TrafficMeter(), replace(DENSE, layers=(CacheLayers(False, 10, window=20),))
    for slot, context in enumerate((5, 100)):
        meter.add(made_step("ar", 0, 1, 10, 10, slot, 2), context, memory)
    meter.add(made_step("ar", 0, 1, 10, 20), 0, memory)
    traffic = meter.read()
    assert traffic is not None
    assert traffic.step_bytes == 900 + 10 * (5 + 20)


def test_the_k_of_a_step_counts_and_all_its_rows() -> None:
    meter, memory = TrafficMeter(), replace(MIXTURE, draft_read=50)
    meter.add(made_step("mtp", 3, 1, 10, 10, 0, 2), 10, memory)
    meter.add(made_step("mtp", 1, 1, 10, 10, 1, 2), 30, memory)
    meter.add(made_step("mtp", 0, 1, 10, 20), 0, memory)
    traffic = meter.read()
    assert traffic is not None
    assert traffic.step_bytes == pytest.approx(900 + 8_000 * experts_read(8, 2, 6) + 80 + 150)


def test_rates_are_bytes_over_lane_time() -> None:
    traffic = metered(DENSE, (1, 0, 1, 10), (1, 0, 1, 30), (1, 0, 1, 10)).read()
    assert traffic is not None
    assert traffic.per_second == pytest.approx(2 * 920 / 0.040)
    assert traffic.recent == pytest.approx(traffic.per_second)


def test_recent_forgets_what_is_long_ago() -> None:
    slow, fast = (1, 0, 1, 100.0), (1, 0, 1, 10.0)
    traffic = metered(DENSE, *[slow] * 100, *[fast] * (RECENT_STEPS + 1)).read()
    assert traffic is not None
    assert traffic.recent == pytest.approx(920 / 0.010)
    assert traffic.per_second == pytest.approx(920 * 140 / (100 * 0.1 + 40 * 0.01))


def test_unknown_weights_give_no_traffic() -> None:
    assert metered(replace(DENSE, target_read=None), *[(1, 0, 1, 10.0)] * 5).read() is None


def test_utilisation_and_ceiling_need_a_peak() -> None:
    traffic = Traffic(step_bytes=1_000, per_second=50_000, recent=1, tokens_per_step=2.5)
    assert traffic.utilisation(100_000) == 0.5
    assert traffic.ceiling(100_000) == 250
    assert traffic.utilisation(None) is traffic.ceiling(None) is None
    assert traffic.utilisation(0) is traffic.ceiling(0) is None
    assert Traffic(0, 0, 0, 1).ceiling(100) is None


@given(
    steps=st.lists(
        st.tuples(st.integers(1, 4), st.integers(0, 5), st.integers(1, 6), st.floats(1, 200)), min_size=2, max_size=60
    ),
    peak=st.floats(1e3, 1e13),
)
def test_the_share_of_the_ceiling_is_mbu(steps: list[tuple[int, int, int, float]], peak: float) -> None:
    """Tokens per second over the most that the peak allows are bytes per second over the peak."""
    traffic = metered(SERIAL, *steps).read()
    assert traffic is not None
    ceiling = traffic.ceiling(peak)
    assert ceiling is not None
    counted = steps[:-1]
    tok_s = sum(requests * emitted for requests, _, emitted, _ in counted) / sum(ms / 1e3 for *_, ms in counted)
    assert tok_s / ceiling == pytest.approx(traffic.utilisation(peak), rel=1e-5)


def test_the_reducer_hands_over_what_the_cache_holds_before_a_step() -> None:
    race = MadeRace(AR, MTP)
    race.tell(DENSE)
    race.step(AR)
    assert race.lane(AR).traffic is None
    race.step(AR)
    race.step(AR)
    traffic = race.lane(AR).traffic
    assert traffic is not None
    assert traffic.step_bytes == pytest.approx(900 + 2 * (PROMPT_TOKENS + 0.5))
    race.step(MTP, 2, 2)
    race.step(MTP, 2, 2)
    assert race.lane(MTP).traffic is None
