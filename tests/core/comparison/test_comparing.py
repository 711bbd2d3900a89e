"""What changed between two traces: what is found, what is not, and what is left out."""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace

import pytest

from spectui.core.comparison.answers import Recorded
from spectui.core.comparison.change import Effect, Pair, effect
from spectui.core.comparison.compare import compare
from spectui.core.comparison.gate import gate
from spectui.core.comparison.measures import RATE
from spectui.core.comparison.results import Comparison, LanePair
from spectui.errors import RunError, UsageError
from spectui.protocol import events as ev
from tests.support.drafted_traces import AR, GREEDY, MTP, Making

pytestmark = pytest.mark.unit

BASE = Making()
MANY = replace(
    BASE,
    prompts=tuple((f"prompt {i}", ("coding", "math")[i % 2]) for i in range(32)),
    sampling=replace(GREEDY, max_tokens=400),
)


def recorded(making: Making | Iterable[ev.TraceEvent]) -> Recorded:
    side = Recorded()
    for event in making.events() if isinstance(making, Making) else making:
        side.add(event)
    return side


def compared(a: Making, b: Making, **options: object) -> Comparison:
    return compare(recorded(a), recorded(b), **options)  # type: ignore[arg-type]


def mtp(found: Comparison) -> LanePair:
    return next(lane for lane in found.lanes if lane.k)


def names(lane: LanePair) -> set[tuple[str, str]]:
    return {(change.figure, change.by) for change in lane.changes}


@dataclass
class Known:
    """An effect whose interval is known."""

    a: float
    b: float
    change: float
    low: float
    high: float


def _known(found: Effect | None) -> Known:
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    return Known(found.a, found.b, found.change, found.low, found.high)


def worse_at_numbers(category: str, text: str, position: int) -> float:
    return 0.5 if text.strip().isdigit() else 0.6


def test_a_trace_compared_with_itself_has_no_change() -> None:
    found = compared(BASE, BASE)
    assert found.changed == ()
    assert {lane.a: (lane.answers, lane.same) for lane in found.lanes} == {"ar": (12, 12), "mtp": (12, 12)}
    assert all(change.a == change.b for lane in found.lanes for change in lane.changes)
    assert found.comparisons > 20


def test_ten_points_less_at_numbers_are_found_and_named() -> None:
    """In every one of six pairs; no other kind of token is blamed."""
    for seed in range(6):
        making = replace(MANY, lanes=(MTP,), seed=2 * seed)
        found = compared(making, replace(making, seed=2 * seed + 1, chance={"mtp": worse_at_numbers}))
        kinds = {change.name for _, change in found.changed if change.by == "kind"}
        assert kinds == {"numbers"}
        change = next(change for change in mtp(found).changes if change.name == "numbers")
        assert change.low is not None
        assert change.high is not None
        assert change.low < -0.1 < change.high < 0


def test_chance_is_no_change_in_200_pairs() -> None:
    """Traces of 5 prompts of a few words and lanes that differ in nothing but luck: few false alarms."""
    alarms = 0
    for number in range(200):
        making = replace(
            BASE,
            prompts=[(f"prompt {i}", ("coding", "math")[i % 2]) for i in range(5)],
            sampling=replace(GREEDY, max_tokens=48),
            spread=0.2,
        )
        found = compared(
            replace(making, seed=2 * number),
            replace(making, seed=2 * number + 1, text_seed=number if number % 2 else 0),
        )
        alarms += bool(found.changed)
    assert alarms < 10


