"""How much a step has to read: worked tables, and what must hold for any lane."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.traffic import RECENT_STEPS, Traffic, TrafficMeter, experts_read, pass_bytes
from spectui.samples import LaneMemory
from tests.making_machines import AR, DENSE, MTP, PROMPT_TOKENS, MadeRace, made_step

SERIAL = replace(DENSE, drafter_bytes=60, draft_read=50)
PARALLEL = replace(SERIAL, draft_parallel=True)
MIXTURE = replace(DENSE, expert_bytes=8_000, experts=8, experts_active=2)


@pytest.mark.parametrize(
    ("memory", "rows", "drafted", "context", "expected"),
    [
        pytest.param(DENSE, 1, 0, 0, 900, id="weights alone"),
        pytest.param(DENSE, 1, 0, 30, 960, id="and the context"),
        pytest.param(DENSE, 4, 3, 30, 960, id="a drafter without weights reads nothing"),
        pytest.param(SERIAL, 1, 0, 0, 900, id="K = 0 does not run the drafter"),
        pytest.param(SERIAL, 4, 3, 0, 1_050, id="a pass for each token"),
        pytest.param(PARALLEL, 1, 0, 0, 900, id="K = 0 of a parallel drafter"),
        pytest.param(PARALLEL, 4, 3, 0, 950, id="one pass for all tokens"),
        pytest.param(MIXTURE, 1, 0, 0, 900 + 2_000, id="the experts of one token"),
        pytest.param(MIXTURE, 2, 0, 0, 900 + 3_500, id="two tokens share some"),
        pytest.param(replace(MIXTURE, experts_active=8), 3, 0, 0, 8_900, id="all experts"),
        pytest.param(replace(DENSE, target_read=None), 1, 0, 0, None, id="target unknown"),
        pytest.param(replace(DENSE, kv_token_bytes=None), 1, 0, 0, None, id="cache unknown"),
        pytest.param(replace(DENSE, draft_read=None), 1, 0, 0, None, id="drafter unknown"),
    ],
)
def test_bytes_of_a_pass(memory: LaneMemory, rows: int, drafted: int, context: int, expected: float | None) -> None:
    assert pass_bytes(memory, rows, drafted, context) == (None if expected is None else pytest.approx(expected))


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


def test_the_longest_draft_of_a_step_counts_and_all_its_rows() -> None:
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
