"""Whatever the reader takes can be folded, shown and printed; no control character gets out."""

from __future__ import annotations

import json
import random
from dataclasses import MISSING, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spectui.core.analysis.window import Window
from spectui.core.history import PastStep
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from spectui.protocol.samples import GpuSample, HostSample, TelemetrySample
from spectui.trace.codec import KINDS, decode
from spectui.trace.records import LineError
from spectui.ui.paint.bars import Bar, bar_rows
from spectui.ui.paint.rows import cells_filled, plain
from spectui.ui.widgets.inspect_rows import inspect_rows
from spectui.ui.widgets.time_bars import StepTimes, time_rows
from spectui.ui.widgets.tune_rows import tune_rows
from tests.load.mutated_traces import NUMBERS, TEXTS, WHOLES, report
from tests.support.every_screen import analysis_shown, shown

TRACES = 300
SMALL = st.integers(0, 3)
NAMED: dict[str, st.SearchStrategy[Any]] = {
    "lane": st.sampled_from(("ar", "mtp")),
    "slot": SMALL,
    "index": SMALL,
    "k": SMALL,
    "k_max": st.just(4),
    "k_start": st.none(),
}
"""Fields by which events find each other, or of which nearly every other value is refused."""


@pytest.mark.slow
def test_mutated_traces_are_folded_shown_and_printed() -> None:
    taken, faults = report(TRACES)
    assert not faults
    assert taken > TRACES * 0.8


@pytest.mark.parametrize(
    ("value", "top", "filled"),
    [
        (0.0, 1.0, 0),
        (0.5, 1.0, 4),
        (1.0, 1.0, 8),
        (2.0, 1.0, 8),
        (-1.0, 1.0, 0),
        (1.0, 0.0, 0),
        (1.0, -1.0, 0),
        (1e308, 5e-324, 8),
        (-1e308, 5e-324, 0),
        (float("inf"), float("inf"), 0),
    ],
)
def test_a_bar_is_between_nothing_and_full(value: float, top: float, filled: int) -> None:
    assert cells_filled(value, top, 8) == filled


def test_nothing_in_no_time_is_drawn() -> None:
    """Rates and times of 0 leave bars empty, parts longer than their step fill them."""
    nothing = ev.KFigure(0, True, 0.0, None, None, None, None, (), 0.0, 0.0, 0.0, 0.0)
    tuning = ev.TuneTurn("mtp", 1, 1, (0,), 0, (nothing, replace(nothing, k=1, draft_s=9.0)), 0.0, 0.0)
    rows = [plain(row) for row in tune_rows("MTP", "lane.1", tuning, 100)]
    assert not [row for row in rows if "█" in row and "█ verify" not in row]
    for share, bar in ((float("inf"), "━━━━"), (-1.0, "╸───")):
        assert bar in plain(bar_rows([Bar("x", share, "")], "text", 8, 1)[0])
    (longer,) = [plain(row) for row in time_rows([StepTimes("1", 3.0, -1.0, 2.0)], 100)[1:]]
    assert longer.count("▓") == 100 - 4 - 38
    assert "= 3000.0 + 0.0 + 0.0" in longer


def test_a_step_that_contradicts_itself_can_be_looked_at() -> None:
    """The target's own token is said to be there, and fell to a cut; the target's answer is about another draft."""
    step = ev.Step(
        "mtp", "0", 0, 1, 2, (1, 2), 1, (1,), (3,), "recovered", None, ("a", "b"), ("a", "c"), 1, 10**7, 10**7
    )
    told = ev.Inspected("mtp", 0, 1, (ev.TokenVerdict(1, "a", 0.5, 1, ()),))
    rows = [plain(row) for row in inspect_rows(PastStep(step, 0, 0), [], told, 90)]
    assert any('2 drafted, 1 accepted: it broke off at "c".' in row for row in rows)
    assert not any("recovered" in row for row in rows)


def test_names_are_safe_on_every_screen() -> None:
    """The heading of the step inspector, and why a GPU's clocks are held down."""
    info = ev.LaneInfo("ar", "ar", TEXTS[2], 0, "ar")
    step = ev.Step("ar", "0", 0, 1, 0, (), 0, (1,), (), "bonus", None, ("a",), (), 1, 10**7, 10**7)
    state, gpu = RunState(), GpuSample(0, TEXTS[3], throttle=(TEXTS[2], TEXTS[4]))
    for event in (
        ev.RunStarted(TEXTS[2], (info,), ev.Sampling()),
        ev.LaneStage("ar", "ready"),
        ev.RoundStarted(0, (ev.Prompt(TEXTS[2]),), ev.Sampling()),
        ev.RequestStarted("ar", "0", 0, 1),
        step,
        TelemetrySample(0, HostSample(), (gpu,)),
    ):
        reduce(state, event)
    for seed in range(5):
        shown(Viewer(state), random.Random(seed))


