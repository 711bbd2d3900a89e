"""What the widgets draw, read as text: heads, ledgers, charts and the status line."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.tokens import Role
from spectui.core.views import LaneView, RunView, Viewer
from spectui.figures import share_text, three_digits
from spectui.protocol import events as ev
from spectui.ui.paint.bars import Bar, bar_rows
from spectui.ui.paint.digits import block_digits
from spectui.ui.paint.rows import Row, plain, row_width
from spectui.ui.paint.wrapping import shortened, wrap, wrapped
from spectui.ui.screens.message import message
from spectui.ui.theme.palette import WRITTEN
from spectui.ui.widgets.acceptance_chart import acceptance_rows
from spectui.ui.widgets.histogram_chart import histogram_rows
from spectui.ui.widgets.ledger import ledger_rows
from spectui.ui.widgets.pane_head import PaneState, drafting_text, lane_message, pane_head_rows
from spectui.ui.widgets.status import status_rows, too_small_rows
from spectui.ui.widgets.throughput_chart import coarser, lesson_row, throughput_rows
from tests.support.effort import lines_run

AR = ev.LaneInfo("ar", "ar", "AR", 0, "ar")
MTP = ev.LaneInfo("mtp", "mtp", "MTP", 4, "mtp:k=4")
TEACHING = ev.LaneInfo(
    "self", "draft_model", "Draft model", 4, "draft_model:k=4", "A teaching lane: a perfect drafter."
)


class Race:
    """A run told event by event."""

    def __init__(self, *lanes: ev.LaneInfo, requests: int = 1, temperature: float = 0.0, ready: bool = True) -> None:
        self.state = RunState()
        sampling = ev.Sampling(temperature=temperature)
        self.tell(ev.RunStarted("SmolLM2-135M-Instruct", lanes, sampling))
        if ready:
            for lane in lanes:
                self.tell(ev.LaneStage(lane.name, "ready"))
            prompts = tuple(ev.Prompt("p", "coding", 2 + index, 20) for index in range(requests))
            self.tell(ev.RoundStarted(0, prompts, sampling))
            for lane in lanes:
                for slot in range(requests):
                    self.tell(ev.RequestStarted(lane.name, f"{lane.name}-{slot}", slot, 10))

    def tell(self, event: ev.Event) -> None:
        reduce(self.state, event)

    def step(
        self,
        lane: ev.LaneInfo,
        drafted: Sequence[str] = (),
        accepted: int = 0,
        own: str | None = " own",
        cut: Sequence[str] = (),
        ids: Sequence[int] = (1, 2, 3, 4, 5),
        ms: float = 25.0,
        slot: int = 0,
        k: int | None = None,
        parts: tuple[float, float] | None = None,
        canvas: int = 0,
    ) -> None:
        """One verification; ``parts`` are the milliseconds of drafting and verifying."""
        state = self.state.lanes[lane.name]
        emitted = [*drafted[:accepted], *([own] if own is not None else [])]
        kind: ev.Own | None = None if own is None else "recovered" if accepted < len(drafted) else "bonus"
        self.tell(
            ev.Step(
                lane=lane.name,
                request=f"{lane.name}-{slot}",
                slot=slot,
                index=state.round.totals.steps,
                k=lane.k_max if k is None else k,
                drafted=(0,) * len(drafted),
                accepted=accepted + (len(cut) if drafted else 0),
                emitted=tuple(ids[: len(emitted)]),
                cut=(0,) * len(cut),
                own=kind,
                cut_reason="length" if cut else None,
                text=(*emitted, *cut),
                drafted_text=tuple(drafted),
                batch=1,
                wall_ns=int(ms * 1e6),
                clock_ns=state.clock_ns + int(ms * 1e6),
                draft_ns=int(parts[0] * 1e6) if parts else None,
                verify_ns=int(parts[1] * 1e6) if parts else None,
                canvas=canvas,
            )
        )

    @property
    def view(self) -> RunView:
        return Viewer(self.state).read()

    def lane(self, info: ev.LaneInfo) -> LaneView:
        return next(lane for lane in self.view.lanes if lane.info.name == info.name)


def texts(rows: Sequence[Row]) -> list[str]:
    return [plain(row).rstrip() for row in rows]


def head(lane: LaneView, width: int = 38, height: int = 4, **state: object) -> list[str]:
    rows = pane_head_rows(lane, PaneState(**{"number": 2, **state}), width, height)  # type: ignore[arg-type]
    assert len(rows) == height
    assert all(row_width(row) <= width for row in rows)
    return texts(rows)


def race() -> Race:
    """AR at 40 tok/s, MTP at 64: three of four drafts kept, then none, then all."""
    run = Race(AR, MTP)
    for _ in range(8):
        run.step(AR)
    run.step(MTP, (" a", " b", " c", " x"), 3, parts=(5.1, 29.9), ms=50, ids=(1, 1, 1, 1))
    run.step(MTP, (" x", " y", " z", " w"), 0, parts=(5.0, 29.7), ms=50, ids=(1,))
    run.step(MTP, (" d", " e", " f", " g"), 4, parts=(10.2, 30.1), ms=56.25, ids=(1, 1, 1, 1, 1))
    return run


# The head of a pane


def test_a_small_head() -> None:
    assert head(race().lane(MTP)) == [
        "2 MTP  K=4                     running",
        "64.0 tok/s                       1.60x",
        "identical to AR so far",
        "─" * 38,
    ]
    assert head(race().lane(MTP), width=60)[2] == "length 3.33  rate .58                 identical to AR so far"


def test_a_large_head_has_figures_for_the_back_row() -> None:
    assert head(race().lane(MTP), height=8, focused=True) == [
        "2 MTP  K=4                     running",
        "█▀▀ █ █   █▀█        ▄█    █▀▀ █▀█",
        "█▀█ ▀▀█   █ █         █    █▀█ █ █ ▀▄▀",
        "▀▀▀   ▀ ▀ ▀▀▀        ▀▀▀ ▀ ▀▀▀ ▀▀▀ ▀ ▀",
        "tok/s                 speed-up over AR",
        "identical to AR so far",
        "length 3.33  rate .58",
        "━" * 38,
    ]


def test_large_figures_give_way_where_they_do_not_fit() -> None:
    assert head(race().lane(MTP), width=30, height=7)[1] == "64.0 tok/s               1.60x"


def test_what_is_unknown_is_a_dash() -> None:
    assert head(Race(AR, MTP).lane(MTP))[1] == "— tok/s                              —"
    alone = Race(MTP)
    alone.step(MTP)
    assert head(alone.lane(MTP))[1] == "40.0 tok/s                           —"


def test_the_lane_s_k_says_what_it_was_built_for() -> None:
    run = race()
    run.tell(ev.KChanged("mtp", 2))
    assert head(run.lane(MTP))[0].startswith("2 MTP  K=2 of 4 ")
    assert head(run.lane(AR), number=1)[0] == "1 AR                           running"


def test_the_head_says_where_k_comes_from() -> None:
    run = Race(AR, dataclasses.replace(MTP, k_start=1, k_source="default"))
    assert head(run.lane(MTP))[0] == "2 MTP  K=1 of 4 default        running"
    run.tell(ev.KChanged("mtp", 4))
    assert head(run.lane(MTP))[0] == "2 MTP  K=4 yours               running"
    run.tell(ev.KChanged("mtp", 2, "tuned"))
    assert head(run.lane(MTP))[0] == "2 MTP  K=2 of 4 tuned          running"
    assert head(Race(AR, MTP).lane(MTP))[0] == "2 MTP  K=4                     running", "an older trace does not know"


def test_where_k_comes_from_takes_no_room_from_anything_else() -> None:
    """At every width the rest of the title is what it would be without."""
    known, unknown = Race(AR, dataclasses.replace(MTP, k_source="default")), Race(AR, MTP)
    shown = 0
    for stage in ("ready", "loading", "verifying", "downloading"):
        for run in (known, unknown):
            run.tell(ev.LaneStage("mtp", stage))  # type: ignore[arg-type]
        for width in range(26, 60):
            title, bare = (head(run.lane(MTP), width)[0] for run in (known, unknown))
            if title != bare:
                shown += 1
                left, _, right = bare.partition("   ")
                assert title.startswith(f"{left} default  "), width
                assert title.endswith(right.lstrip()), width
    assert shown


def test_no_drafter_and_no_draft_and_nothing_accepted_differ() -> None:
    run = Race(AR, MTP)
    run.step(AR)
    run.step(MTP)
    assert drafting_text(run.lane(AR)) == "no drafter"
    assert drafting_text(run.lane(MTP)) == "no draft yet"
    run.step(MTP, (" x", " y"), 0)
    assert drafting_text(run.lane(MTP)) == "drafting, 0 accepted"
    run.step(MTP, (" x", " y"), 1)
    assert drafting_text(run.lane(MTP)) == "length 1.50  rate .25"
    run.tell(ev.KChanged("mtp", 0))
    assert drafting_text(run.lane(MTP)) == "K = 0, drafting off"


@pytest.mark.parametrize(
    ("margin", "said", "style"),
    [
        (None, "diverged at token 2, margin —", "muted"),
        (0.06, "diverged at token 2, margin 0.06 (near tie)", "muted"),
        (0.25, "diverged at token 2, margin 0.25 (near tie)", "muted"),
        (3.2, "diverged at token 2, margin 3.20: engine fault", "bad"),
    ],
)
def test_divergence(margin: float | None, said: str, style: str) -> None:
    run = Race(AR, MTP)
    run.step(AR, ids=(1,))
    run.step(AR, ids=(2,))
    run.step(MTP, (" a",), 1, ids=(1, 7))
    if margin is not None:
        run.tell(ev.Margin("mtp", 0, 1, margin))
    rows = pane_head_rows(run.lane(MTP), PaneState(2, over=True), 50, 4)
    assert rows[2][0] == (said, style)
    running = pane_head_rows(run.lane(MTP), PaneState(2), 50, 4)
    assert "margin —" not in plain(running[2]), "it is measured when the round is over"
    assert plain(running[2]).startswith("diverged at token 2") or margin is None
    assert texts(pane_head_rows(run.lane(MTP), PaneState(2, greedy=False), 50, 4))[2] == "length 2.00  rate 1.00"


@pytest.mark.parametrize("height", [4, 7, 9])
def test_what_the_self_test_found_wrong_comes_before_all_else(height: int) -> None:
    run = Race(AR, MTP)
    run.tell(
        ev.LaneChecked(
            "mtp", 12, position=3, margin=1.5, warning="keep it at K=4: with fewer drafts its text goes wrong"
        )
    )
    rows = pane_head_rows(run.lane(MTP), PaneState(2), 40, height)
    assert len(rows) == height
    said = [(row[0][0], row[0][1]) for row in rows if row and row[0][0].startswith("keep it at K=4")]
    assert [style for _, style in said] == ["bad"]
    assert run.view.notice == "MTP: keep it at K=4: with fewer drafts its text goes wrong"


@pytest.mark.parametrize(
    ("ar", "mtp", "said"),
    [(3, 2, "stopped before AR, at token 2"), (1, 2, "went past AR's end at token 1")],
)
def test_another_end_is_shown(ar: int, mtp: int, said: str) -> None:
    run = Race(AR, MTP)
    for n in range(ar):
        run.step(AR, ids=(n,))
    run.step(MTP, (" a",) * (mtp - 1), mtp - 1, ids=tuple(range(mtp)))
    for lane, count in ((AR, ar), (MTP, mtp)):
        assert head(run.lane(MTP), width=60)[2].endswith("identical to AR so far") or lane is MTP
        run.tell(ev.RequestFinished(lane.name, f"{lane.name}-0", 0, "eos", count))
    assert pane_head_rows(run.lane(MTP), PaneState(2), 50, 4)[2][0] == (said, "bad")


def test_nothing_is_called_identical_before_it_was_compared() -> None:
    run = Race(AR, MTP)
    run.step(MTP)
    assert head(run.lane(MTP))[2] == "no draft yet"
    run.step(AR)
    assert head(run.lane(MTP), width=60)[2].endswith("identical to AR so far")


def test_states() -> None:
    run = race()
    assert head(run.lane(MTP), paused=True)[0].endswith("paused")
    run.tell(ev.RequestFinished("mtp", "mtp-0", 0, "eos", 10))
    assert head(run.lane(MTP), paused=True)[0].endswith("done, eos")
    assert head(Race(AR, requests=3).lane(AR))[0].endswith("3 running")


def test_a_loading_lane_says_what_it_does() -> None:
    run = Race(AR, MTP, ready=False)
    assert head(run.lane(AR), number=1, elapsed_s=3.2)[:3] == ["1 AR                           waiting", "", ""]
    run.tell(ev.LaneStage("ar", "downloading", "the demo model", 30_000_000, 90_000_000))
    assert head(run.lane(AR), number=1, elapsed_s=3.2) == [
        "1 AR                       downloading",
        "30 of 90 MB                        3 s",
        "━" * 13 + "─" * 25,
        "─" * 38,
    ]
    assert lane_message(run.lane(AR), PaneState(1)) == (("the demo model", "muted"),)
    run.tell(ev.LaneStage("ar", "verifying", "", 2, 3))
    assert head(run.lane(AR), number=1)[:2] == ["1 AR                    checking files", "2 of 3"]


def test_a_failed_lane_says_why_in_its_pane() -> None:
    run = Race(AR, MTP, ready=False)
    why = "The drafter does not fit the target; choose one that was trained for it."
    run.tell(ev.LaneStage("mtp", "failed", why))
    assert head(run.lane(MTP)) == ["2 MTP  K=4                      failed", "", "", "─" * 38]
    assert texts(wrapped(lane_message(run.lane(MTP), PaneState(2)), 38)) == [
        "The drafter does not fit the target;",
        "choose one that was trained for it.",
    ]


def test_a_lane_s_note_is_shown_where_there_is_room() -> None:
    run = Race(AR, TEACHING, ready=False)
    run.tell(ev.LaneStage("self", "ready"))
    assert lane_message(run.lane(TEACHING), PaneState(2)) == ((TEACHING.note, "muted"),)
    run = Race(AR, TEACHING)
    assert lane_message(run.lane(TEACHING), PaneState(2)) == ()
    assert head(run.lane(TEACHING), height=8)[5:7] == [TEACHING.note, "no draft yet"]
    run.step(AR)
    run.step(TEACHING)
    assert head(run.lane(TEACHING), height=8)[5:7] == ["no draft yet    identical to AR so far", TEACHING.note]
    assert head(run.lane(TEACHING), height=7)[5] == "no draft yet    identical to AR so far"
    assert head(run.lane(TEACHING), height=4, width=60)[2].endswith("identical to AR so far")


# The ledger


def ledger(lane: LaneView, width: int, height: int = 5, signs: frozenset[Role] = frozenset()) -> list[str]:
    rows = ledger_rows(lane, width, height, signs)
    assert len(rows) <= height
    return texts(rows)


def test_the_ledger_has_the_newest_step_on_top() -> None:
    assert ledger(race().lane(MTP), 70) == [
        "#3    4/4 +1  d 10.2  v 30.1 ms   d e f g own",
        "#2    0/4 +1  d  5.0  v 29.7 ms   x y z w own",
        "#1    3/4 +1  d  5.1  v 29.9 ms   a b c x own",
    ]
    assert ledger(race().lane(MTP), 38) == [
        "#3   4/4 +1 d 10.2 v 30.1  d e f g own",
        "#2   0/4 +1 d  5.0 v 29.7  x y z w own",
        "#1   3/4 +1 d  5.1 v 29.9  a b c x own",
    ]
    assert ledger(race().lane(MTP), 28, 1) == ["#3   4/4 +1 d 10.2 v 30.1"]
    assert ledger(race().lane(AR), 38, 2) == ["#8   1 token 25.0 ms  own", "#7   1 token 25.0 ms  own"]
    assert ledger(race().lane(AR), 38, 0) == []


def test_the_ledger_says_how_much_of_a_canvas_was_committed() -> None:
    diffusion = ev.LaneInfo("d", "diffusion", "diffusion", 0, "diffusion")
    run = Race(diffusion)
    run.step(diffusion, own=None, canvas=256)
    run.step(diffusion, canvas=256)
    assert ledger(run.lane(diffusion), 40) == ["#2   1 of 256 25.0 ms  own", "#1   0 of 256 25.0 ms"]


def test_the_ledger_s_tokens_have_their_roles() -> None:
    newest, middle, oldest = ledger_rows(race().lane(MTP), 70, 5)
    assert newest[-2:] == ((" d e f g", "role.accepted"), (" own", "role.bonus"))
    assert middle[-2:] == ((" x y z w", "role.rejected"), (" own", "role.recovered"))
    assert oldest[-3:] == ((" a b c", "role.accepted"), (" x", "role.rejected"), (" own", "role.recovered"))
    assert ledger(race().lane(MTP), 70, signs=WRITTEN)[1].endswith("[ x y z w] own")


def test_no_draft_and_k_0_and_nothing_accepted_differ() -> None:
    run = Race(MTP)
    run.step(MTP, (" x", " y", " z", " w"), 0)
    run.step(MTP, k=0)
    run.step(MTP)
    assert [line[5:19] for line in ledger(run.lane(MTP), 38)] == ["no draft 25.0 ", "K=0      25.0 ", "0/4 +1   25.0 "]


def test_a_cut_step_shows_what_was_cut() -> None:
    run = Race(MTP)
    run.step(MTP, (" a", " b", " c", " d"), 1, own=None, cut=(" b", " c", "\n"))
    assert ledger(run.lane(MTP), 60) == ["#1    4/4 cut 3  25.0 ms   a« b c↵»"]


def test_several_requests_are_told_apart() -> None:
    run = Race(AR, requests=2)
    run.step(AR, slot=0)
    run.step(AR, slot=1, own="    ")
    assert ledger(run.lane(AR), 38) == ["#2   r2  1 token 25.0 ms ␣␣␣␣", "#1   r1  1 token 25.0 ms  own"]


def test_a_new_round_starts_a_new_ledger() -> None:
    run = race()
    run.tell(ev.RoundStarted(1, (ev.Prompt("q"),), ev.Sampling()))
    run.tell(ev.RequestStarted("mtp", "mtp-0", 0, 10))
    assert ledger(run.lane(MTP), 38) == []
    run.step(MTP)
    assert ledger(run.lane(MTP), 38) == ["#1   no draft 25.0 ms  own"]


def test_rows_are_kept_while_nothing_about_them_changes() -> None:
    run, made = race(), {}
    first = ledger_rows(run.lane(MTP), 60, 5, made=made)
    run.step(MTP, (" d", " e", " f", " g"), 4, parts=(5.2, 30.0))
    second = ledger_rows(run.lane(MTP), 60, 5, made=made)
    assert [row is kept for row, kept in zip(first, second[1:], strict=True)] == [True] * 3
    assert len(made) == 4


# Charts


def test_bars_have_a_fixed_range() -> None:
    bars = [
        Bar("1", 1.0, "1.00"),
        Bar("2", 0.5, ".50"),
        Bar("3", 0.001, ".00"),
        Bar("4", 0.0, ".00"),
        Bar("5", None, "—"),
    ]
    assert texts(bar_rows(bars, "lane.0", 17, 5)) == [
        "1 ━━━━━━━━━━ 1.00",
        "2 ━━━━━─────  .50",
        "3 ╸─────────  .00",
        "4 ──────────  .00",
        "5 ──────────    —",
    ]


def test_bars_go_into_columns_and_count_what_is_left_out() -> None:
    bars = [Bar(str(number), 0.5, ".50") for number in range(1, 10)]
    assert texts(bar_rows(bars, "lane.0", 40, 5)) == [
        "1 ━━━━━━────── .50   6 ━━━━━━────── .50",
        "2 ━━━━━━────── .50   7 ━━━━━━────── .50",
        "3 ━━━━━━────── .50   8 ━━━━━━────── .50",
        "4 ━━━━━━────── .50   9 ━━━━━━────── .50",
        "5 ━━━━━━────── .50",
    ]
    assert texts(bar_rows(bars, "lane.0", 12, 3)) == ["1 ━━━─── .50", "2 ━━━─── .50", "7 more"]
    assert bar_rows(bars, "lane.0", 12, 0) == []


def test_acceptance_by_position() -> None:
    lane = race().lane(MTP)
    assert texts(acceptance_rows(lane, 40, 8, 2)) == [
        "acceptance by position  MTP     window 3",
        "1 ━━━━━━━━━━━━━━━━━━━━━━╸─────────── .67",
        "2 ━━━━━━━━━━━━━━━━━━━━━━╸─────────── .67",
        "3 ━━━━━━━━━━━━━━━━━━━━━━╸─────────── .67",
        "4 ━━━━━━━━━━━╸────────────────────── .33",
        "",
        "",
        "length 3.33   rate .58   window 3",
    ]
    assert texts(acceptance_rows(lane, 34, 3, 2, windowed=False))[0] == "acceptance by position  MTP  all 3"
    assert texts(acceptance_rows(lane, 26, 3, 2))[0] == "acceptance by pos.  MTP"
    assert texts(acceptance_rows(lane, 26, 8, 2))[-1] == "length 3.33   rate .58"
    assert acceptance_rows(lane, 40, 0) == []


def test_charts_of_a_lane_that_never_drafts() -> None:
    lane = race().lane(AR)
    assert texts(acceptance_rows(lane, 40, 6)) == ["acceptance by position  AR", "no drafter"]
    assert texts(histogram_rows(lane, 40, 6)) == ["accepted per step  AR", "no drafter"]


def test_accepted_per_step() -> None:
    assert texts(histogram_rows(race().lane(MTP), 30, 6, 2)) == [
        "accepted per step  MTP",
        "0 ━━━━━━━╸─────────────── 33 %",
        "1 ───────────────────────  0 %",
        "2 ───────────────────────  0 %",
        "3 ━━━━━━━╸─────────────── 33 %",
        "4 ━━━━━━━╸─────────────── 33 %",
    ]


SERIES = tuple((0.125 + index * 0.25, 40.0 + index % 2) for index in range(40))


def with_series(lane: LaneView, series: tuple[tuple[float, float], ...]) -> LaneView:
    return dataclasses.replace(lane, series=series)


def test_throughput_over_lane_time() -> None:
    lanes = [
        with_series(race().lane(AR), SERIES),
        with_series(race().lane(MTP), tuple((t, r * 1.5) for t, r in SERIES)),
    ]
    rows = throughput_rows(lanes, 60, 9, 2)
    assert len(rows) == 9
    assert all(row_width(row) <= 60 for row in rows)
    assert plain(rows[0]) == "tok/s over lane time  ━ AR  ━ MTP"
    assert plain(rows[-1]) == "stream chunks 19.2/s, tokens 64.0/s"
    assert texts(rows)[1].split() == ["80"]
    assert texts(rows)[-2].split() == ["0", "5", "10", "s"]
    styles = {style for row in rows[1:-2] for text, style in row if text.strip()}
    assert styles == {"muted", "lane.0", "lane.1"}
    assert [line[-1] for line in texts(rows)[1:-2] if line.endswith(("1", "2"))] == ["2", "1"]


def test_a_change_of_k_is_marked_where_it_happened() -> None:
    lane = with_series(race().lane(MTP), SERIES)
    marked = dataclasses.replace(lane, k_changes=((2.5, 4), (7.5, 0)))
    ground = texts(throughput_rows([marked], 60, 9))[-3]
    assert 10 < ground.index("▴4") < 20
    assert 40 < ground.index("▴0") < 50
    assert "▴" not in "".join(texts(throughput_rows([lane], 60, 9)))


def test_throughput_before_there_is_any() -> None:
    rows = throughput_rows(Race(AR, MTP).view.lanes, 60, 9)
    assert texts(rows) == ["tok/s over lane time  ━ AR  ━ MTP", *[""] * 8]
    many = list(race().view.lanes) * 4
    numbers = "  ".join(f"━ {number}" for number in range(1, len(many) + 1))
    assert plain(throughput_rows(many, 50, 9)[0]) == f"tok/s  {numbers}"
    assert throughput_rows([], 60, 9)[0] == (("tok/s over lane time", "strong"),)
    assert throughput_rows([], 60, 0) == []
    assert texts(throughput_rows(race().view.lanes, 30, 3))[0] == "tok/s  ━ AR  ━ MTP"


def test_a_large_screen_is_not_limited_by_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = throughput_rows([with_series(race().lane(AR), SERIES)], 150, 30)
    assert max(len(text) for text in texts(rows)) > 140


def test_points_are_means_and_never_more_than_asked_for() -> None:
    assert coarser(SERIES[:5], 40) == ((0.25, 40.5), (0.75, 40.5))
    assert len(coarser(SERIES * 6, 30)) == 30
    assert coarser(SERIES[:1], 40) == ()


def test_the_lesson_names_both_figures_at_any_width() -> None:
    lane = race().lane(MTP)
    assert plain(lesson_row(lane, 80)) == "a meter that counts stream chunks says 19.2 tok/s; the truth is 64.0 tok/s"
    assert plain(lesson_row(lane, 40)) == "stream chunks 19.2/s, tokens 64.0/s"
    assert plain(lesson_row(lane, 30)) == "chunks 19.2, tokens 64.0"
    assert lesson_row(Race(MTP).lane(MTP), 80) == ()


def test_figures() -> None:
    assert [three_digits(value) for value in (None, 0.0, 1.384, 9.996, 42.71, 99.96, 427.3)] == [
        "—", "0.00", "1.38", "10.0", "42.7", "100", "427",
    ]  # fmt: skip
    assert [share_text(share) for share in (None, 0.0, 0.614, 0.999, 1.0)] == ["—", ".00", ".61", "1.00", "1.00"]
    assert {len(row) for row in block_digits("0123456789.x—")} == {49}


# The status line and small terminals


def status(view: RunView, width: int, **options: object) -> str:
    (row,) = status_rows(view, width, 1, **options)  # type: ignore[arg-type]
    assert row_width(row) <= width
    return plain(row)


def test_the_status_line() -> None:
    view = race().view
    full = (
        "SpecTUI   SmolLM2-135M-Instruct   coding 3/20   greedy   1 request"
        + " " * 15
        + "lane time 0.20 s   lag 0.4 ms"
    )
    assert status(view, 110, lag_ms=0.42) == full
    assert status(view, 80) == "SpecTUI   SmolLM2-135M-Instruct   coding 3/20   greedy          lane time 0.20 s"
    assert status(view, 60) == "SpecTUI   SmolLM2-135M-Instruct             lane time 0.20 s"
    assert status(view, 40) == "SpecTUI                 lane time 0.20 s"
    assert status(view, 20) == "SpecTUI" + " " * 13


def test_the_status_line_counts_the_turns_of_a_conversation() -> None:
    run = Race(AR, requests=2)
    done = ev.Prompt("p", "coding", 2, 20)
    run.tell(ev.RoundStarted(1, (done, ev.Prompt("q", "stem", 3, 20, asked=("p",), later=("r",))), ev.Sampling(), (0,)))
    assert "coding 3/20   turn 2/3   greedy   2 requests" in status(run.view, 120)
    assert "turn" not in status(race().view, 120)


def test_a_forked_round_says_where_it_branches_off() -> None:
    run = Race(AR, MTP)
    branch = ev.Branch(0, "mtp", 0, 11, 20, (7,), "There are", " seven", " eight")
    run.tell(ev.RoundStarted(1, (ev.Prompt("p"),), ev.Sampling(), parent=branch))
    run.tell(ev.RequestStarted("ar", "1.0", 0, 30))
    assert "prompt 1/1   fork   greedy" in status(run.view, 120)
    (span,) = message(run.view, None)
    assert span[0] == 'forked at step 12 of MTP: "␣seven" instead of "␣eight"; u back to the parent'
    run.tell(
        ev.RoundStarted(
            2, (ev.Prompt("p"),), ev.Sampling(), parent=dataclasses.replace(branch, lane="?", put=(), put_text="")
        )
    )
    (span,) = message(run.view, None)
    assert span[0] == "forked at step 12 of ?, nothing changed; u back to the parent"
    run.tell(ev.RoundFinished(2))
    assert "n next prompt, r restart, u parent" in "".join(text for text, _ in message(run.view, None))
    run.tell(ev.RoundStarted(3, (ev.Prompt("p"),), ev.Sampling()))
    assert message(run.view, None) == ()


def test_the_status_line_says_how_lanes_sample() -> None:
    run = Race(AR)
    run.tell(ev.RoundStarted(1, (ev.Prompt("p"),), ev.Sampling(0.7, top_p=0.9, top_k=40)))
    assert "T=0.7 top-p 0.9 top-k 40" in status(run.view, 120)


def test_a_request_that_sits_the_round_out_says_so_in_place_of_its_text() -> None:
    run = Race(AR, requests=2)
    prompts = (ev.Prompt("p"), ev.Prompt("q", asked=("p",)))
    run.tell(ev.RoundStarted(1, prompts, ev.Sampling(), absent=(0,)))
    run.tell(ev.RequestStarted("ar", "1.1", 1, 10))
    (span,) = lane_message(run.lane(AR), PaneState(1))
    assert span[0] == "this request sits the round out: its conversation is over, or it was refused"


def test_the_status_line_says_what_is_wrong() -> None:
    run = Race(AR, requests=4, temperature=0.7)
    run.tell(ev.Paused(True))
    run.tell(ev.Gap(10))
    text = status(run.view, 140, dropped=2)
    assert "T=0.7   4 requests" in text
    assert "paused   12 events lost   lane time 0.00 s   lag — ms" in text
    assert status(run.view, 80, dropped=2) == (
        "SpecTUI   SmolLM2-135M-Instruct       paused   12 events lost   lane time 0.00 s"
    )


def test_a_terminal_that_is_too_small_says_so() -> None:
    assert texts(too_small_rows(30, 6)) == ["", "", "SpecTUI needs more room:", "40x10 cells, this is 30x6."]
    assert texts(too_small_rows(10, 2)) == ["SpecTUI n…", "40x10 cel…"]
    assert too_small_rows(30, 1)[0][0][0].startswith("SpecTUI")


def test_sentences_are_wrapped() -> None:
    assert wrap("one two  three", 7) == ["one two", "three"]
    assert wrap("averyveryverylongword x", 8) == ["averyver", "yverylon", "gword x"]
    assert wrap("", 8) == []
    assert shortened("one two three four", 7, 2) == ["one two", "three …"]
    assert texts(wrapped((("a\nb", "bad"), ("", "text"), ("c", "bad")), 10)) == ["a↵b", "", "c"]


FRAME_LINES = 8_000
"""Of Python: some two milliseconds of a slow core."""


def test_a_frame_of_rows_is_cheap() -> None:
    run = Race(AR, MTP)
    for _ in range(70):
        run.step(MTP, (" d", " e", " f", " g"), 2, parts=(5.2, 30.0))
    lane, view = run.lane(MTP), run.view

    def frame() -> None:
        pane_head_rows(lane, PaneState(2, True), 60, 8)
        ledger_rows(lane, 60, 8)
        acceptance_rows(lane, 60, 10, 2)
        histogram_rows(lane, 60, 10, 2)
        status_rows(view, 200, 1)

    frame()
    assert lines_run(frame) < FRAME_LINES
