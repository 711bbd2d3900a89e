"""How disturbed steps are counted and told: the status line, the speed-ups, the headless report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import pytest

from spectui.cli.headless import table
from spectui.core.captions import lane_sentence
from spectui.core.disturbance import LEAST_STEPS, RECENT_STEPS, Disturbance, cores_hindrance, gpu_hindrance
from spectui.core.summary import summary_of
from spectui.core.views import RunView
from spectui.protocol import events as ev
from spectui.protocol.samples import GpuSample, HostSample, TelemetrySample
from spectui.trace.codec import decode, encode
from spectui.ui.paint.rows import Row
from spectui.ui.screens.message import message
from spectui.ui.screens.presenter_strip import lane_item
from spectui.ui.widgets.pane_head import LARGE_ROWS, PaneState, pane_head_rows
from spectui.ui.widgets.status import status_rows
from tests.core.test_reducer import folded, header, step, view

QUIET = HostSample(foreign_cores=0.02)
BUSY = HostSample(foreign_cores=0.9)


def steps(lane: str, marks: Sequence[bool], *, batch: int = 1) -> list[ev.Event]:
    """Engine steps of 10 ms, each with ``batch`` requests."""
    return [
        replace(step(lane, 10 * (number + 1), "", 0, "a"), slot=slot, batch=batch, disturbed=mark)
        for number, mark in enumerate(marks)
        for slot in range(batch)
    ]


def sampled(*hosts: HostSample, gpus: tuple[GpuSample, ...] = ()) -> list[ev.Event]:
    return [TelemetrySample(number, host, gpus) for number, host in enumerate(hosts)]


def text(rows: Sequence[Row]) -> str:
    return "\n".join("".join(span for span, _ in row) for row in rows)


def disturbance(*events: ev.Event) -> Disturbance | None:
    return view([*header(), *events]).disturbance


@pytest.mark.parametrize(
    ("marks", "share"),
    [
        ([True] * (LEAST_STEPS - 1), None),
        ([True] * LEAST_STEPS, 1.0),
        ([False] * 19 + [True], None),
        ([False] * 18 + [True] * 2, 0.1),
        ([True] * 10 + [False] * RECENT_STEPS, None),
        ([False] * 200 + [True] * 16, 16 / RECENT_STEPS),
    ],
)
def test_the_share_of_the_last_steps(marks: list[bool], share: float | None) -> None:
    found = disturbance(*steps("ar", marks))
    assert (found and found.share) == (share if share is None else pytest.approx(share))


def test_an_engine_step_counts_once_whatever_is_in_flight() -> None:
    marks = [True] * 4 + [False] * 4
    assert disturbance(*steps("ar", marks, batch=16)) == disturbance(*steps("ar", marks))
    state = folded([*header(), *steps("ar", marks, batch=16)])
    assert (state.lanes["ar"].run.stepped_ns, state.lanes["ar"].run.disturbed_ns) == (80_000_000, 40_000_000)


@pytest.mark.parametrize(
    ("samples", "cause"),
    [
        ([], ""),
        (sampled(QUIET, QUIET), ""),
        (sampled(HostSample()), ""),
        (sampled(QUIET, *[BUSY] * 5), "other programs use 0.9 cores"),
        (sampled(BUSY, HostSample(foreign_cores=1.1)), "other programs use 1.0 cores"),
        (
            sampled(QUIET, gpus=(GpuSample(1, "a", foreign_share=0.42),)),
            "other programs keep GPU 1 busy for 42 % of the time",
        ),
        (
            sampled(BUSY, gpus=(GpuSample(0, "a", throttle=("thermal", "power cap")),)),
            "GPU 0 is slowed down (thermal)",
        ),
    ],
)
def test_who_it_was(samples: list[ev.Event], cause: str) -> None:
    found = disturbance(*samples, *steps("ar", [True] * 10))
    assert found is not None
    assert found.cause == cause


def test_a_gpu_at_its_own_limits_is_not_hindered() -> None:
    assert gpu_hindrance(GpuSample(0, "a", throttle=("power cap", "display clock"), foreign_share=0.05)) == ""


def disturbed_race(mark_ar: int = 0, mark_mtp: int = 0, *, over: bool = False) -> RunView:
    """A hundred steps of AR and of MTP, the first ones disturbed."""
    events = [
        *header(),
        *sampled(BUSY),
        *steps("ar", [number < mark_ar for number in range(100)]),
        *[step("mtp", 10 * (n + 1), "ab", 1, "ac", disturbed=n < mark_mtp) for n in range(100)],
    ]
    ends: list[ev.Event] = [ev.RequestFinished(lane, "0", 0, "length", 100) for lane in ("ar", "mtp")]
    return view([*events, *ends, ev.RoundFinished(0)] if over else events)


@pytest.mark.parametrize(
    ("ar", "mtp", "marked"), [(0, 0, False), (5, 5, False), (6, 0, True), (0, 6, True), (50, 50, True)]
)
def test_a_speed_up_of_a_disturbed_round_is_marked(ar: int, mtp: int, marked: bool) -> None:
    """It is a ratio: AR held up spoils every lane's."""
    run = disturbed_race(ar, mtp, over=True)
    lane = run.lanes[1]
    assert lane.disturbed is marked
    small = pane_head_rows(lane, PaneState(2), 60, 4)
    assert ("2.00x disturbed" in text(small)) is marked
    assert (("2.00x disturbed", "warn") in small[1]) is marked
    assert ("speed-up, disturbed" in text(pane_head_rows(lane, PaneState(2), 60, LARGE_ROWS))) is marked
    assert (lane_item(lane, 1, False)[-1] == (" 2.00x", "warn")) is marked
    assert ("2.00x (disturbed)" in text([message(run, None)])) is marked
    assert ("the race was disturbed" in lane_sentence(lane)) is marked


