"""What steps cost at each K, summed up, and as rows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from spectui.core.batch_cost import Pays
from spectui.core.k_sums import KSums
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.step_costs import StepCosts, pays_at
from spectui.core.views import RunView, Viewer
from spectui.protocol.events import LaneInfo, Prompt, RequestStarted, RoundStarted, RunStarted, Sampling, Step
from spectui.ui.paint.rows import plain, row_width
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
    (figure,) = costs(AR, 2).figures(0, 2)
    assert figure.step_s == pytest.approx(0.025)
    assert figure.verify_s == pytest.approx(0.018)
    assert figure.tok_s == pytest.approx(2 / 0.025)
    assert figure.estimate_tok_s == pytest.approx(2 / 0.025)
    (other,) = costs(AR, 2).figures(0, 1)
    assert other.tok_s is other.step_s is other.estimate_tok_s is None


def test_a_k_that_was_not_tried_is_estimated() -> None:
    figures = costs(MTP, 1, ks=(1, 3)).figures(3, 1)
    assert [figure.tok_s is None for figure in figures] == [True, False, True, False]
    # Six of nine steps accept one token, none a second one.
    assert figures[2].estimate_tok_s == pytest.approx((1 + 6 / 9) / 0.026)
    assert [figure.accepted_at for figure in figures] == [None, 1, 3, 3]
    assert figures[1].length == pytest.approx(1 + 6 / 9)
    assert [figure.by_position for figure in figures] == [(), (6 / 9,), (), (6 / 9, 0.0, 0.0)]


def test_what_one_k_alone_does_not_say_is_not_estimated() -> None:
    figures = costs(MTP, 1, ks=(2,)).figures(3, 1)
    assert [figure.estimate_tok_s for figure in figures] == [None, None, pytest.approx((1 + 6 / 9) / 0.026), None]
    assert [figure.no_estimate for figure in figures] == [
        *["only K = 2 was measured"] * 2,
        "",
        "only K = 2 was measured",
    ]


def seldom(number: int, clock_ms: float, batch: int = 1, slot: int = 0) -> Step:
    """One step in five drafts five tokens, of which four are accepted; 14 ms with a draft, 9 ms without."""
    drafting = number % 5 == 0
    one = step(MTP, number, 5, clock_ms, slot, batch, 5 if drafting else 1)
    if not drafting:
        one = replace(one, drafted=(), drafted_text=(), own="bonus")
    return replace(one, wall_ns=14_000_000 if drafting else 9_000_000, draft_ns=None, verify_ns=None)


def test_an_estimate_knows_how_seldom_drafts_come() -> None:
    found = StepCosts()
    for number in range(1, 101):
        found.add(seldom(number, number))
    figure = found.figures(5, 1)[5]
    assert figure.tok_s == pytest.approx(180)
    assert figure.estimate_tok_s == pytest.approx(180)
    assert (figure.length, figure.drafting) == (5.0, pytest.approx(0.2))


def test_one_request_with_a_draft_makes_an_engine_step_one_with_a_draft() -> None:
    for drafting in ((True, False), (False, True), (True, True)):
        sums = KSums()
        for number in range(1, 11):
            for place, slot in enumerate((0, 1)):
                # The second request's drafts come a step after the first one's.
                drafts = drafting[place] and number % 5 == 0
                one = seldom(5 if drafts else 1, number, batch=2, slot=slot)
                sums.add(one, None if place else 14_000_000 if number % 5 == 0 else 9_000_000)
        observed = sums.observed(5)
        assert (observed.steps, observed.bare_steps, observed.share) == (2, 8, pytest.approx(0.2))
        assert (observed.time.total, observed.bare.total) == (pytest.approx(0.014), pytest.approx(0.009))
        assert sums.drafts(5).share == pytest.approx(sum(drafting) * 2 / 20)


def test_sums_that_are_put_together_are_those_of_all_the_steps() -> None:
    parts, every = [KSums(), KSums()], KSums()
    for number in range(1, 31):
        one = seldom(number, number)
        every.add(one, one.wall_ns)
        parts[number % 3 == 0].add(one, one.wall_ns)
    together = KSums()
    for part in parts:
        together.include(part)
    assert together.observed(5) == every.observed(5)
    assert together.drafts(5) == every.drafts(5)
    assert (together.tok_s, together.drafting) == (every.tok_s, every.drafting)


def test_the_crossover_needs_two_concurrencies() -> None:
    assert pays_at(costs(MTP, 1, ks=(2,)), 2, costs(AR, 1)) == (False, None)
    found = pays_at(costs(MTP, 1, 4, ks=(2,)), 2, costs(AR, 1, 4))
    # 1.667 tokens in 16 + 10 n ms against one in 15 + 5 n ms.
    crossing = (1.6667 * 15 - 16) / (10 - 1.6667 * 5)
    assert found == (True, Pays(1, 7, True, pytest.approx(crossing, rel=0.01)))


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
    assert [plain(row) for row in empty] == ["no steps yet"]
    steps = [step(AR, n, 0, n) for n in range(5)] + [step(MTP, n, 1 + n % 3, n, emitted=2) for n in range(9)]
    rows = cost_rows(race(*steps).lanes, width)
    assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]
    text = "\n".join(map(plain, rows))
    assert "AR   1 request in flight" in text
    assert "MTP" in text
    assert "Race at another number" in text
    if width > 76:
        assert "2.0 + 18.0 + 4.0" in text


def said(lane: LaneInfo, *steps: Step) -> str:
    state = RunState()
    reduce(state, RunStarted("target", (lane,), Sampling()))
    reduce(state, RoundStarted(0, (Prompt("p"),), Sampling()))
    reduce(state, RequestStarted(lane.name, "0.0", 0, 3))
    for one in steps:
        reduce(state, one)
    return "\n".join(map(plain, cost_rows(Viewer(state).read().lanes, 116)))


def test_the_screen_stands_where_a_line_through_the_measured_k_comes_down_to_nothing() -> None:
    long = replace(MTP, k_max=15)
    untimed = [
        replace(step(long, n + 1, k, n), wall_ns=wall, draft_ns=None, verify_ns=None)
        for n, (k, wall) in enumerate([(15, 21_600_000), (14, 20_000_000)] * 3)
    ]
    text = said(long, *untimed)
    assert "no est. for K = 0 to 12: too far from the measured K (14 and 15)." in text
    assert "est.: acceptance of K = 13, 14 measured at K = 14, of K = 15 measured at K = 15." in text
    timed = [
        replace(step(long, n + 1, k, n), wall_ns=wall, draft_ns=wall // 5, verify_ns=wall // 2)
        for n, (k, wall) in enumerate([(7, 12_500_000), (6, 10_000_000)] * 3)
    ]
    assert "no est. for K = 0 to 4, 9 to 15: too far from the measured K (6 and 7)" in said(long, *timed)


def test_the_screen_says_how_seldom_drafts_come() -> None:
    lane = replace(MTP, k_max=5)
    text = said(lane, *(seldom(number, number) for number in range(1, 101)))
    assert "A draft was found in 20 % of the steps at K = 5." in text
    assert "est.: acceptance measured at K = 5." in text
    assert "A draft" not in said(lane, *(step(lane, number, 5, number) for number in range(1, 101)))