def test_a_change_has_the_interval_of_the_jackknife() -> None:
    """The worked example of the module, weighted as drafted tokens are."""
    accepted = enumerate([(60, 50), (50, 45), (40, 40)])
    pairs: dict[Hashable, list[Pair]] = {number: [((a, 100.0), (b, 100.0))] for number, (a, b) in accepted}
    found = _known(effect(RATE, pairs))
    assert (found.a, found.b, found.change) == pytest.approx((0.5, 0.45, -0.05))
    assert found.high - found.change == pytest.approx(4.303 * 0.0289, rel=0.002)
    assert found.change - found.low == pytest.approx(4.303 * 0.0289, rel=0.002)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Of 400 made-up changes of a rate over eight unequal prompts, about 95 % of the intervals hold the true one."""
    dice = random.Random(7)
    held = 0
    for _ in range(400):
        pairs: dict[Hashable, list[Pair]] = {}
        for number in range(8):
            drafted, chance = dice.randrange(100, 300), 0.5 + dice.gauss(0, 0.1)
            counts = [sum(dice.random() < p for _ in range(drafted)) for p in (chance, chance - 0.1)]
            pairs[number] = [((counts[0], float(drafted)), (counts[1], float(drafted)))]
        found = _known(effect(RATE, pairs))
        held += found.low <= -0.1 <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_what_few_prompts_say_has_no_interval() -> None:
    found = compared(replace(BASE, prompts=BASE.prompts[:2]), replace(BASE, prompts=BASE.prompts[:2], seed=1))
    assert all(change.p is None and not change.changed for lane in found.lanes for change in lane.changes)
    assert "too few different prompts" in found.notes[0]


def test_one_prompt_asked_often_is_one_prompt() -> None:
    often = replace(BASE, prompts=(("again", "coding"),) * 12)
    found = compared(often, replace(often, seed=1))
    assert (mtp(found).answers, mtp(found).conversations) == (12, 1)
    assert found.comparisons == 0


def test_times_of_another_machine_are_left_out_but_speedups_are_not() -> None:
    found = compared(BASE, replace(BASE, machine="there"))
    assert {figure for figure, _ in names(mtp(found))} == {
        *("acceptance_length", "acceptance_rate", "conditional_acceptance", "speedup")
    }
    assert "times left out: machine here in A, there in B" in mtp(found).left_out
    assert [(one.what, one.a, one.b) for one in found.conditions] == [("machine", "here", "there")]


def test_a_slower_step_is_found() -> None:
    found = compared(BASE, replace(BASE, seed=1, step_ms={"ar": 20.0, "mtp": 26.0}))
    changed = {(lane.a, change.figure) for lane, change in found.changed if change.by == "all"}
    assert {("mtp", "step_ms"), ("mtp", "draft_ms"), ("mtp", "verify_ms")} <= changed
    assert not {one for one in changed if one[0] == "ar" or one[1].startswith("acceptance")}


def test_other_k_leaves_only_acceptance_by_position() -> None:
    other = replace(MTP, k_max=2, spec="mtp:k=2")
    found = compared(BASE, replace(BASE, lanes=(AR, other)))
    assert {by for _, by in names(mtp(found))} == {"position"}
    assert "K 3 in A, 2 in B: only acceptance by position is compared" in mtp(found).left_out
    assert found.conditions == ()


def test_lanes_that_choose_k_themselves_are_compared() -> None:
    auto = replace(MTP, spec="mtp:k=auto", k_source="auto")

    def alternating(making: Making, k: int) -> Recorded:
        events = making.events()
        return recorded(replace(e, k=k + e.index % 2) if isinstance(e, ev.Step) and e.drafted else e for e in events)

    making = replace(BASE, lanes=(AR, auto))
    found = compare(alternating(making, 3), alternating(making, 4))
    assert ("acceptance_length", "all") in names(mtp(found))
    fixed = replace(making, lanes=(AR, replace(auto, k_source="yours")))
    assert ("acceptance_length", "all") not in names(mtp(compare(alternating(fixed, 3), alternating(fixed, 4))))


def test_forks_are_compared_with_the_same_forks_only() -> None:
    def forked(put: int) -> Recorded:
        branch = ev.Branch(0, "mtp", 0, 3, 5, (put,), "Once upon", "?", "!")
        return recorded(
            replace(event, parent=branch) if isinstance(event, ev.RoundStarted) and event.round < 4 else event
            for event in replace(BASE, ids=False).events()
        )

    assert mtp(compare(forked(1), forked(1))).answers == 12
    found = compare(forked(1), forked(2))
    assert mtp(found).answers == 8
    assert "4 answers left out: only A has them" in mtp(found).left_out


def test_another_target_cannot_be_compared() -> None:
    with pytest.raises(RunError, match="A raced target, B other: acceptance can be compared on the same target only"):
        compared(BASE, replace(BASE, target="other"))


def test_another_sampling_is_no_answer_in_common() -> None:
    warm = replace(BASE, sampling=replace(GREEDY, temperature=0.7))
    with pytest.raises(RunError, match=r"12 answers left out: temperature 0 in A, 0.7 in B"):
        compared(BASE, warm)
    found = compared(warm, replace(warm, sampling=replace(warm.sampling, seed=5)))
    assert mtp(found).answers == 12


def test_another_chat_template_is_another_prompt() -> None:
    def templated(event: ev.TraceEvent) -> ev.TraceEvent:
        if isinstance(event, ev.RequestStarted) and event.request in ("0.0", "1.0"):
            return replace(event, prompt_ids=(7, *event.prompt_ids))
        return event

    found = compare(recorded(BASE), recorded(map(templated, BASE.events())))
    assert mtp(found).answers == 10
    assert any(
        "2 answers left out: the prompt's text is the same, its tokens are not" in sentence
        for sentence in mtp(found).left_out
    )
    unknown = replace(BASE, ids=False)
    assert mtp(compared(BASE, unknown)).answers == 12


def test_a_disturbed_answer_has_no_time() -> None:
    def disturbed(event: ev.TraceEvent) -> ev.TraceEvent:
        if isinstance(event, ev.Step) and event.lane == "mtp" and event.request == "0.0":
            return replace(event, disturbed=True, wall_ns=9 * event.wall_ns)
        return event

    found = compare(recorded(BASE), recorded(map(disturbed, BASE.events())))
    assert "times of 1 of 12 answers left out: something else disturbed them" in mtp(found).left_out
    assert found.changed == ()
    assert next(change for change in mtp(found).changes if change.figure == "step_ms").change == 1


def test_answers_with_missing_steps_are_left_out() -> None:
    lost = [
        event
        for event in BASE.events()
        if not (isinstance(event, ev.Step) and event.request == "3.0" and event.index == 4)
    ]
    stopped = [event for event in lost if not (isinstance(event, ev.RequestFinished) and event.request == "5.0")]
    found = compare(recorded(BASE), recorded(stopped))
    assert mtp(found).answers == 10
    assert "2 answers of B left out: stopped before the end, or steps are missing" in mtp(found).left_out
    assert found.changed == ()


def test_a_trace_without_its_beginning_cannot_be_compared() -> None:
    headless = [event for event in BASE.events() if not isinstance(event, ev.RunStarted)]
    with pytest.raises(RunError, match="B does not say what raced"):
        compare(recorded(BASE), recorded(headless))


def test_events_in_any_order_and_with_any_numbers_are_survived() -> None:
    """A trace whose lines were shuffled, and ids that no tokenizer has."""
    events = list(BASE.events())
    odd = [replace(e, emitted=tuple(-(2**62) + i for i in e.emitted)) if isinstance(e, ev.Step) else e for e in events]
    assert compare(recorded(odd), recorded(odd)).changed == ()
    random.Random(1).shuffle(events)
    with pytest.raises(RunError, match="no answer in common"):
        compare(recorded(BASE), recorded(events))


def test_the_only_drafting_lanes_are_compared_whatever_their_names() -> None:
    eagle = ev.LaneInfo("eagle", "eagle", "EAGLE", 3, "eagle:k=3")
    other = replace(BASE, lanes=(AR, eagle), chance={"eagle": BASE.chance["mtp"]})
    found = compared(BASE, other)
    assert [(lane.a, lane.b) for lane in found.lanes] == [("ar", "ar"), ("mtp", "eagle")]
    assert [one.what for one in found.conditions] == ["drafter of mtp"]


def test_named_lanes_are_compared() -> None:
    second = ev.LaneInfo("mtp-2", "mtp", "MTP", 3, "mtp:k=3")
    chance = {"mtp": BASE.chance["mtp"], "mtp-2": BASE.chance["mtp"]}
    two = replace(BASE, lanes=(AR, MTP, second), chance=chance)
    found = compared(two, two, named=[("mtp", "mtp-2")])
    assert [(lane.a, lane.b) for lane in found.lanes] == [("ar", "ar"), ("mtp", "mtp-2")]
    assert [(lane.a, lane.b) for lane in compared(two, two).lanes] == [(one.name, one.name) for one in two.lanes]
    with pytest.raises(UsageError, match="--lane mtp=mpt-2: B has no lane 'mpt-2': did you mean 'mtp-2'"):
        compared(two, two, named=[("mtp", "mpt-2")])


def test_the_gate_fails_a_drafter_that_lost_and_passes_chance() -> None:
    worse = replace(MANY, seed=1, chance={"mtp": lambda category, text, position: 0.52})
    before, after = recorded(MANY), recorded(worse)
    verdict = gate(before, after, "acceptance-length", 0.98)
    assert verdict.failed
    assert verdict.lanes[0].ratio < 0.95
    assert not gate(after, before, "acceptance-length", 0.98).failed
    assert not gate(before, before, "acceptance-length", 1.0).failed
    assert not gate(before, after, "acceptance-length", 0.8).failed


def test_the_gate_does_not_pass_on_nothing() -> None:
    few = replace(BASE, prompts=BASE.prompts[:2])
    with pytest.raises(RunError, match="cannot judge the acceptance-length of mtp: it needs 3 prompts or more"):
        gate(recorded(few), recorded(few), "acceptance-length", 0.98)
    with pytest.raises(RunError, match="cannot judge the throughput of mtp: times left out: machine"):
        gate(recorded(BASE), recorded(replace(BASE, machine="there")), "throughput", 0.98)
    plain = replace(BASE, lanes=(AR,))
    with pytest.raises(RunError, match="nothing to judge"):
        gate(recorded(plain), recorded(plain), "speedup", 0.98)
