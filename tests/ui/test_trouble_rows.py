"""What the screen says of lanes that are in trouble, or cannot be compared, and of how their engines compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from spectui.core.captions import lane_sentence
from spectui.core.trouble import LOOK_EVERY
from spectui.core.views import LaneView, RunView
from spectui.protocol import events as ev
from spectui.protocol.samples import Missing, TelemetryStarted
from spectui.ui.paint.rows import Row, plain, row_width
from spectui.ui.screens.message import message
from spectui.ui.screens.presenter_strip import lane_item
from spectui.ui.widgets.cost_rows import cost_rows
from spectui.ui.widgets.engine_rows import engine_rows, scheduling_row
from spectui.ui.widgets.machine_rows import HIDDEN, machine_rows
from spectui.ui.widgets.pane_head import LARGE_ROWS, PaneState, pane_head_rows
from spectui.ui.widgets.status import status_rows
from spectui.ui.widgets.trouble_line import trouble_row
from spectui.ui.widgets.tune_rows import tune_rows
from tests.support.making_machines import H100, H100_PEAK, demo_race, sample
from tests.support.rig import running
from tests.ui.test_app import check_screen
from tests.ui.test_widgets import AR, MTP, Race, texts

GPU = ev.LaneEngine(
    "ar", "cuda", "V2", False, "piecewise", (0, 1, 2, 3, 4), "synchronous", ("FLASH_ATTN",), "bfloat16", "none", "auto",
    "0.32.0",
)  # fmt: skip
NGRAM = ev.LaneInfo("ngram", "ngram", "n-gram", 4, "ngram:k=4")
WIDTHS = (1, 20, 38, 76, 116)


def race(*lanes: ev.LaneInfo, **mtp: Any) -> Race:
    """AR and another lane on a GPU; ``mtp`` is what differs in that lane's engine."""
    run = Race(AR, *(lanes or (MTP,)))
    run.tell(replace(GPU, whole_graphs=(0,)))
    for lane in lanes or (MTP,):
        run.tell(replace(GPU, lane=lane.name, **mtp))
    return run


def rejecting() -> Race:
    """A race in which none of MTP's drafts is right."""
    run = race()
    for _ in range(112):
        run.step(MTP, (" x", " y", " z", " w"), 0)
    return run


def fits(rows: Sequence[Row], width: int) -> list[str]:
    assert all(row_width(row) <= width for row in rows)
    return texts(rows)


# The pane


def head(lane: LaneView, width: int = 38, height: int = 4, **state: Any) -> list[str]:
    return fits(pane_head_rows(lane, PaneState(2, **state), width, height), width)


def test_the_rule_says_how_the_engine_computes() -> None:
    assert head(race().lane(MTP))[-1] == "─" * 20 + " V2 full graphs " + "──"
    assert head(race().lane(MTP), focused=True)[-1] == "━" * 20 + " V2 full graphs " + "━━"
    assert head(race(whole_graphs=(0, 1)).lane(MTP))[-1].endswith("─ V2 piecewise graphs ≠ AR ──")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_rule_is_a_rule_where_there_is_no_room(width: int) -> None:
    (*_, rule) = pane_head_rows(race(runner="V1").lane(MTP), PaneState(2), width, 4)
    assert row_width(rule) == width
    assert ("V1" in plain(rule)) == (width >= 38)


def test_an_older_trace_has_a_bare_rule() -> None:
    assert head(Race(AR, MTP).lane(MTP))[-1] == "─" * 38


def test_the_speed_up_of_another_runner_is_marked() -> None:
    run = race(runner="V1")
    run.step(AR)
    run.step(MTP, (" a", " b", " c", " d"), 4, ms=50)
    lane = run.lane(MTP)
    assert head(lane)[1] == "100 tok/s         2.50x not comparable"
    assert head(lane, width=26)[1] == "100 tok/s          2.50x ≠"
    assert head(lane, height=LARGE_ROWS)[4] == "tok/s         speed-up, not comparable"
    assert plain(lane_item(lane, 1, focused=False)) == "2 MTP 100 2.50x≠"
    assert plain(trouble_row(lane, 60)) == "≠ runs on model runner V1, AR on V2: not comparable   s: why"
    assert plain(trouble_row(lane, 38)) == "≠ runs on model runner V1, AR on V2"


