"""What steps cost at each K, summed up, and as rows."""

from __future__ import annotations

import pytest

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.step_costs import StepCosts, pays_up_to
from spectui.core.views import RunView, Viewer
from spectui.events import LaneInfo, Prompt, RequestStarted, RoundStarted, RunStarted, Sampling, Step
from spectui.ui.rows import plain, row_width
from spectui.ui.widgets.cost_rows import cost_rows

AR = LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = LaneInfo("mtp", "mtp", "MTP", 3, "mtp:k=3")


def step(lane: LaneInfo, index: int, k: int, clock_ms: float, slot: int = 0, batch: int = 1, emitted: int = 1) -> Step:
    wall, draft = (20.0, 0.0) if not k else (22.0 + 2 * k, 2.0 * k)
    wall += 5 * (batch - 1) * (1 + k / 2)
    return Step(
        lane=lane.name,
        request=f"0.{slot}",
        slot=slot,
        index=index,
        k=k,
        drafted=tuple(range(k)),
        accepted=emitted - 1,
        emitted=tuple(range(emitted)),
        cut=(),
        own="recovered",
        cut_reason=None,
        text=("x",) * emitted,
        drafted_text=("x",) * k,
        batch=batch,
        wall_ns=int(wall * 1e6),
        clock_ns=int(clock_ms * 1e6),
        draft_ns=int(draft * 1e6),
        verify_ns=int(18e6),
    )


def costs(lane: LaneInfo, *batches: int, ks: tuple[int, ...] = (0,)) -> StepCosts:
    """Ten engine steps at each K and batch; two tokens of every three steps are accepted drafts."""
    found, clock = StepCosts(), 0
    for batch in batches:
        for k in ks:
            for number in range(10):
                clock += 1
                for slot in range(batch):
                    emitted = 1 + (number % 3 > 0) if k else 1
                    found.add(step(lane, number, k, clock, slot, batch, emitted))
    return found


def test_the_time_of_an_engine_step_counts_once_and_the_prompts_step_not_at_all() -> None:
    (figure,) = costs(AR, 2).figures(0, (), 2)
    assert figure.step_s == pytest.approx(0.025)
    assert figure.verify_s == pytest.approx(0.018)
    assert figure.tok_s == pytest.approx(2 / 0.025)
    assert figure.estimate_tok_s == pytest.approx(2 / 0.025)
    (other,) = costs(AR, 2).figures(0, (), 1)
    assert other.tok_s is other.step_s is other.estimate_tok_s is None


def test_a_k_that_was_not_tried_is_estimated() -> None:
    figures = costs(MTP, 1, ks=(1, 3)).figures(3, (0.6, 0.3, 0.1), 1)
    assert [figure.tok_s is None for figure in figures] == [True, False, True, False]
    assert figures[2].estimate_tok_s == pytest.approx(1.9 / 0.026)
    assert figures[1].length == pytest.approx(1 + 6 / 9)


def test_the_crossover_needs_two_concurrencies() -> None:
    assert pays_up_to(costs(MTP, 1, ks=(2,)), 2, costs(AR, 1)) == (False, None)
    known, requests = pays_up_to(costs(MTP, 1, 4, ks=(2,)), 2, costs(AR, 1, 4))
    assert known
    # 1.667 tokens in 16 + 10 n ms against one in 15 + 5 n ms.
    assert requests == pytest.approx((1.6667 * 15 - 16) / (10 - 1.6667 * 5), rel=0.01)


def race(*steps: Step, requests: int = 1) -> RunView:
    state = RunState()
    reduce(state, RunStarted("target", (AR, MTP), Sampling(), requests))
    reduce(state, RoundStarted(0, (Prompt("p"),) * requests, Sampling()))
    for info in (AR, MTP):
        for slot in range(requests):
            reduce(state, RequestStarted(info.name, f"0.{slot}", slot, 3))
    for one in steps:
        reduce(state, one)
    return Viewer(state).read()


@pytest.mark.parametrize("width", [40, 76, 116, 196])
def test_rows_show_every_lane_that_has_taken_a_step(width: int) -> None:
    empty = cost_rows(race().lanes, width)
    assert [plain(row) for row in empty] == ["no step yet"]
    steps = [step(AR, n, 0, n) for n in range(5)] + [step(MTP, n, 1 + n % 3, n, emitted=2) for n in range(9)]
    rows = cost_rows(race(*steps).lanes, width)
    assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]
    text = "\n".join(map(plain, rows))
    assert "AR   1 request in flight" in text
    assert "MTP" in text
    assert "Race at another number" in text
    if width > 76:
        assert "2.0 + 18.0 + 4.0" in text
