"""The search for the best K on made-up lanes whose best K is known."""

from __future__ import annotations

import pytest

from spectui.core.paired import UNKNOWN, PromptSet
from spectui.core.tuner import PLAIN, Search, verdict
from spectui.protocol.events import NOTHING, KFigure, TuneTurn
from tests.load.tuned_lanes import Profile, search

LANES = 24


@pytest.mark.parametrize("requests", [1, 4, 16])
def test_the_best_k_is_found_in_nearly_all_lanes_and_its_speed_up_is_covered(requests: int) -> None:
    good = covered = intervals = 0
    for seed in range(LANES):
        profile = Profile(seed)
        tuning = search(profile, seed, requests=requests)
        truth = {k: profile.truth(k, requests) for k in range(profile.k_max + 1)}
        good += truth[tuning.best] >= 0.99 * max(truth.values())
        figure = tuning.figures()[tuning.best]
        if figure.over_ar_low is not None and figure.over_ar_high is not None:
            intervals += 1
            speed_up = truth[tuning.best] / profile.truth(0, requests, plain=True)
            covered += figure.over_ar_low <= speed_up <= figure.over_ar_high
    assert good >= 0.9 * LANES
    assert intervals >= 0.9 * LANES
    assert covered >= 0.85 * intervals


def test_prompts_of_one_kind_after_the_other_are_drawn_evenly() -> None:
    """With a slow kind at the end of the file, the first prompts alone would choose another K."""
    prompts = PromptSet(["coding"] * 4 + ["math"] * 4 + ["poems"] * 4)
    chosen = Search((0, 1), prompts)
    assert sorted(prompts.strata[number] for number in chosen.draw(3)) == [0, 1, 2]
    assert sorted(prompts.strata[number] for number in chosen.draw(6)) == [0, 0, 1, 1, 2, 2]
    assert len(set(chosen.draw(3))) == 3


def measured(rates: dict[int, list[tuple[float, float]]], *, kinds: int = 1) -> Search:
    """A search that was given (tokens, seconds) of each prompt in one turn a prompt."""
    count = len(next(iter(rates.values())))
    found = Search(sorted(k for k in rates if k != PLAIN), PromptSet([str(i % kinds) for i in range(count)]))
    for _ in range(count):
        (number,) = found.draw(1)
        for k in rates:
            if k == PLAIN or k in found.running:
                tokens, seconds = rates[k][number]
                found.add(k, [(number, (tokens, seconds, tokens))])
        found.end_turn()
    return found


def test_total_tokens_over_total_time_decide_and_no_mean_of_ratios() -> None:
    """K = 2 is twice as fast on four quick prompts and half as fast on a slow one: traffic is slower with it."""
    quick, slow = (32.0, 1.0), (32.0, 20.0)
    found = measured({0: [quick] * 4 + [slow], 2: [(32.0, 0.5)] * 4 + [(32.0, 40.0)]})
    assert found.best == 0
    assert found.ratio(2, 0).mean == pytest.approx((4 * 1.0 + 20.0) / (4 * 0.5 + 40.0))


def test_a_hopeless_k_gets_no_more_and_a_verdict_waits_for_every_kind() -> None:
    rates = {PLAIN: [(32.0, 1.0)] * 8, 0: [(32.0, 1.1)] * 8, 1: [(32.0, 0.6)] * 8}
    found = measured(rates, kinds=2)
    assert found.running == (1,)
    assert found.decided == "separated"
    few = Search((0, 1), PromptSet(["a", "b"] * 4))
    for number in few.draw(3):
        few.add(0, [(number, (32.0, 1.1, 32.0))])
        few.add(1, [(number, (32.0, 0.6, 32.0))])
        few.end_turn()
    assert few.running == (1,)
    assert few.decided is None
    assert few.out_of_time == "separated"


def test_a_search_that_intervals_did_not_decide_does_not_say_that_they_did() -> None:
    """K = 0 is far slower on each of three prompts, by so different factors that no interval says so."""
    times = {PLAIN: [1.0] * 3, 0: [1.4, 40.0, 1.4], 1: [1.0] * 3}
    found = Search((0, 1), PromptSet([""] * 3))
    for number in found.draw(3):
        for k, seconds in times.items():
            found.add(k, [(number, (32.0, seconds[number], 32.0))])
        found.end_turn()
    assert found.running == (1,)
    assert found.ratio(0, 1).high is None
    assert found.out_of_time == "outrun"


def test_the_figure_of_a_dropped_k_is_the_best_one_s_times_their_ratio() -> None:
    """K = 0 had the quick prompts only, 20 tok/s there against 50; the best K has 32 in all, so K = 0 has 12.8."""
    found = Search((0, 1), PromptSet([""] * 8))
    drawn = found.draw(8)
    for turn, number in enumerate(drawn):
        if turn < 4:
            found.add(0, [(number, (32.0, 1.6, 32.0))])
        found.add(1, [(number, (32.0, 0.64 if turn < 4 else 1.36, 32.0))])
        found.end_turn()
    assert found.running == (1,)
    best, dropped = found.throughput(1), found.throughput(0)
    assert best.mean == pytest.approx(32.0)
    assert found.ratio(0, 1).mean == pytest.approx(0.4)
    assert dropped.mean == pytest.approx(12.8)
    assert dropped.low is dropped.high is None