def test_the_next_round_is_judged_by_itself() -> None:
    events = [*header(), *steps("mtp", [True] * 20), ev.RoundStarted(1, (ev.Prompt("p"),), ev.Sampling())]
    assert not view([*events, step("mtp", 210, "", 0, "a")]).lanes[1].disturbed


def test_a_narrow_pane_keeps_the_figure() -> None:
    lane = disturbed_race(50, 50).lanes[1]
    rows = text(pane_head_rows(lane, PaneState(2), 20, 4))
    assert "2.00x" in rows
    assert "disturbed" not in rows


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (120, ("disturbed: 52 % of steps", "other programs use 0.9 cores")),
        (60, ("disturbed 52 %",)),
        (26, ()),
    ],
)
def test_the_status_line_says_it(width: int, told: tuple[str, ...]) -> None:
    run = view([*header(), *sampled(*[BUSY] * 5), *steps("ar", [n % 2 == 0 for n in range(23)])])
    row = text(status_rows(run, width, 1))
    assert all(words in row for words in told), row
    assert ("cores" in row) is (len(told) == 2)


def test_in_a_pause_nothing_more_is_said() -> None:
    events = [*header(), *sampled(BUSY), *steps("ar", [True] * 10)]
    assert (
        disturbance(*events[len(header()) :], *sampled(*[HostSample(foreign_cores=1.7)] * 9))
        == view(events).disturbance
    )


def test_the_status_line_of_a_quiet_machine_says_nothing() -> None:
    assert "disturbed" not in text(status_rows(disturbed_race(), 200, 1))


def test_the_headless_report_says_it() -> None:
    quiet = folded([*header(), *steps("ar", [True, *[False] * 30])])
    assert "disturbed" not in "\n".join(table(summary_of(quiet)))
    loud = folded([*header(), *steps("ar", [True] * 10 + [False] * 10)])
    assert (
        table(summary_of(loud))[-1] == "the run was disturbed (ar 50 % of the time): measure again on a quiet machine"
    )
    assert [lane.disturbed_share for lane in summary_of(loud).lanes] == [0.5, None]


def test_a_mark_survives_a_trace_and_costs_it_nothing_where_there_is_none() -> None:
    loud, quiet = (step("ar", 10, "", 0, "a", disturbed=mark) for mark in (True, False))
    assert decode(encode(1, loud)) == (1, loud)
    assert decode(encode(1, quiet)) == (1, quiet)
    assert "disturbed" not in encode(1, quiet)
    assert io.StringIO(encode(1, loud)).read().count('"disturbed":true') == 1


@pytest.mark.parametrize(
    ("engine", "foreign", "cores", "hindered"),
    [
        pytest.param(1.4, 0.5, 2, True, id="no core is idle"),
        pytest.param(1.9, 0.1, 2, False, id="its own workers fill the cores"),
        pytest.param(3.0, 0.9, 16, False, id="there are cores for everybody"),
        pytest.param(None, None, 2, False, id="not known"),
    ],
)
def test_cores_are_taken_only_if_none_is_idle(
    engine: float | None, foreign: float | None, cores: int, hindered: bool
) -> None:
    samples = [HostSample(engine_cores=engine, other_cores=0.1, foreign_cores=foreign, cores=cores)] * 3
    assert cores_hindrance(samples) is hindered
    assert not cores_hindrance([])
