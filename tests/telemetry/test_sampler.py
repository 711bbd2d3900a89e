"""The sampler thread: what it says in which order, how it ends, and that nobody waits for a driver."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from spectui.protocol import commands as cmd
from spectui.protocol.events import Event
from spectui.protocol.frame_slot import FrameSlot
from spectui.protocol.samples import GpuSample, HostSample, Missing, TelemetrySample, TelemetryStarted
from spectui.protocol.source import Sink
from spectui.sources.hindrance import CORES_HINDERED, GPU_HINDERED
from spectui.telemetry.nvml import Nvml
from spectui.telemetry.peak import FILE
from spectui.telemetry.sampler import Readers, Sampler, open_readers
from spectui.telemetry.source import WithTelemetry
from tests.nvml.stub import NvmlStub
from tests.telemetry.conftest import Clock

FAILSAFE_S = 30.0


class Events:
    """Keeps what is emitted."""

    def __init__(self) -> None:
        self.all: list[Event] = []

    def emit(self, event: Event) -> None:
        self.all.append(event)

    @property
    def samples(self) -> list[TelemetrySample]:
        return [event for event in self.all if isinstance(event, TelemetrySample)]


class Host:
    """Counts its reads in a figure."""

    missing = (Missing("temperature of the processor", "no sensor"),)

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> HostSample:
        self.reads += 1
        return HostSample(resident=self.reads)


class Gpus:
    """Two GPUs; ``fails_at`` is the read that goes wrong."""

    missing = (Missing("power", "may not"),)
    peaks = (2e12, None)

    def __init__(self, fails_at: int = 0) -> None:
        self.reads = self.closed = 0
        self._fails_at = fails_at

    def read(self) -> tuple[GpuSample, ...]:
        self.reads += 1
        if self.reads == self._fails_at:
            raise RuntimeError("the binding broke")
        return (GpuSample(0, "first"), GpuSample(1, "second"))

    def close(self) -> None:
        self.closed += 1


class Waits:
    """Lets a second pass at each wait, and has the sampler end after so many."""

    def __init__(self, clock: Clock, most: int, then: Callable[[int], object] = lambda waits: None) -> None:
        self.asked: list[float] = []
        self.over = threading.Event()
        self._clock = clock
        self._most = most
        self._then = then

    def __call__(self, seconds: float) -> bool:
        self.asked.append(seconds)
        self._clock.wait(1)
        self._then(len(self.asked))
        if len(self.asked) < self._most:
            return False
        self.over.set()
        return True


def sampled(readers: Readers, clock: Clock, samples: int = 3) -> tuple[Events, Waits]:
    """What a sampler says until it is told to end."""
    events, waits = Events(), Waits(clock, samples)
    sampler = Sampler(lambda: readers, period_s=0.25, now_ns=clock, wait=waits)
    sampler.start(events)
    assert waits.over.wait(FAILSAFE_S)
    assert sampler.stop(FAILSAFE_S)
    return events, waits


def test_the_beginning_then_samples(clock: Clock) -> None:
    clock.wait(100)
    gpus = Gpus()
    events, waits = sampled(Readers(Host(), gpus, None), clock)
    assert events.all == [
        TelemetryStarted((2e12, None), "bus", (*Gpus.missing, *Host.missing)),
        *(
            TelemetrySample(
                n * 1_000_000_000, HostSample(resident=n + 1), (GpuSample(0, "first"), GpuSample(1, "second"))
            )
            for n in range(3)
        ),
    ]
    assert waits.asked == [0.25] * 3
    assert (gpus.reads, gpus.closed) == (3, 1)


def test_without_a_gpu_the_host_s_peak_and_the_reason_are_told(clock: Clock) -> None:
    why = Missing("GPU", "libnvidia-ml.so.1 was not found")
    events, _ = sampled(Readers(Host(), None, 21.1e9, (why,)), clock, 1)
    assert events.all == [
        TelemetryStarted((21.1e9,), "probe", (why, *Host.missing)),
        TelemetrySample(0, HostSample(resident=1)),
    ]


def test_a_peak_that_could_not_be_measured_is_unknown(clock: Clock) -> None:
    events, _ = sampled(Readers(Host(), None, None), clock, 1)
    assert events.all[0] == TelemetryStarted((None,), "probe", Host.missing)


@pytest.mark.parametrize(
    ("gpu", "hindered"),
    [
        (GpuSample(0, "free", foreign_share=0.0, throttle=("power cap",)), False),
        (GpuSample(0, "shared", foreign_share=0.4), True),
        (GpuSample(0, "hot", throttle=("thermal",)), True),
        (GpuSample(0, "silent"), False),
    ],
)
def test_lanes_learn_that_their_gpu_is_held_back(clock: Clock, gpu: GpuSample, hindered: bool) -> None:
    gpus, seen = Gpus(), list[bool]()
    gpus.read = lambda: (gpu,)  # type: ignore[method-assign, assignment]
    waits = Waits(clock, 2, lambda waits: seen.append(GPU_HINDERED.is_set()))
    sampler = Sampler(lambda: Readers(Host(), gpus, None), now_ns=clock, wait=waits)
    sampler.start(Events())
    assert waits.over.wait(FAILSAFE_S)
    assert sampler.stop(FAILSAFE_S)
    assert seen == [hindered, hindered]
    assert not GPU_HINDERED.is_set(), "without telemetry nobody knows"


@pytest.mark.parametrize(("foreign", "hindered"), [(0.0, False), (0.6, True), (None, False)])
def test_lanes_learn_that_their_cores_are_taken(clock: Clock, foreign: float | None, hindered: bool) -> None:
    host, seen = Host(), list[bool]()
    host.read = lambda: HostSample(engine_cores=1.2, foreign_cores=foreign, cores=2)  # type: ignore[method-assign]
    waits = Waits(clock, 2, lambda waits: seen.append(CORES_HINDERED.is_set()))
    sampler = Sampler(lambda: Readers(host, None, None), now_ns=clock, wait=waits)
    sampler.start(Events())
    assert waits.over.wait(FAILSAFE_S)
    assert sampler.stop(FAILSAFE_S)
    assert seen == [hindered, hindered]
    assert not CORES_HINDERED.is_set(), "without telemetry nobody knows"


def test_stop_ends_a_wait(clock: Clock) -> None:
    """With the stop signal's own wait, which would last an hour."""
    gpus, events, first = Gpus(), Events(), threading.Event()

    class Sample(Events):
        def emit(self, event: Event) -> None:
            events.emit(event)
            if isinstance(event, TelemetrySample):
                first.set()

    sampler = Sampler(lambda: Readers(Host(), gpus, None), period_s=3_600, now_ns=clock)
    sampler.start(Sample())
    assert first.wait(FAILSAFE_S)
    assert sampler.stop(FAILSAFE_S)
    assert len(events.samples) == 1
    assert gpus.closed == 1
    assert sampler.cpu_ns >= 0
    assert sampler.stop()


