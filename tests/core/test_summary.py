"""Figures of a round and of the whole run: computed once, and the same wherever they are shown."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Literal

import pytest

from spectui import figures as texts
from spectui.cli.headless import table
from spectui.core.state import RunState
from spectui.core.summary import run_figures, summary_of
from spectui.core.views import Viewer
from spectui.protocol import events as ev
from tests.trace.making import folded

AR = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = ev.LaneInfo("mtp", "mtp", "MTP", 1, "mtp:k=1")
MS = 1_000_000


def race() -> list[ev.Event]:
    """AR emits 40 tokens in 40 steps of 25 ms, MTP 60 in 30 steps of 40 ms."""
    told: list[ev.Event] = [ev.RunStarted("target", (AR, MTP), ev.Sampling())]
    told.append(ev.RoundStarted(0, (ev.Prompt("p"),), ev.Sampling()))
    for lane, steps, tokens, ms in (("ar", 40, 1, 25), ("mtp", 30, 2, 40)):
        told.append(ev.RequestStarted(lane, "0.0", 0, 5))
        for number in range(steps):
            drafted = (7,) * (tokens - 1)
            told.append(
                ev.Step(
                    lane, "0.0", 0, number, len(drafted), drafted, len(drafted), (7,) * tokens, (), "bonus", None,
                    ("x",) * tokens, ("x",) * len(drafted), 1, ms * MS, (number + 1) * ms * MS,
                )
            )  # fmt: skip
    return told


def of(state: RunState, lane: str) -> tuple[object, ...]:
    found = run_figures(state.lanes[lane], state.reference)
    return (found.steps, found.emitted, found.lane_s, found.tok_s, found.naive_tok_s, found.speedup, found.lost)


def test_the_worked_example() -> None:
    state = folded(race())
    assert of(state, "ar") == pytest.approx((40, 40, 1.0, 40.0, 40.0, 1.0, 0))
    assert of(state, "mtp") == pytest.approx((30, 60, 1.2, 50.0, 25.0, 1.25, 0))


def test_a_pane_the_table_and_the_json_say_the_same() -> None:
    state = folded(race())
    pane, summary = Viewer(state).read().lanes[1], summary_of(state)
    said = json.loads(json.dumps(asdict(summary)))["lanes"][1]
    row = table(summary)[2].split()
    shown = (pane.tok_s, pane.speedup, pane.emitted, pane.acceptance.length, pane.lost)
    names = ("tok_s", "speedup", "tokens", "acceptance_length", "steps_lost")
    assert tuple(said[name] for name in names) == shown == (50.0, 1.25, 60, 2.0, 0)
    assert row == ["mtp", "1", "60", "50.0", "1.25x", "2.00", "1.00", "—"]


def engine(lane: str, runner: Literal["V1", "V2"]) -> ev.LaneEngine:
    return ev.LaneEngine(lane, "cpu", runner, True, "none", scheduling="synchronous", dtype="bfloat16")


def test_the_table_says_once_how_all_engines_compute() -> None:
    told = race()
    told[1:1] = [engine("ar", "V1"), engine("mtp", "V1")]
    assert table(summary_of(folded(told)))[3:] == ["", "engines      V1 eager, bfloat16, synchronous scheduling"]


def test_the_table_says_which_lane_cannot_be_compared() -> None:
    told = race()
    told[1:1] = [engine("ar", "V2"), engine("mtp", "V1")]
    summary = summary_of(folded(told))
    assert table(summary)[3:] == [
        "",
        "mtp          ≠ runs on model runner V1, AR on V2: not comparable",
        "",
        "ar           V2 eager, bfloat16, synchronous scheduling",
        "mtp          V1 eager, bfloat16, synchronous scheduling",
    ]
    said = json.loads(json.dumps(asdict(summary)))["lanes"][1]
    assert said["not_comparable"] == "runs on model runner V1, AR on V2: not comparable"
    assert said["engine"]["runner"] == "V1"
    assert summary.lanes[0].not_comparable == ""


def test_the_table_says_what_is_wrong_and_why() -> None:
    told = race()
    told[1:1] = [replace(engine("mtp", "V1"), vocabulary=49_152, draft_vocabulary=32_000)]
    told = [one for one in told if not (isinstance(one, ev.Step) and one.drafted)]
    state = folded(told)
    figures, cause = table(summary_of(state))[4:6]
    assert figures == ("mtp          ! drafter: other vocabulary: The drafter has 32,000 tokens, the target 49,152.")
    assert cause.startswith("               The drafter's ids name other tokens")
    (trouble,) = json.loads(json.dumps(asdict(summary_of(state))))["lanes"][1]["troubles"]
    assert (trouble["sign"], trouble["normal"]) == ("vocabulary", False)
    assert Viewer(state).read().lanes[1].troubles == summary_of(state).lanes[1].troubles


def test_a_whole_run_is_held_against_no_part_of_one() -> None:
    """Behind a gap of which nothing is known AR's figures are those of a part, and MTP's are not."""
    told = race()
    told.insert(20, ev.Gap(0, clocks=(("ar", 450 * MS),)))
    state = folded(told)
    assert run_figures(state.lanes["ar"], state.reference).lost is None
    assert run_figures(state.lanes["mtp"], state.reference).speedup is None
    assert summary_of(state).lanes[1].speedup is None


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (texts.number_text(None), "—"),
        (texts.number_text(42.25, form=".1f"), "42.2"),
        (texts.number_text(42.25, "W"), "42 W"),
        (texts.ratio_text(None), "—"),
        (texts.ratio_text(1.379), "1.38x"),
        (texts.ms_text(None), "—"),
        (texts.ms_text(0.014), "14.0 ms"),
    ],
)
def test_figures_as_text(said: str, text: str) -> None:
    assert said == text
