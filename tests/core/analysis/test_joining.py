"""Headroom of lanes from the events of a trace."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from spectui.bench.analysis.pooling import Pooling
from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.results import Choice, Headroom
from spectui.core.analysis.window import Window
from spectui.protocol.events import KChanged, KSource, LaneInfo, RoundStarted, RunStarted, Step, TraceEvent
from tests.support.drafted_traces import AR, Making
from tests.trace.making import made_run


def headrooms(events: list[TraceEvent]) -> dict[str, Headroom]:
    columns = Columns()
    columns.add_all(events)
    return {one.lane: one for one in analyse(columns).headroom}


def long_run() -> list[TraceEvent]:
    return list(made_run(1, max_tokens=200, rounds=4))


def test_each_drafting_lane_has_its_headroom_next_to_ar() -> None:
    events = long_run()
    found = headrooms(events)
    assert list(found) == ["mtp", "dflash"]
    rates = {}
    assert {one.batch for one in events if isinstance(one, Step)} == {1, 2, 3}
    for name in ("ar", "mtp"):
        steps = [one for one in events if isinstance(one, Step) and one.lane == name and one.index and one.batch == 3]
        rates[name] = sum(one.accepted + 1 for one in steps) / sum(one.wall_ns for one in steps) * 1e9
    now = found["mtp"].choices[0]
    assert (now.key, now.tok_s, now.times_ar) == ("now", rates["mtp"], rates["mtp"] / rates["ar"])
    assert now.detail.endswith(", 3 in flight")
    assert found["mtp"].sentence.endswith(" Only steps with 3 requests in flight count here.")


def test_without_ar_there_is_no_ratio() -> None:
    alone = [event for event in long_run() if getattr(event, "lane", "") != "ar"]
    now = headrooms(alone)["mtp"].choices[0]
    assert now.tok_s is not None
    assert now.times_ar is None


def test_categories_are_named() -> None:
    events = [
        replace(event, prompts=tuple(replace(one, category=f"kind {event.round % 2}") for one in event.prompts))
        if isinstance(event, RoundStarted)
        else event
        for event in long_run()
    ]
    best = next(one for one in headrooms(events)["mtp"].choices if one.key == "category")
    assert best.detail.startswith("kind 0 K=")
    assert ", kind 1 K=" in best.detail


def test_a_lane_that_chose_its_k_says_why_nothing_can_be_estimated() -> None:
    found = headrooms(raced(lambda number: None, "auto"))["mtp"]
    fixed = next(one for one in found.choices if one.key == "fixed")
    assert fixed.tok_s is None
    assert fixed.missing.startswith("K was automatic")


LANE = LaneInfo("mtp", "mtp", "MTP", 5, "mtp:k=5")


def at(k: int, *, batch: int = 1, seed: int = 0) -> Iterator[TraceEvent]:
    """A race at one K with so many requests in flight, where each K more costs 1 ms, and each request more 10 ms."""
    making = Making(
        lanes=(AR, LANE),
        chance={"mtp": lambda category, text, position: 0.8 if position <= k else -9.0},
        seed=seed,
        spread=0,
        step_ms={"ar": 10.0 + 10 * batch, "mtp": 10.0 + 10 * batch + k},
    )
    for event in making.events():
        yield replace(drafting(event, k), batch=batch) if isinstance(event, Step) else event


def drafting(step: Step, k: int) -> Step:
    """The same step with a draft of at most ``k`` tokens, if it is one of the drafting lane."""
    if step.lane == "ar":
        return step
    right = min(step.accepted, k)
    emitted = step.emitted[: right + 1] if right < step.accepted else step.emitted
    cut = () if right < step.accepted else step.cut
    text = step.text[: len(emitted) + len(cut)]
    return replace(
        step, k=k, drafted=step.drafted[:k], drafted_text=step.drafted_text[:k], accepted=right,
        emitted=emitted, cut=cut, text=text,
    )  # fmt: skip


def pooled(*traces: Iterator[TraceEvent]) -> tuple[Headroom, dict[str, Choice]]:
    pooling, events = Pooling(), []
    for number, trace in enumerate(traces):
        pooling.open(f"{number}")
        events += [pooling.pooled(event) for event in trace]
    (found,) = headrooms(events).values()
    return found, {one.key: one for one in found.choices}


def tok_s(trace: Iterator[TraceEvent], lane: str = "mtp") -> float:
    steps = [one for one in trace if isinstance(one, Step) and one.lane == lane and one.index]
    return sum(one.accepted + 1 for one in steps) / sum(one.wall_ns for one in steps) * 1e9


def test_of_a_sweep_the_fastest_k_is_what_others_are_compared_with() -> None:
    found, choices = pooled(*(at(k, seed=k) for k in range(1, 6)))
    assert choices["now"].tok_s == pytest.approx(tok_s(at(5, seed=5)))
    assert choices["now"].detail == "K=5, the fastest that ran"
    assert choices["fixed"].detail.startswith("K=5")
    assert found.work_on != "k"
    assert "so " + f"{choices['fixed'].tok_s:.1f} tok/s at K = 5" in found.formula
    assert found.sentence.endswith(" The comparison is with K=5, the fastest that ran.")


def test_in_one_run_it_is_the_k_with_most_time() -> None:
    events = [*at(1), *(event for event in at(5, seed=1) if isinstance(event, Step))]
    (found,) = headrooms(events).values()
    assert found.choices[0].detail == "K=1, which ran longest"
    assert found.choices[0].tok_s == pytest.approx(tok_s(at(1)))
    assert found.work_on == "k"


def test_steps_with_other_numbers_in_flight_do_not_count() -> None:
    found, choices = pooled(at(3), at(3, seed=1), at(3, batch=4, seed=2))
    ars = [sum(e.wall_ns for e in at(3, seed=n) if isinstance(e, Step) and e.lane == "ar" and e.index) for n in (0, 1)]
    assert choices["now"].detail == "K=3, 1 in flight"
    assert choices["now"].tok_s is not None
    assert choices["now"].times_ar == pytest.approx(choices["now"].tok_s * sum(ars) / 1e9 / (2 * 12 * 63))
    assert found.sentence.endswith(" Only steps with 1 request in flight count here.")
    assert found.formula.startswith(pooled(at(3), at(3, seed=1))[0].formula[:40])


def test_a_number_in_flight_that_ar_lacks_is_not_taken_where_another_will_do() -> None:
    many = (event for event in at(3, batch=4) if getattr(event, "lane", "") != "ar")
    assert pooled(many, at(3, seed=1))[1]["now"].detail == "K=3, 1 in flight"


def raced(change: Callable[[int], KChanged | None], source: KSource | None = None) -> list[TraceEvent]:
    """A race whose K is 5 in coding and 1 in math, with changes of K before some rounds."""
    made: list[TraceEvent] = []
    coding = False
    for event in at(5):
        if isinstance(event, RoundStarted):
            coding = event.prompts[0].category == "coding"
            if (changed := change(event.round)) is not None:
                made.append(changed)
        if isinstance(event, RunStarted):
            event = replace(event, lanes=(AR, replace(LANE, k_source=source)))
        made.append(drafting(event, 5 if coding else 1) if isinstance(event, Step) else event)
    return made


def test_an_automatic_k_that_began_in_the_race_is_one() -> None:
    begun = raced(lambda number: KChanged("mtp", 5, "auto") if not number else None)
    (found,) = headrooms(begun).values()
    assert found.choices[0].detail == "K=auto"
    assert found.choices[1].missing.startswith("K was automatic")
    # A window that began later knows too.
    window = Window(most=600)
    for event in begun:
        window.add(event)
    assert window.dropped
    assert analyse(window.columns).headroom[0].choices[0].detail == "K=auto"


def test_steps_at_a_fixed_k_count_although_others_were_automatic() -> None:
    (found,) = headrooms(raced(lambda number: KChanged("mtp", 5) if number == 6 else None, "auto")).values()
    assert found.choices[0].detail.endswith("while fixed")
    assert found.choices[1].tok_s is not None
    assert "Steps at an automatic K do not count here." in found.sentence


def test_a_k_that_could_only_stay_is_not_automatic() -> None:
    start, *rest = at(4)
    assert isinstance(start, RunStarted)
    (found,) = headrooms([replace(start, lanes=(AR, replace(LANE, k_source="auto"))), *rest]).values()
    assert found.choices[0].detail == "K=4"
    assert found.choices[1].tok_s is not None


def test_a_diffusion_lane_is_not_taken_for_ar() -> None:
    diffusion = LaneInfo("diffusion", "diffusion", "Diffusion", 0, "diffusion")
    making = Making(lanes=(diffusion, AR, LANE), step_ms={"diffusion": 500.0, "ar": 20.0, "mtp": 25.0})
    now = headrooms(list(making.events()))["mtp"].choices[0]
    assert now.tok_s is not None
    assert now.times_ar == pytest.approx(now.tok_s / tok_s(making.events(), "ar"))
