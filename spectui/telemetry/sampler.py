"""The sampler thread: reads GPUs and host at a steady pace and hands over small frozen samples.

A driver call that hangs holds up only this thread: the binding releases the interpreter lock, and the program does not
wait for the thread when it ends.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from spectui.core.disturbance import CORES_SAMPLES, cores_hindrance, gpu_hindrance
from spectui.core.machine import lanes_gpu
from spectui.protocol.samples import GpuSample, HostSample, Missing, TelemetrySample, TelemetryStarted
from spectui.protocol.source import Sink
from spectui.sources.hindrance import CORES_HINDERED, GPU_HINDERED
from spectui.standstill import awake_ns

logger = logging.getLogger(__name__)

T = TypeVar("T")

SAMPLES_PER_SECOND = 5
STOP_S = 0.5
"""How long the program waits for the thread when it ends."""


class GpuReader(Protocol):
    """What the sampler needs from NVML."""

    @property
    def missing(self) -> tuple[Missing, ...]: ...

    @property
    def peaks(self) -> tuple[float | None, ...]: ...

    def read(self) -> tuple[GpuSample, ...]: ...

    def close(self) -> None: ...


class HostReader(Protocol):
    """What the sampler needs from the host."""

    @property
    def missing(self) -> tuple[Missing, ...]: ...

    def read(self) -> HostSample: ...


@dataclass(frozen=True, slots=True)
class Readers:
    """Everything that is read.

    Attributes:
        host: The host.
        gpus: NVML, None if it is not available.
        peak: The host's peak memory bandwidth in bytes per second.
        missing: Why NVML is not available.
    """

    host: HostReader
    gpus: GpuReader | None
    peak: float | None
    missing: tuple[Missing, ...] = ()


def open_readers(cache: Path | None) -> Readers:
    """Find out what can be read here; without a GPU, measure the host's memory peak unless ``cache`` has it."""
    from spectui.telemetry.host import Host
    from spectui.telemetry.nvml import Nvml, NvmlUnavailableError
    from spectui.telemetry.peak import memory_peak

    try:
        return Readers(Host(), Nvml.open(), None)
    except NvmlUnavailableError as error:
        return Readers(Host(), None, memory_peak(cache), (Missing("GPU", str(error)),))


def open_cores() -> Readers:
    """Read the host alone, and measure nothing that would keep it busy: enough to see who uses its cores."""
    from spectui.telemetry.host import Host

    return Readers(Host(), None, None)


class Sampler:
    """Reads on its own thread from `start` to `stop`."""

    def __init__(
        self,
        open_: Callable[[], Readers],
        *,
        period_s: float = 1 / SAMPLES_PER_SECOND,
        now_ns: Callable[[], int] = awake_ns,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            open_: Opens the readers; called on the thread.
            period_s: Seconds from one sample to the next.
            now_ns: The clock.
            wait: Waits the given number of seconds and says whether to end; None for the stop signal's own wait.
        """
        self._open = open_
        self._period_s = period_s
        self._now_ns = now_ns
        self._stop = threading.Event()
        self._wait = wait or self._stop.wait
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._sink: Sink
        self._failed: list[Callable[[], object]] = []
        self.cpu_ns = 0
        """Processor time that sampling has taken, not counting the opening of the readers."""

    def start(self, sink: Sink) -> None:
        """Start; returns at once. Called once."""
        self._sink = sink
        self._thread.start()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Stop; False if the thread still hangs in a driver after ``timeout_s``."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            readers = self._open()
        except Exception:
            logger.exception("telemetry is not available")
            return
        try:
            self._sample(readers)
        except Exception:
            logger.exception("telemetry stopped after an error")
        finally:
            GPU_HINDERED.clear()
            CORES_HINDERED.clear()
            if readers.gpus is not None:
                readers.gpus.close()

    def _one(self, read: Callable[[], T], nothing: T) -> T:
        """Call a reader, or return ``nothing`` if it fails: a failing reader must not affect the other, and may
        recover."""
        try:
            return read()
        except Exception:
            if read not in self._failed:
                logger.exception("a telemetry reader failed")
                self._failed.append(read)
            return nothing

    def _sample(self, readers: Readers) -> None:
        began, gpus = self._now_ns(), readers.gpus
        hosts: deque[HostSample] = deque(maxlen=CORES_SAMPLES)
        opened_ns = time.thread_time_ns()
        missing = (*readers.missing, *(gpus.missing if gpus else ()), *readers.host.missing)
        if gpus is None:
            self._sink.emit(TelemetryStarted((readers.peak,), "probe", missing))
        else:
            self._sink.emit(TelemetryStarted(gpus.peaks, "bus", missing))
        while not self._stop.is_set():
            found: tuple[GpuSample, ...] = self._one(gpus.read, ()) if gpus else ()
            host = self._one(readers.host.read, HostSample())
            sample = TelemetrySample(self._now_ns() - began, host, found)
            hosts.append(host)
            _mark(sample, hosts)
            self._sink.emit(sample)
            self.cpu_ns = time.thread_time_ns() - opened_ns
            if self._wait(self._period_s):
                return


def _mark(sample: TelemetrySample, hosts: Sequence[HostSample]) -> None:
    """Tell the lanes whether their GPU is slowed down, or their cores are taken."""
    gpu = lanes_gpu(sample)
    _set(GPU_HINDERED, gpu is not None and gpu_hindrance(gpu) != "")
    _set(CORES_HINDERED, cores_hindrance(hosts))


def _set(event: threading.Event, state: bool) -> None:
    if state:
        event.set()
    else:
        event.clear()