def test_who_won_and_the_sentence_for_the_audience_say_it_too() -> None:
    run = race(runner="V1")
    run.step(AR)
    run.step(MTP, (" a", " b", " c", " d"), 4, ms=50)
    for lane, tokens in ((AR, 1), (MTP, 5)):
        run.tell(ev.RequestFinished(lane.name, f"{lane.name}-0", 0, "length", tokens))
    run.tell(ev.RoundFinished(0))
    assert "".join(plain((span,)) for span in message(run.view, None)).endswith(
        "fastest drafter: MTP 2.50x (not comparable)"
    )
    assert lane_sentence(run.lane(MTP)).endswith("2.50 times as fast as AR; not comparable, as the engines differ")
    assert "comparable" not in lane_sentence(run.lane(AR))


def test_the_row_under_the_text_names_the_worst_sign() -> None:
    assert plain(trouble_row(race().lane(MTP), 38)) == ""
    assert plain(trouble_row(rejecting().lane(MTP), 38)) == "! nearly all drafts rejected   s: why"
    assert plain(trouble_row(rejecting().lane(MTP), 20)) == "! nearly all drafts…"


def test_what_is_normal_is_quiet_and_last() -> None:
    run = race(NGRAM)
    for _ in range(64 + LOOK_EVERY):
        run.step(NGRAM)
    row = trouble_row(run.lane(NGRAM), 60)
    assert plain(row) == "· nothing repeats: no drafts   s: why"
    assert {style for _, style in row} == {"muted"}
    run.tell(replace(GPU, lane="ngram", runner="V1"))
    for _ in range(LOOK_EVERY):
        run.step(NGRAM)
    assert plain(trouble_row(run.lane(NGRAM), 60)).startswith("≠ runs on model runner V1")


def test_a_failed_lane_has_other_worries() -> None:
    run = rejecting()
    run.tell(ev.LaneStage("mtp", "failed", "its engine died"))
    assert trouble_row(run.lane(MTP), 38) == ()


def test_every_sign_fits_a_narrow_pane_with_the_key() -> None:
    """The narrowest pane beside another has 38 cells."""
    from spectui.core.paired import Interval
    from spectui.core.trouble import Trouble
    from spectui.core.trouble_causes import told

    speed = Interval(0.8, 0.7, 0.9)
    for info in (MTP, NGRAM):
        for sign in ("vocabulary", "rejected", "cliff", "no gain", "no draft"):
            words = told(Trouble(sign, 1, 2, 6, speed), info, None)  # type: ignore[arg-type]
            lane = replace(race().lane(MTP), troubles=(words,))
            assert plain(trouble_row(lane, 38)).endswith("   s: why"), words.seen


# The panels


@pytest.mark.parametrize("width", WIDTHS)
def test_s_begins_with_what_is_wrong(width: int) -> None:
    run = rejecting()
    run.tell(replace(GPU, lane="mtp", runner="V1"))
    for _ in range(LOOK_EVERY):
        run.step(MTP, (" x",), 0)
    rows = texts(cost_rows(run.view.lanes, width))
    if width == 116:
        assert rows[:6] == [
            "MTP  ! nearly all drafts rejected",
            "  0 of 128 drafts were right at position 1.",
            "  likely: The drafter was made for another model, another version of it, or another tokenizer.",
            "",
            "MTP  ≠ not comparable with AR",
            "  It runs on model runner V1, AR on V2, so the speed-up is not due to drafting alone.",
        ]


def test_s_says_nothing_more_while_all_is_well() -> None:
    assert not any("!" in row or "≠" in row for row in texts(cost_rows(race().view.lanes, 116)))