def test_equal_k_end_the_search_as_the_same() -> None:
    found = measured({k: [(32.0, 1.0 + 0.1 * i) for i in range(8)] for k in (0, 1, 2)})
    assert found.decided == "same"
    assert found.best == 0


def test_too_few_prompts_have_no_interval() -> None:
    found = measured({0: [(32.0, 1.0), (32.0, 1.2), (32.0, 1.1)], 1: [(32.0, 0.9), (32.0, 1.0), (32.0, 1.2)]})
    interval = found.ratio(1, 0)
    assert interval.mean is not None
    assert interval.low is interval.high is None


def test_bounds() -> None:
    with pytest.raises(ValueError, match="no K"):
        Search((), PromptSet(["a"]))
    with pytest.raises(ValueError, match="no prompts"):
        Search((1,), PromptSet([]))
    nothing = Search((3,), PromptSet(["a"]))
    assert (nothing.best, nothing.decided, nothing.throughput(3), nothing.ratio(3, PLAIN)) == (
        None,
        None,
        UNKNOWN,
        UNKNOWN,
    )
    assert measured({3: [(32.0, 1.0)] * 6}).decided == "alone"


def test_a_sweep_keeps_every_k_and_decides_nothing() -> None:
    sweep = Search((0, 1, 2), PromptSet(["a"] * 6), keep_all=True)
    for number in sweep.draw(6):
        for k, seconds in ((0, 3.0), (1, 1.0), (2, 2.9)):
            sweep.add(k, [(number, (32.0, seconds, 32.0))])
        sweep.end_turn()
    assert (sweep.running, sweep.decided, sweep.best) == ((0, 1, 2), None, 1)


def test_the_steps_of_a_search_are_on_no_lane_clock_of_the_race() -> None:
    """The race goes on from where it stood; else the next round would begin with the time of the search."""
    tuning = search(Profile(3), 3, budget_s=20.0)
    assert tuning.lane.clock_ns > 0
    assert tuning.lane.totals.steps > 0
    tuning.end("budget")
    assert (tuning.lane.clock_ns, tuning.lane.totals) == (0, NOTHING)
    assert tuning.spent_ns > 0


def turn(best: int, running: tuple[int, ...], over_ar: float | None, low: float | None = None) -> TuneTurn:
    figures = tuple(
        KFigure(
            k,
            k in running,
            40.0,
            None,
            None,
            1.3,
            None,
            (),
            None,
            None,
            None,
            None,
            over_ar,
            low,
            over_ar and over_ar + 0.1,
        )
        for k in range(5)
    )
    return TuneTurn("mtp", 1, 9, running, best, figures, 10, 60, None if over_ar is None else 30.0)


@pytest.mark.parametrize(
    ("state", "why", "said"),
    [
        (turn(2, (2,), 1.44, 1.34), "separated", "best K = 2, 1.44 times AR (1.34 to 1.54); the others are slower"),
        (turn(2, (2,), 1.44), "separated", "best K = 2, 1.44 times AR; the others are slower"),
        (
            turn(3, (2, 3, 4), 1.2),
            "budget",
            "best K = 3, 1.20 times AR; the best so far when time ran out; K = 2 to 4 cannot be told apart so far",
        ),
        (
            turn(3, (1, 3), 1.2),
            "cancelled",
            "best K = 3, 1.20 times AR; the best so far when stopped; K = 1 and 3 cannot be told apart so far",
        ),
        (
            turn(1, (1,), 0.9, 0.85),
            "separated",
            "do not speculate: AR is faster; the best K is 1, 0.90 times AR (0.85 to 1.00); the others are slower",
        ),
        (
            turn(2, (2,), None),
            "alone",
            "best K = 2, 1.30 times K = 0 (no AR lane to compare with); there was only one K",
        ),
    ],
)
def test_what_a_search_came_to_is_one_sentence(state: TuneTurn, why: str, said: str) -> None:
    assert "".join(verdict(why, state)) == said  # type: ignore[arg-type]


LANES_BESIDE_OTHERS = 12


def test_measurements_that_other_programs_held_up_are_made_again() -> None:
    """Another program slows the machine down for 2 s of every 10."""
    for seed in range(LANES_BESIDE_OTHERS):
        profile = Profile(seed)
        tuning = search(profile, seed, busy=lambda now_ms: now_ms % 10_000 < 2_000)
        truth = {k: profile.truth(k, 1) for k in range(profile.k_max + 1)}
        assert truth[tuning.best] >= 0.97 * max(truth.values())
        assert tuning.turn().disturbed < 0.05
        figure = next(figure for figure in tuning.figures() if figure.k == tuning.best)
        assert figure.tok_s == pytest.approx(truth[tuning.best], rel=0.15), "a third of it where they count"


def test_on_a_machine_that_is_always_busy_nothing_is_made_again_and_it_is_said() -> None:
    quiet = search(Profile(3), 3)
    tuning = search(Profile(3), 3, busy=lambda now_ms: True)
    turn = tuning.turn()
    assert turn.disturbed == 1
    assert turn.turn >= 2, "no time is lost on what cannot be had"
    assert quiet.turn().disturbed == 0
    assert verdict("budget", turn)[1].endswith(
        "; 100 % of the measurement was disturbed: search again when the machine is quiet"
    )
    assert "disturbed" not in verdict("budget", quiet.turn())[1]
