"""The telemetry on the screen: units, the strip, the history, the panel, and the key that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.views import RunView
from spectui.figures import number_text, of_text, percent_text, rate_text, size_text
from spectui.protocol import commands as cmd
from spectui.protocol import events as ev
from spectui.protocol.samples import GpuSample, HostSample, LaneMemory, Missing, TelemetryStarted
from spectui.ui.paint.rows import Row, plain, row_width
from spectui.ui.screens.live import LiveScreen
from spectui.ui.screens.machine import MachineScreen
from spectui.ui.widgets.machine_rows import machine_rows
from spectui.ui.widgets.telemetry_strip import strip_rows
from tests.support.making_machines import (
    AR,
    DEMO,
    GB,
    H100,
    H100_PEAK,
    HOST,
    MEMORIES,
    MadeRace,
    demo_race,
    sample,
)
from tests.support.rig import SIZES, Rig, running
from tests.ui.test_app import check_screen

NO_NVML = Missing("GPU", "libnvidia-ml.so.1 was not found: install the NVIDIA driver, or start the container with it")
NO_SENSOR = Missing("temperature of the processor", "no sensor can be read here, as in most virtual machines")
PROBE = TelemetryStarted((21.1e9,), "probe", (NO_NVML, NO_SENSOR))
BUS = TelemetryStarted((H100_PEAK, H100_PEAK), "bus")
PANEL_WIDTHS = (36, 76, 116, 196)
"""Terminals of 40, 80, 120 and 200 columns, less the margins of a reader."""


def raced(*events: ev.Event) -> RunView:
    race = demo_race()
    race.tell(*events)
    return race.view


ON_CPU = raced(PROBE, sample(at_s=0), sample(at_s=0.2))
ON_GPU = raced(BUS, sample(H100, at_s=0), sample(H100, at_s=0.2))
HELD_BACK = replace(
    H100, index=1, process_memory=None, throttle=("power cap", "hardware thermal", "power brake", "other")
)
NOTHING_SAID = raced(TelemetryStarted((None,), "bus"), sample(GpuSample(0, "NVIDIA GB10"), host=HostSample()))
LOST = raced(BUS, sample(GpuSample(0, "NVIDIA H100 80GB HBM3 MIG 1g.10gb", lost=True)))
VIEWS = {
    "cpu": ON_CPU,
    "gpu": ON_GPU,
    "two": raced(BUS, sample(H100, HELD_BACK)),
    "nothing said": NOTHING_SAID,
    "lost": LOST,
    "the other is lost": raced(BUS, sample(H100, GpuSample(1, "NVIDIA H100 80GB HBM3", lost=True))),
}


def strip(run: RunView, width: int = 196) -> str:
    return "".join(map(plain, strip_rows(run, width)))


def panel(run: RunView, width: int = 116) -> list[str]:
    return [plain(row).rstrip() for row in machine_rows(run, width)]


# Units


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (None, "—"),
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (269_060_000, "269 MB"),
        (1_900_000_000, "1.90 GB"),
        (80 * GB, "85.9 GB"),
        (3.352e12, "3.35 TB"),
        (-140_000_000, "-140 MB"),
    ],
)
def test_a_size_has_three_digits_and_a_unit(size: float | None, expected: str) -> None:
    assert size_text(size) == expected


@given(st.integers(0, 10**15))
def test_no_size_is_wider_than_seven_cells(size: int) -> None:
    assert len(size_text(size)) <= 7
    assert size == 0 or size_text(size)[0] != "0"


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (None, "—"),
        (0.0, "0 %"),
        (1e-9, "< 0.1 %"),
        (0.00049, "< 0.1 %"),
        (0.003, "0.3 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.49, "49 %"),
        (1.0, "100 %"),
        (1.2, "120 %"),
    ],
)
def test_a_little_share_is_not_nothing(share: float | None, expected: str) -> None:
    assert percent_text(share) == expected


def test_every_figure_has_its_unit_and_the_unknown_none() -> None:
    assert (rate_text(10.23e9), rate_text(None)) == ("10.2 GB/s", "—")
    assert (number_text(54.0, "°C"), number_text(1.724, "cores", ".2f"), number_text(None, "W")) == (
        "54 °C",
        "1.72 cores",
        "—",
    )
    assert [of_text(*pair) for pair in (("1 W", "2 W"), ("1 W", "—"), ("—", "2 W"), ("—", "—"))] == [
        "1 W of 2 W",
        "1 W",
        "— of 2 W",
        "—",
    ]


# The strip


def test_the_strip_of_a_cpu() -> None:
    assert strip(ON_CPU) == (
        "memory 1.90 GB   est. 10.7 GB/s of 21.1 GB/s, 51 %   weights 3 x 269 MB   drafters 40.0 MB   KV 3 x 67.1 MB   "
        "engine 1.7 cores"
    )


@pytest.mark.parametrize(
    ("width", "last"),
    [
        (196, "engine 1.7 cores"),
        (118, "KV 3 x 67.1 MB"),
        (98, "drafters 40.0 MB"),
        (78, "weights 3 x 269 MB"),
        (38, "GB"),
    ],
)
def test_the_last_items_give_way(width: int, last: str) -> None:
    assert strip(ON_CPU, width).endswith(last)
    assert strip(ON_CPU).startswith(strip(ON_CPU, width))


@pytest.mark.parametrize("name", VIEWS)
def test_the_strip_is_never_wider_than_the_screen_and_never_empty(name: str) -> None:
    before = 0
    for width in range(38, 199):
        (row,) = strip_rows(VIEWS[name], width)
        assert before <= row_width(row) <= width
        assert plain(row).strip()
        before = row_width(row)


def test_the_first_thing_that_is_said_of_a_lost_gpu_is_that_it_is_lost() -> None:
    assert strip(LOST, 38) == "GPU 0 was lost, the race goes on"
    assert strip(LOST) == "GPU 0 was lost, the race goes on   NVIDIA H100 80GB HBM3 MIG 1g.10gb"
    assert strip(VIEWS["the other is lost"]).startswith("GPU 1 was lost, the race goes on   H100 80GB HBM3 12.9 GB")


def test_a_race_that_ended_with_the_gpu_does_not_go_on() -> None:
    lost = sample(GpuSample(0, "GPU", lost=True))
    assert (
        strip(raced(lost, *(ev.LaneStage(lane.lane, "failed", "lost") for lane in MEMORIES))) == "GPU 0 was lost   GPU"
    )
    assert strip(raced(lost, ev.Notice("the engine thread died", level="error"))) == "GPU 0 was lost   GPU"


def test_unknown_figures_are_dashes_and_never_zero() -> None:
    assert strip(NOTHING_SAID) == (
        "GB10 —   est. 10.7 GB/s   weights 3 x 269 MB   drafters 40.0 MB   KV 3 x 67.1 MB   power —   —"
    )
    empty = MadeRace(AR)
    empty.tell(sample(host=HostSample()))
    assert strip(empty.view) == "memory —   est. —   engine —"


def test_sizes_that_differ_or_are_unknown() -> None:
    race = demo_race()
    race.tell(PROBE, sample(), replace(MEMORIES[1], kv_reserved=128 << 20, drafter_bytes=None))
    assert "weights 3 x 269 MB   drafters —   KV 268 MB" in strip(race.view)
    shared = demo_race()
    shared.tell(PROBE, sample(), *(replace(memory, target_shared=True) for memory in MEMORIES[1:]))
    assert "weights 269 MB   " in strip(shared.view)


def test_a_long_name_leaves_the_figures() -> None:
    gpu = replace(H100, name="NVIDIA " + "very " * 40)
    assert strip(raced(BUS, sample(gpu)), 38).endswith("… 12.9 GB of 85.9 GB")


def test_before_the_first_sample_the_strip_is_blank() -> None:
    assert strip_rows(raced(), 80) == []


# The panel


@pytest.mark.parametrize("width", PANEL_WIDTHS)
@pytest.mark.parametrize("name", VIEWS)
def test_no_row_is_wider_than_the_screen(name: str, width: int) -> None:
    rows = machine_rows(VIEWS[name], width)
    assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]


@pytest.mark.parametrize("width", PANEL_WIDTHS)
def test_long_names_and_odd_letters_stay_in_their_rows(width: int) -> None:
    info = replace(AR, title="Ein 長い長い長い長い長い長い名前 \x1b[31m for a lane that goes on and on")
    race = MadeRace(info)
    race.tell(PROBE, DEMO, sample(replace(H100, name="名前" * 60, throttle=("thermal",) * 30)))
    for _ in range(3):
        race.step(info)
    rows = [*machine_rows(race.view, width), *strip_rows(race.view, width)]
    assert all(row_width(row) <= width for row in rows), [plain(row) for row in rows if row_width(row) > width]
    assert "\x1b" not in "".join(map(plain, rows))


def headings(rows: Sequence[Row]) -> list[str]:
    return [row[0][0] for row in rows if row and row[0][1] == "strong"]


@pytest.mark.parametrize("width", PANEL_WIDTHS)
def test_the_parts_of_the_panel(width: int) -> None:
    common = ["Memory", "Bandwidth", "Lanes below the roofline"]
    assert headings(machine_rows(ON_CPU, width)) == [*common, "Host", "Not sampled here"]
    assert headings(machine_rows(ON_GPU, width)) == [*common, "NVIDIA H100 80GB HBM3", "Host"]


def test_the_panel_of_a_cpu() -> None:
    text = panel(ON_CPU)
    assert text[0] == "Memory   this process 1.90 GB of the host's 16.5 GB, 5.10 GB free"
    assert text[1].split()[:2] == ["AR", "target"]
    assert text[2].endswith("67.1 MB   1.47 MB in use")
    assert text[9].split()[0] == "other"
    assert text[9].endswith("852 MB")
    assert "Bandwidth   est. 10.7 GB/s of 21.1 GB/s, 51 %" in text
    assert "peak 21.1 GB/s, measured by copying" in text
    assert any(line.startswith("GPU: libnvidia-ml.so.1 was not found") for line in text)
    assert any(line.startswith("engine       1.72 cores") for line in text)


def test_the_lanes_below_the_roofline() -> None:
    rows = machine_rows(ON_CPU, 116)
    first = next(place for place, row in enumerate(rows) if plain(row).startswith("Lanes below")) + 1
    measured, estimated = plain(rows[first]).split("est.")
    assert measured.split() == ["tok/s", "tokens/step"]
    assert estimated.split() == ["of", "peak", "max.", "tok/s", "traffic", "bytes/step"]
    for row, lane, style in zip(rows[first + 1 :], ON_CPU.lanes, ("lane.0", "lane.1", "lane.2"), strict=False):
        name, tok_s, tokens, _, share, _, most, rate, _, size, _ = plain(row).split()
        traffic = lane.traffic
        assert traffic is not None
        assert lane.tok_s is not None
        assert name == lane.info.title
        assert {span_style for _, span_style in row} >= {style, "text", "faint"}
        assert float(tok_s) == pytest.approx(lane.tok_s, abs=0.05)
        assert float(tokens) == traffic.tokens_per_step
        assert float(share) / 100 == pytest.approx(traffic.per_second / 21.1e9, abs=0.005)
        assert float(most) == pytest.approx(21.1e9 / traffic.step_bytes * traffic.tokens_per_step, abs=0.05)
        assert float(rate) * 1e9 == pytest.approx(traffic.per_second, rel=0.01)
        assert float(size) * 1e6 == pytest.approx(traffic.step_bytes, rel=0.01)


def test_estimates_give_way_from_the_last_where_the_panel_is_narrow() -> None:
    heads = {
        width: next(line for line in panel(ON_CPU, width) if "est." in line and "tok/s" in line.split())
        for width in PANEL_WIDTHS
    }
    assert "bytes/step" in heads[116]
    assert heads[196] == heads[116]
    assert "traffic" in heads[76]
    assert "bytes/step" not in heads[76]
    assert heads[36].split() == ["tok/s", "est.", "of", "peak"]


def test_where_nothing_is_known_the_panel_says_so() -> None:
    text = panel(NOTHING_SAID)
    assert text[0] == "Memory   this process —, device —"
    assert not any(line.split()[:1] == ["other"] for line in text)
    assert "Bandwidth   est. 10.7 GB/s" in text
    (gauges,) = (line for line in text if line.startswith("DRAM traffic"))
    assert gauges.split() == ["DRAM", "traffic", "—", "memory", "busy", "—", "SM", "busy", "—"]
    assert "clocks throttled by —" in text
    assert any(line.split() == ["temperature", "—", "page", "faults", "—", "from", "disk", "—"] for line in text)


def test_reserved_memory_that_was_not_touched_is_told() -> None:
    text = panel(raced(PROBE, sample(host=replace(HOST, resident=900_000_000))))
    assert "148 MB of the reserved memory has not been touched yet." in text
    assert any(line.split()[0] == "other" and line.endswith(" 0 B") for line in text if line)


def test_lanes_that_hold_and_read_nothing() -> None:
    race = MadeRace(AR)
    race.tell(PROBE, sample())
    text = panel(race.view)
    assert text[0].startswith("Memory   this process 1.90 GB")
    assert [line.split()[0] for line in text[1:3] if line] == ["other"]
    assert "no lane has been stepping while samples were taken" in text
    assert headings(machine_rows(race.view, 76)) == ["Memory", "Bandwidth", "Host", "Not sampled here"]


def test_a_pause_is_a_gap_in_the_bandwidth() -> None:
    race = demo_race()
    race.tell(PROBE, sample(), ev.Paused(True), sample(at_s=1), ev.Paused(False), sample(at_s=2), sample(at_s=3))
    machine = race.view.telemetry
    assert machine is not None
    assert [value is None for value in machine.bandwidth] == [False, True, False, False]


# The screen


def tell(rig: Rig, *events: ev.Event | LaneMemory) -> None:
    for event in events:
        rig.app._mailbox.emit(event)


@pytest.mark.parametrize("size", SIZES)
async def test_g_shows_the_machine_and_moves_on_with_it(size: tuple[int, int]) -> None:
    async with running(size) as rig:
        await rig.steps(12)
        tell(rig, *MEMORIES, PROBE, sample(host=replace(HOST, resident=1_500_000_000)))
        await rig.settle(lambda: "memory 1.50 GB" in rig.text)
        check_screen(rig)
        await rig.press("g")
        assert isinstance(rig.app.screen, MachineScreen)
        assert "memory and bandwidth" in rig.text
        assert "this process 1.50 GB" in rig.text
        check_screen(rig)
        tell(rig, sample(at_s=1, host=replace(HOST, resident=1_700_000_000)))
        await rig.settle(lambda: "this process 1.70 GB" in rig.text)
        check_screen(rig)
        await rig.press("end")
        assert "machines" in rig.text
        await rig.press("home")
        assert "this process" in rig.text


@pytest.mark.parametrize("key", ["g", "escape", "q"])
async def test_the_panel_is_left_by_the_key_that_opened_it_and_by_those_that_leave(key: str) -> None:
    async with running() as rig:
        await rig.steps(12)
        tell(rig, *MEMORIES, PROBE, sample())
        await rig.settle(lambda: "memory 1.90 GB" in rig.text)
        before = rig.text
        await rig.press("g", key)
        assert isinstance(rig.app.screen, LiveScreen)
        assert rig.text == before
        assert cmd.Shutdown() not in rig.source.commands
        await rig.steps(1)
        check_screen(rig)


async def test_what_came_meanwhile_is_on_the_live_screen_afterwards() -> None:
    async with running() as rig:
        tell(rig, PROBE, sample())
        await rig.press("g")
        tell(rig, sample(host=replace(HOST, resident=1_234_000_000)))
        await rig.settle(lambda: "this process 1.23 GB" in rig.text)
        await rig.press("g")
        await rig.settle(lambda: "memory 1.23 GB" in rig.text)
        check_screen(rig)


async def test_without_any_telemetry_the_panel_says_so() -> None:
    async with running() as rig:
        await rig.press("g")
        assert "no samples yet" in rig.text
        check_screen(rig)
        tell(rig, sample())
        await rig.settle(lambda: "this process 1.90 GB" in rig.text)
        assert "no samples yet" not in rig.text


async def test_a_lost_gpu_is_told_while_the_race_goes_on() -> None:
    async with running((80, 24)) as rig:
        tell(rig, BUS, sample(H100))
        await rig.settle(lambda: "H100 80GB HBM3 12.9 GB of 85.9 GB" in rig.text)
        tell(rig, sample(GpuSample(0, H100.name, lost=True)))
        await rig.settle(lambda: "GPU 0 was lost, the race goes on" in rig.text)
        before = sum(lane.steps for lane in rig.view.lanes)
        await rig.steps(3)
        assert sum(lane.steps for lane in rig.view.lanes) == before + 3
        check_screen(rig)


async def test_a_low_terminal_has_no_row_to_spare() -> None:
    async with running((80, 23)) as rig:
        tell(rig, PROBE, sample())
        await rig.settle()
        assert "memory 1.90 GB" not in rig.text
        await rig.pilot.resize_terminal(80, 24)
        await rig.settle(lambda: "memory 1.90 GB" in rig.text)
        check_screen(rig)
