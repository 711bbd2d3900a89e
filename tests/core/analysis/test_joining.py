"""Headroom of lanes from the events of a trace."""

from __future__ import annotations

from dataclasses import replace

from spectui.core.analysis.analyse import analyse
from spectui.core.analysis.columns import Columns
from spectui.core.analysis.results import Headroom
from spectui.protocol.events import LaneInfo, RoundStarted, RunStarted, Step, TraceEvent
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
    for name in ("ar", "mtp"):
        steps = [one for one in events if isinstance(one, Step) and one.lane == name and one.index > 0]
        rates[name] = sum(one.accepted + 1 for one in steps) / sum(one.wall_ns for one in steps) * 1e9
    now = found["mtp"].choices[0]
    assert (now.key, now.tok_s, now.times_ar) == ("now", rates["mtp"], rates["mtp"] / rates["ar"])
    assert found["mtp"].sentence


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
    start, *rest = long_run()
    assert isinstance(start, RunStarted)

    def automatic(info: LaneInfo) -> LaneInfo:
        return replace(info, k_source="auto") if info.k_max else info

    found = headrooms([replace(start, lanes=tuple(map(automatic, start.lanes))), *rest])["mtp"]
    fixed = next(one for one in found.choices if one.key == "fixed")
    assert fixed.tok_s is None
    assert fixed.missing.startswith("K was automatic")