def values(hint: Any) -> st.SearchStrategy[Any]:
    """What JSON may hold where a field of that type is read."""
    arguments = get_args(hint)
    match get_origin(hint):
        case origin if origin is Literal:
            return st.sampled_from(arguments)
        case origin if origin in (Union, UnionType):
            return st.none() | st.one_of(*(values(kind) for kind in arguments if kind is not NoneType))
        case origin if origin is tuple and arguments[-1] is Ellipsis:
            return st.lists(values(arguments[0]), max_size=4)
        case origin if origin is tuple:
            return st.tuples(*map(values, arguments)).map(list)
    if is_dataclass(hint):
        return records(hint)
    if hint is ev.Totals:
        return st.lists(values(int), max_size=8)
    finite = [number for number in NUMBERS if number - number == 0]
    return {
        int: st.sampled_from(WHOLES[:13]) | SMALL,
        float: st.sampled_from(finite) | st.floats(allow_nan=False, allow_infinity=False) | SMALL,
        bool: st.booleans(),
        str: st.sampled_from(TEXTS) | st.text(max_size=8),
    }[hint]


def records(record: Any) -> st.SearchStrategy[dict[str, Any]]:
    """An object of the vocabulary as JSON has it."""
    hints = get_type_hints(record)
    parts = {
        field.name: NAMED[field.name] if field.name in NAMED else values(hints[field.name]) for field in fields(record)
    }
    always = {field.name for field in fields(record) if field.default is MISSING}
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in always},
        optional={name: part for name, part in parts.items() if name not in always},
    )


@st.composite
def lines(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """An event; a step agrees with itself, since it is refused otherwise."""
    line = draw(records(KINDS[kind]))
    if kind == "Step":
        accepted = draw(st.integers(0, len(line["drafted"])))
        texts = st.lists(st.sampled_from(TEXTS), min_size=8, max_size=8)
        line |= {"accepted": accepted, "wall_ns": draw(st.sampled_from((1, 10**7, 2**63 - 1)))}
        line |= {"clock_ns": draw(st.sampled_from((0, 1, 10**9, 2**63 - 1)))}
        line |= {"text": draw(texts)[: len(line["emitted"]) + len(line["cut"])]}
        line |= {"drafted_text": draw(texts)[: len(line["drafted"])]}
    return {"t": 0, "e": kind, **line}


BEGINNING: list[dict[str, Any]] = [
    {
        "t": 0,
        "e": "RunStarted",
        "target": "x",
        "lanes": [
            {"name": name, "method": name, "title": name.upper(), "k_max": k_max, "spec": name}
            for name, k_max in (("ar", 0), ("mtp", 4))
        ],
        "sampling": {},
    },
    *({"t": 0, "e": "LaneStage", "lane": lane, "stage": "ready"} for lane in ("ar", "mtp")),
    {"t": 0, "e": "RoundStarted", "round": 0, "prompts": [{"text": "p"}], "sampling": {}},
    *(
        {"t": 0, "e": "RequestStarted", "lane": lane, "request": "0", "slot": slot, "prompt_tokens": 3}
        for lane in ("ar", "mtp")
        for slot in (0, 1)
    ),
]
EVENTS = st.sampled_from(sorted(KINDS)).flatmap(lines) | lines("Step") | lines("TelemetrySample") | lines("LaneMemory")


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=12), st.integers(0, 1000))
def test_no_arithmetic_fails_on_what_the_reader_takes(made: list[dict[str, Any]], seed: int) -> None:
    state, window = RunState(), Window()
    for line in [*BEGINNING, *made]:
        try:
            _, event = decode(json.dumps(line))
        except LineError:
            assert line not in BEGINNING
            continue
        assert event is not None
        reduce(state, event)
        window.add(event)
    dice = random.Random(seed)
    for _ in range(4):
        shown(Viewer(state), dice)
    analysis_shown(window.columns, dice)