def test_g_lists_the_engines() -> None:
    run = race(whole_graphs=(0, 1, 2), dtype="float16")
    assert plain(scheduling_row(run.view.lanes)) == "synchronous scheduling, vLLM 0.32.0"
    rows = fits(engine_rows(run.view.lanes, 110), 110)
    assert rows[:3] == [
        "AR   V2 full graphs                                bfloat16, FLASH_ATTN",
        "MTP  V2 piecewise graphs, full ones at K = 0 to 2  float16, FLASH_ATTN",
        "     ≠ runs with piecewise graphs, AR with full graphs; computes in float16, AR in bfloat16: not comparable",
    ]
    assert "most of all with AR" in " ".join(rows[3:])
    assert engine_rows(Race(AR, MTP).view.lanes, 110) == []


def test_full_graphs_at_every_k_are_said_to_be() -> None:
    assert fits(engine_rows(race().view.lanes, 80), 80)[1] == "MTP  V2 full graphs at every K  bfloat16, FLASH_ATTN"


@pytest.mark.parametrize("width", WIDTHS[1:])
def test_the_engines_fit_any_width(width: int) -> None:
    fits(machine_rows(race(runner="V1", quantization="compressed-tensors").view, width), width)


def test_the_status_line_says_once_how_lanes_are_scheduled() -> None:
    def said(run: RunView, width: int) -> str:
        return "".join(plain(row) for row in status_rows(run, width, 1))

    assert said(race().view, 200).count("synchronous scheduling") == 1
    assert "   sync   " in said(race().view, 120)
    assert "sync" not in said(race(scheduling=None).view, 60)
    assert "sync" not in said(Race(AR, MTP).view, 200)


def test_a_search_says_that_over_ar_is_not_comparable() -> None:
    figure = ev.KFigure(1, True, 50.0, 49.0, 51.0, 1.2, 1.5, (0.5,), None, None, 0.03, None, over_ar=1.25)
    turn = ev.TuneTurn("mtp", 1, 3, (1,), 1, (figure,), 9.0, 60.0, 40.0)
    unlike = "runs on model runner V1, AR on V2: not comparable"
    said = texts(tune_rows("MTP", "lane.1", turn, 100, unlike=unlike))
    assert "≠ over AR: the lane runs on model runner V1, AR on V2: not comparable" in said
    assert not any("≠" in row for row in texts(tune_rows("MTP", "lane.1", turn, 100)))


# Hidden processes

HIDDEN_GPU = replace(H100, process_memory=None, foreign_share=None)
BUS = TelemetryStarted((H100_PEAK,), "bus")


def panel(*events: ev.Event) -> str:
    run = demo_race()
    run.tell(*events)
    return "\n".join(texts(machine_rows(run.view, 110)))


def test_a_container_that_hides_the_process_is_said_to_do_so() -> None:
    said = panel(BUS, GPU, sample(HIDDEN_GPU))
    assert "this process hidden" in said
    assert HIDDEN.why.partition(",")[0] in " ".join(said.split())


REFUSED = replace(BUS, missing=(Missing("GPU memory of this process of GPU 0", "this user may not list them"),))


@pytest.mark.parametrize(
    "events",
    [
        (BUS, GPU, sample(H100)),
        (BUS, sample(HIDDEN_GPU)),
        (BUS, replace(GPU, device="cpu"), sample(HIDDEN_GPU)),
        (BUS, GPU, sample(replace(HIDDEN_GPU, lost=True))),
        (REFUSED, GPU, sample(HIDDEN_GPU)),
        (BUS, GPU, sample()),
    ],
)
def test_elsewhere_nothing_is_hidden(events: tuple[ev.Event, ...]) -> None:
    said = panel(*events)
    assert "hidden" not in said
    assert "--pid=host" not in said


# The whole screen


@pytest.mark.parametrize("size", [(80, 24), (60, 12), (120, 36)])
async def test_a_sign_is_on_the_screen_at_every_size(size: tuple[int, int]) -> None:
    from tests.ui.test_snapshots import TROUBLED

    async with running(size, lanes=TROUBLED, sampling=ev.Sampling(max_tokens=400)) as rig:
        await rig.press("2")
        before = rig.text
        assert "! nearly" not in before
        await rig.steps(330)
        assert "! nearly all drafts rejected" in rig.text
        check_screen(rig)
        await rig.press("s")
        assert "likely: " in rig.text