def test_what_was_never_started_is_stopped_at_once() -> None:
    assert Sampler(lambda: Readers(Host(), None, None)).stop()


@pytest.fixture
def unhandled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Exceptions that nobody caught on a thread: Python would print them onto the screen."""
    found: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", found.append)
    return found


def test_a_reader_that_raises_costs_its_own_figures(
    clock: Clock, caplog: pytest.LogCaptureFixture, unhandled: list[Any]
) -> None:
    class BrokenHost(Host):
        def read(self) -> HostSample:
            if super().read().resident == 2:
                raise ValueError("no such file in /proc")
            return HostSample(resident=self.reads)

    gpus = Gpus(fails_at=3)
    with caplog.at_level(logging.ERROR):
        events, _ = sampled(Readers(BrokenHost(), gpus, None), clock, 4)
    assert [sample.host.resident for sample in events.samples] == [1, None, 3, 4]
    assert [len(sample.gpus) for sample in events.samples] == [2, 2, 0, 2]
    assert gpus.closed == 1
    assert caplog.text.count("a telemetry reader failed") == 2
    assert unhandled == []


def test_a_sink_that_raises_ends_the_telemetry_quietly(
    clock: Clock, caplog: pytest.LogCaptureFixture, unhandled: list[Any]
) -> None:
    class Full(Events):
        def emit(self, event: Event) -> None:
            raise RuntimeError("nobody takes it")

    gpus = Gpus()
    sampler = Sampler(lambda: Readers(Host(), gpus, None), now_ns=clock, wait=lambda seconds: False)
    with caplog.at_level(logging.ERROR):
        sampler.start(Full())
        sampler._thread.join(FAILSAFE_S)
    assert sampler.stop(0)
    assert gpus.closed == 1
    assert "telemetry stopped after an error" in caplog.text
    assert unhandled == []


def test_readers_that_cannot_be_opened_leave_none(caplog: pytest.LogCaptureFixture, unhandled: list[Any]) -> None:
    def broken() -> Readers:
        raise RuntimeError("no /proc here")

    events, sampler = Events(), Sampler(broken)
    with caplog.at_level(logging.ERROR):
        sampler.start(events)
        sampler._thread.join(FAILSAFE_S)
    assert sampler.stop(0)
    assert events.all == []
    assert "telemetry is not available" in caplog.text
    assert unhandled == []


@pytest.mark.parametrize("hangs_in", ["nvmlInitWithFlags", "nvmlDeviceGetPowerUsage"])
def test_nobody_waits_for_a_driver_that_hangs(nvml_stub: NvmlStub, clock: Clock, hangs_in: str) -> None:
    nvml_stub.machine("h100")
    hang = partial(nvml_stub.hang, hangs_in, round(FAILSAFE_S))
    if hangs_in == "nvmlInitWithFlags":
        hang()
    events = Events()
    waits = Waits(clock, 5, lambda number: hang() if number == 2 else None)
    sampler = Sampler(lambda: Readers(Host(), Nvml.open(now_ns=clock, wait=clock.wait), None), now_ns=clock, wait=waits)
    sampler.start(events)
    while not nvml_stub.hanging:
        assert sampler._thread.is_alive()
    said = len(events.all)
    assert not sampler.stop(0)
    assert nvml_stub.hanging
    assert len(events.all) == said == (0 if hangs_in == "nvmlInitWithFlags" else 3)
    nvml_stub.let_go()
    assert sampler.stop(FAILSAFE_S)
    assert nvml_stub.hung_to_the_end == 0


class Source:
    """Does nothing but note what it is told."""

    accepts: frozenset[type[cmd.Command]] = frozenset({cmd.Pause})

    def __init__(self) -> None:
        self.slot = FrameSlot()
        self.told: list[object] = []

    def start(self, sink: Sink) -> None:
        self.told.append(sink)

    def send(self, command: cmd.Command) -> None:
        self.told.append(command)

    def stop(self, timeout_s: float) -> bool:
        self.told.append(timeout_s)
        return False


def test_a_source_goes_on_beside_a_driver_that_hangs(nvml_stub: NvmlStub, clock: Clock) -> None:
    nvml_stub.machine("h100").hang("nvmlDeviceGetCount_v2", round(FAILSAFE_S))
    source, events = Source(), Events()
    sampler = Sampler(lambda: Readers(Host(), Nvml.open(now_ns=clock, wait=clock.wait), None), now_ns=clock)
    both = WithTelemetry(source, sampler)
    both.start(events)
    while not nvml_stub.hanging:
        assert sampler._thread.is_alive()
    both.send(cmd.Pause())
    assert not both.stop(7.0)
    assert source.told == [events, cmd.Pause(), 7.0]
    assert both.slot is source.slot
    assert both.accepts == source.accepts
    nvml_stub.let_go()
    assert sampler.stop(FAILSAFE_S)


def test_readers_of_a_machine_with_a_gpu(nvml_stub: NvmlStub, tmp_path: Any) -> None:
    """The host's memory peak is nobody's business there."""
    nvml_stub.machine("a100")
    readers = open_readers(tmp_path)
    assert readers.gpus is not None
    assert readers.peak is None
    assert readers.missing == ()
    readers.gpus.close()
    assert not (tmp_path / FILE).exists()


def test_readers_of_a_machine_without_a_gpu(
    nvml_stub: NvmlStub, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spectui.telemetry.peak.measure", lambda: 12e9)
    readers = open_readers(tmp_path)
    assert (readers.gpus, readers.peak) == (None, 12e9)
    (missing,) = readers.missing
    assert missing.what == "GPU"
    assert "reports no GPU" in missing.why
