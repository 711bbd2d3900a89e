"""Memory by owner, and what the reducer and the views make of the telemetry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spectui.core.machine import (
    CACHE,
    DRAFTER,
    NOTHING_HELD,
    PAST_SAMPLES,
    WEIGHTS,
    Holding,
    MemoryView,
    measured_bandwidth,
    memory_by_owner,
)
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.views import MachineView, RunView, Viewer
from spectui.protocol import events as ev
from spectui.protocol.samples import GpuSample, LaneMemory, Missing, TelemetryStarted
from tests.support.making_machines import (
    AR,
    DEMO,
    DENSE,
    DFLASH,
    GB,
    H100,
    H100_PEAK,
    HOST,
    MEMORIES,
    MTP,
    MadeRace,
    demo_race,
    sample,
)

BUS = TelemetryStarted((H100_PEAK,), "bus")
PROBE = TelemetryStarted((21.1e9,), "probe", (Missing("GPU", "there is none"),))
DRAFTING = replace(DENSE, drafter_bytes=60)

sizes = st.one_of(st.none(), st.integers(0, 10**12))
held = st.builds(
    lambda target, shared, drafter, reserved: replace(
        DENSE, target_bytes=target, target_shared=shared, drafter_bytes=drafter, kv_reserved=reserved
    ),
    sizes,
    st.booleans(),
    sizes,
    sizes,
)


@given(memories=st.lists(held, max_size=4), resident=sizes)
def test_the_parts_and_other_are_the_total(memories: list[LaneMemory], resident: int | None) -> None:
    lanes = [(f"lane {place}", memory, ()) for place, memory in enumerate(memories)]
    view = memory_by_owner(lanes, sample(host=replace(HOST, resident=resident)))
    parts = [holding.bytes for holding in view.holdings]
    assert view.total == resident
    if resident is None or None in parts:
        assert view.other is None
    else:
        assert view.other is not None
        assert sum(size for size in parts if size is not None) + view.other == resident
    for what in (WEIGHTS, DRAFTER, CACHE):
        of = [holding.bytes for holding in view.holdings if holding.what == what]
        assert view.of(what) == of
        assert (view.sum_of(what) is None) == (None in of)


def test_weights_that_lanes_share_are_there_once() -> None:
    lanes = [("AR", DENSE, ()), ("MTP", replace(DRAFTING, target_shared=True), (40,))]
    assert memory_by_owner(lanes, sample(host=replace(HOST, resident=5_000))) == MemoryView(
        holdings=(
            Holding("AR", WEIGHTS, 1_000),
            Holding("AR", CACHE, 640, 0),
            Holding("MTP", DRAFTER, 60),
            Holding("MTP", CACHE, 640, 3 * 16 * 2),
        ),
        total=5_000,
        other=5_000 - 1_000 - 640 - 60 - 640,
    )


@pytest.mark.parametrize("field", ["target_bytes", "drafter_bytes", "kv_reserved"])
def test_an_unknown_part_stays_unknown_and_so_does_the_rest(field: str) -> None:
    view = memory_by_owner([("MTP", replace(DRAFTING, **{field: None}), ())], sample())
    assert [holding.bytes for holding in view.holdings].count(None) == 1
    assert 0 not in [holding.bytes for holding in view.holdings]
    assert (view.total, view.other) == (HOST.resident, None)


def test_a_lane_without_a_drafter_has_no_part_of_it() -> None:
    assert memory_by_owner([("AR", DENSE, ())], None).of(DRAFTER) == []


def test_what_is_reserved_and_was_not_touched_leaves_less_than_nothing() -> None:
    assert memory_by_owner([("AR", DENSE, ())], sample(host=replace(HOST, resident=1_500))).other == -140


@pytest.mark.parametrize(
    ("gpus", "total"),
    [
        pytest.param((), HOST.resident, id="the process on a CPU"),
        pytest.param((H100,), 11 * GB, id="the process on a GPU"),
        pytest.param((replace(H100, process_memory=None),), 12 * GB, id="a driver that hides processes"),
        pytest.param((replace(H100, process_memory=0),), 0, id="none is not unknown"),
        pytest.param((replace(H100, process_memory=None, memory_used=None),), None, id="a driver that says nothing"),
        pytest.param((GpuSample(0, "GPU", lost=True),), None, id="a lost GPU"),
        pytest.param((replace(H100, process_memory=None), replace(H100, process_memory=GB)), GB, id="the second GPU"),
    ],
)
def test_the_total_is_what_the_device_reports(gpus: tuple[GpuSample, ...], total: int | None) -> None:
    assert memory_by_owner([], sample(*gpus)).total == total


@pytest.mark.parametrize(
    ("gpus", "total"),
    [
        pytest.param((H100, replace(H100, process_memory=2 * GB)), 13 * GB, id="both GPUs"),
        pytest.param((replace(H100, process_memory=None), H100), 11 * GB, id="the other GPU is not used"),
        pytest.param((replace(H100, process_memory=None),) * 2, None, id="a driver that hides processes"),
    ],
)
def test_a_model_split_among_gpus_is_held_against_all_of_them(gpus: tuple[GpuSample, ...], total: int | None) -> None:
    assert memory_by_owner([("AR", replace(DENSE, devices=2), ())], sample(*gpus)).total == total


def test_before_any_sample_nothing_is_known() -> None:
    assert memory_by_owner([], None) == NOTHING_HELD
    view = memory_by_owner([("AR", DENSE, ())], None)
    assert view.sum_of(WEIGHTS) == 1_000
    assert view.total is view.other is None


@pytest.mark.parametrize(
    ("gpus", "peaks", "expected"),
    [
        pytest.param((), (21e9,), None, id="no GPU"),
        pytest.param((H100,), (H100_PEAK,), 0.625 * H100_PEAK, id="counters and a peak"),
        pytest.param((H100,), (None,), None, id="no peak"),
        pytest.param((H100,), (), None, id="no peaks"),
        pytest.param((replace(H100, bandwidth_share=None),), (H100_PEAK,), None, id="no counters"),
        pytest.param((replace(H100, bandwidth_share=0.0),), (H100_PEAK,), 0.0, id="no traffic"),
        pytest.param(
            (replace(H100, process_memory=None), H100), (1e12, 2e12), 1.25e12, id="the lanes are on the second"
        ),
        pytest.param((replace(H100, process_memory=None), H100), (1e12,), None, id="whose peak is not known"),
    ],
)
def test_measured_bandwidth(
    gpus: tuple[GpuSample, ...], peaks: tuple[float | None, ...], expected: float | None
) -> None:
    assert measured_bandwidth(sample(*gpus), peaks) == (None if expected is None else pytest.approx(expected))


def telemetry(run: RunView) -> MachineView:
    assert run.telemetry is not None
    return run.telemetry


def test_before_the_first_sample_there_is_no_machine() -> None:
    race = MadeRace(AR)
    assert race.view.telemetry is None
    race.tell(BUS)
    assert race.view.telemetry is None
    assert race.view.memory == NOTHING_HELD


def test_telemetry_may_begin_before_the_run() -> None:
    """It has a thread of its own; what it said stays when the run begins."""
    state = RunState()
    for event in (PROBE, sample(at_s=1), sample(at_s=2)):
        reduce(state, event)
    viewer = Viewer(state)
    early = telemetry(viewer.read())
    assert (early.samples, early.peak, early.gpu, early.measured, early.derived) == (2, 21.1e9, None, False, False)
    reduce(state, ev.RunStarted("target", (AR,), ev.Sampling()))
    late = telemetry(viewer.read())
    assert (late.past, late.missing) == (early.past, (Missing("GPU", "there is none"),))
    assert late.sample.at_ns == 2_000_000_000


def test_a_sample_without_a_beginning_is_shown_without_a_peak() -> None:
    race = MadeRace(AR)
    race.tell(sample(H100))
    shown = telemetry(race.view)
    assert (shown.peak, shown.peaks, shown.measured, shown.missing, shown.bandwidth) == (None, (), False, (), (None,))


@pytest.mark.slow
@given(st.permutations([PROBE, sample(), DEMO, replace(DEMO, lane="nobody"), ev.LaneStage("ar", "ready")]))
def test_in_any_order_the_same_is_known(order: list[ev.Event]) -> None:
    state = RunState()
    reduce(state, ev.RunStarted("target", (AR, MTP), ev.Sampling()))
    viewer = Viewer(state)
    for event in order:
        reduce(state, event)
        viewer.read()
    run = viewer.read()
    assert [holding.owner for holding in run.memory.holdings] == ["AR", "AR"]
    assert run.memory.total == HOST.resident
    assert telemetry(run).peak == 21.1e9
    assert state.lanes["mtp"].memory is None


def test_a_lane_that_nobody_knows_holds_nothing() -> None:
    state = RunState()
    reduce(state, DEMO)
    assert Viewer(state).read().memory == NOTHING_HELD


def test_a_view_moves_on_with_every_sample() -> None:
    race = MadeRace(AR)
    race.tell(PROBE, sample())
    first = race.view
    assert race.view is first
    race.tell(sample(at_s=1))
    assert race.view is not first
    assert telemetry(first).samples == 1
    assert telemetry(race.view).samples == 2


def test_the_cache_in_use_grows_with_the_text_and_is_given_back() -> None:
    race = MadeRace(AR, requests=2)
    race.tell(DENSE, sample())

    def used() -> int | None:
        return next(holding.used for holding in race.view.memory.holdings if holding.what == CACHE)

    assert used() == 2 * 16 * 2
    for _ in range(7):
        race.step(AR)
    assert used() == 3 * 16 * 2
    race.tell(ev.RequestFinished("ar", "0", 0, "eos", 7))
    assert used() == 16 * 2
    race.tell(ev.RequestFinished("ar", "1", 1, "eos", 0))
    assert used() == 0


def test_a_gpu_s_counters_come_before_the_estimate() -> None:
    race = demo_race()
    blind = replace(H100, bandwidth_share=None)
    race.tell(BUS, sample(blind))
    estimated = telemetry(race.view)
    assert not estimated.measured
    assert estimated.bandwidth[-1] is not None
    race.tell(sample(H100))
    measured = telemetry(race.view)
    assert measured.measured
    assert measured.derived
    assert measured.bandwidth == (estimated.bandwidth[0], pytest.approx(0.625 * H100_PEAK))


def test_the_estimate_is_the_mean_of_the_lanes_that_run() -> None:
    """They take turns on one device."""
    race = demo_race()
    rates = [lane.traffic.recent for lane in race.view.lanes if lane.traffic is not None]
    assert len(rates) == 3

    def estimate() -> float | None:
        race.tell(PROBE, sample())
        return telemetry(race.view).bandwidth[-1]

    assert estimate() == pytest.approx(sum(rates) / 3)
    race.tell(ev.RequestFinished("dflash", "0", 0, "length", 24))
    assert estimate() == pytest.approx(sum(rates[:2]) / 2)
    race.tell(ev.LaneStage("mtp", "failed", "no memory"))
    assert estimate() == pytest.approx(rates[0])
    race.tell(ev.Paused(True))
    assert estimate() is None
    race.tell(ev.Paused(False))
    assert estimate() == pytest.approx(rates[0])
    race.tell(ev.RoundStarted(1, (ev.Prompt("q"),), ev.Sampling()))
    assert estimate() is None


def test_a_source_that_gave_up_reads_nothing() -> None:
    race = demo_race()
    race.tell(PROBE, ev.Notice("the engine thread died", level="error"), sample())
    assert telemetry(race.view).bandwidth == (None,)


def test_lanes_of_unknown_weights_have_no_part_in_the_estimate() -> None:
    race = MadeRace(AR, DFLASH)
    race.tell(replace(DEMO, target_read=None))
    for _ in range(4):
        race.step(AR)
        race.step(DFLASH, 5, 2)
    race.tell(PROBE, sample())
    assert telemetry(race.view).bandwidth == (None,)
    assert [lane.traffic for lane in race.view.lanes] == [None, None]


def test_a_lane_that_failed_holds_nothing() -> None:
    race = MadeRace(AR, DFLASH)
    race.tell(*MEMORIES, PROBE, sample())
    held = race.view.memory.holdings
    race.tell(ev.LaneStage("dflash", "failed", "its engine died"))
    left = race.view.memory.holdings
    assert {holding.owner for holding in held} == {"AR", "DFlash"}
    assert left == tuple(holding for holding in held if holding.owner == "AR")


def test_the_past_is_bounded() -> None:
    race = MadeRace(AR)
    race.tell(BUS)
    for number in range(PAST_SAMPLES + 7):
        race.tell(sample(replace(H100, bandwidth_share=number / 1_000), at_s=number))
    shown = telemetry(race.view)
    assert len(shown.past) == len(shown.bandwidth) == PAST_SAMPLES
    assert shown.past[-1] is shown.sample
    assert shown.past[0].at_ns == 7_000_000_000
    assert shown.bandwidth[0] == pytest.approx(0.007 * H100_PEAK)
    assert shown.samples == PAST_SAMPLES + 7
