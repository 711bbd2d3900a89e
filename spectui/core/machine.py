"""What the telemetry has reported: the newest sample, the peaks to compare it with, and a limited history for the
charts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from spectui.core.kv_cache import cache_in_use
from spectui.protocol.events import LaneEngine
from spectui.protocol.samples import GpuSample, LaneMemory, Missing, TelemetrySample, TelemetryStarted

PAST_SAMPLES = 600
"""Samples that are kept: two minutes at five per second."""


@dataclass(slots=True)
class MachineState:
    """Folded from `TelemetryStarted` and `TelemetrySample`. For every sample kept, ``bandwidth`` holds the memory
    traffic in bytes per second: measured by a GPU's counters, or else estimated from the lanes' own steps."""

    started: TelemetryStarted | None = None
    past: deque[TelemetrySample] = field(default_factory=lambda: deque(maxlen=PAST_SAMPLES))
    bandwidth: deque[float | None] = field(default_factory=lambda: deque(maxlen=PAST_SAMPLES))
    samples: int = 0


@dataclass(frozen=True, slots=True)
class MachineView:
    """The telemetry for the screen.

    Attributes:
        sample: The newest sample.
        past: The samples before it, newest last.
        bandwidth: Memory traffic at each of ``past``, in bytes per second; see ``measured``.
        peaks: Peak memory bandwidth of each device in bytes per second.
        derived: Whether the peaks come from data-sheet figures instead of a measurement.
        measured: Whether the traffic comes from a GPU's counters; otherwise it is an estimate.
        missing: What is not sampled here, and why.
        samples: How many samples there have been.
        hidden: Whether the driver hides which of the GPU's processes is this one.
    """

    sample: TelemetrySample
    past: tuple[TelemetrySample, ...]
    bandwidth: tuple[float | None, ...]
    peaks: tuple[float | None, ...]
    derived: bool
    measured: bool
    missing: tuple[Missing, ...]
    samples: int
    hidden: bool = False

    @property
    def peak(self) -> float | None:
        """Peak memory bandwidth of the device that the lanes run on."""
        return _lanes_peak(self.sample, self.peaks)

    @property
    def gpu(self) -> GpuSample | None:
        """The device that the lanes run on, None on a CPU."""
        return lanes_gpu(self.sample)


def _lanes_place(sample: TelemetrySample) -> int:
    """The first device on which this process has memory; the first device if no driver reports that."""
    return next((place for place, gpu in enumerate(sample.gpus) if gpu.process_memory), 0)


def _lanes_peak(sample: TelemetrySample, peaks: Sequence[float | None]) -> float | None:
    place = _lanes_place(sample)
    return peaks[place] if place < len(peaks) else None


def lanes_gpu(sample: TelemetrySample) -> GpuSample | None:
    """The device that the lanes run on, None on a CPU."""
    return sample.gpus[_lanes_place(sample)] if sample.gpus else None


PROCESS_MEMORY = "GPU memory of this process"
"""What `Missing` calls it where the driver refuses it."""


def hides_processes(sample: TelemetrySample, missing: Sequence[Missing], engines: Iterable[LaneEngine | None]) -> bool:
    """Whether the driver answers, but lists neither this process nor a worker although an engine runs on the GPU: in a
    container NVML shows no process ids, or those of the host."""
    gpu = lanes_gpu(sample)
    if gpu is None or gpu.lost or gpu.process_memory is not None:
        return False
    if any(one.what.startswith(PROCESS_MEMORY) for one in missing):
        return False
    return any(engine is not None and engine.device == "cuda" for engine in engines)


def measured_bandwidth(sample: TelemetrySample, peaks: Sequence[float | None]) -> float | None:
    """Measured memory traffic of the lanes' GPU in bytes per second; None if its counters or its peak are not known."""
    gpu, peak = lanes_gpu(sample), _lanes_peak(sample, peaks)
    return None if gpu is None or peak is None or gpu.bandwidth_share is None else gpu.bandwidth_share * peak


@dataclass(frozen=True, slots=True)
class Holding:
    """A part of the memory. ``bytes`` is None if it is not known; ``used`` is the part of a cache that is in use, None
    for memory that is always in use."""

    owner: str
    what: str
    bytes: int | None
    used: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryView:
    """Memory by owner.

    Attributes:
        holdings: What the lanes hold, in the lanes' order; weights that lanes share are listed once.
        total: What the device, or the host's operating system, reports for this process, or for all processes if the
            device does not tell them apart.
        other: ``total`` minus the holdings; negative if reserved memory has not been touched yet.
    """

    holdings: tuple[Holding, ...]
    total: int | None
    other: int | None

    def of(self, what: str) -> list[int | None]:
        """Bytes of each holding of one kind."""
        return [holding.bytes for holding in self.holdings if holding.what == what]

    def sum_of(self, what: str) -> int | None:
        """Bytes of all holdings of one kind; None if one of them is not known."""
        sizes = [size for size in self.of(what) if size is not None]
        return sum(sizes) if len(sizes) == len(self.of(what)) else None


NOTHING_HELD = MemoryView((), None, None)

WEIGHTS, DRAFTER, CACHE = "target", "drafter", "KV cache"
"""The kinds of memory that a lane's engine holds."""


def memory_by_owner(
    lanes: Sequence[tuple[str, LaneMemory, Sequence[int] | None]], sample: TelemetrySample | None
) -> MemoryView:
    """Work out who holds which part of the memory.

    Args:
        lanes: Title, memory, and the cache tokens of each running request (None if not known).
        sample: The newest sample, for the total.
    """
    holdings: list[Holding] = []
    for title, memory, contexts in lanes:
        if not memory.target_shared:
            holdings.append(Holding(title, WEIGHTS, memory.target_bytes))
        if memory.drafter_bytes != 0:
            holdings.append(Holding(title, DRAFTER, memory.drafter_bytes))
        used = None if contexts is None else cache_in_use(memory, contexts)
        holdings.append(Holding(title, CACHE, memory.kv_reserved, used))
    split = any(memory.devices > 1 for _, memory, _ in lanes)
    total = None if sample is None else _total_of_all(sample) if split else _total(sample)
    known = [holding.bytes for holding in holdings]
    other = None if total is None or None in known else total - sum(size for size in known if size is not None)
    return MemoryView(tuple(holdings), total, other)


def _total(sample: TelemetrySample) -> int | None:
    gpu = lanes_gpu(sample)
    if gpu is None:
        return sample.host.resident
    return gpu.memory_used if gpu.process_memory is None else gpu.process_memory


def _total_of_all(sample: TelemetrySample) -> int | None:
    """Memory of this program on every GPU; None if no driver reports it."""
    known = [gpu.process_memory for gpu in sample.gpus if gpu.process_memory is not None]
    return sum(known) if known else None
