"""This process, its engines' worker processes, and their host: memory, cores, load, temperature, page faults. Linux."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from spectui.protocol.samples import HostSample, Missing
from spectui.protocol.source import ENGINE_THREAD
from spectui.sources.workers import WORKERS
from spectui.standstill import awake_ns

SLOW_READS = 10
"""Every this many reads, also read what hardly changes or is expensive to read: free memory, load, temperature."""

_PROCESS, _THREAD = 2, 6
"""The kernel's clocks of processor time (MAKE_PROCESS_CPUCLOCK, MAKE_THREAD_CPUCLOCK in its posix-timers.h)."""

K = TypeVar("K")

NO_SENSOR = Missing("temperature of the processor", "no sensor can be read here, as in most virtual machines")


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters that only grow.

    Attributes:
        process_ns: Processor time of the process, in nanoseconds.
        others_ns: Processor time of each thread except the engine's, in nanoseconds.
        minor: Minor page faults of the process; ``major`` are the major ones.
        workers_ns: Processor time of each worker process of the engines, in nanoseconds.
        busy_ns: How long any program kept this process's cores busy; None if the system does not report it.
    """

    at_ns: int
    process_ns: int
    others_ns: Mapping[threading.Thread, int]
    minor: int
    major: int
    busy_ns: int | None = None
    workers_ns: Mapping[int, int] = field(default_factory=dict)


class Host:
    """Reads the host. Figures that cover a span of time are None at the first read.

    Attributes:
        missing: What cannot be read here.
    """

    def __init__(self, counters: Callable[[], Counters] | None = None) -> None:
        """Check whether there is a sensor; ``counters`` reads the counters, `count` if None."""
        self._counters = counters or count
        self._before: Counters | None = None
        self._reads = 0
        self._slow: tuple[int | None, int | None, float | None, float | None] = (None, None, None, None)
        self._sensors = True
        self.missing: tuple[Missing, ...] = ()
        if _temperature() is None:
            self._sensors = False
            self.missing = (NO_SENSOR,)

    def read(self) -> HostSample:
        """Read the process and the host; cheap enough for ten times a second."""
        if self._reads % SLOW_READS == 0:
            self._slow = (*_memory(), os.getloadavg()[0], _temperature() if self._sensors else None)
        self._reads += 1
        before, now = self._before, self._counters()
        self._before = now
        available, total, load, temperature = self._slow
        span = now.at_ns - before.at_ns if before else 0
        engine = other = minor = major = foreign = None
        if before is not None and span > 0:
            others_ns = _spent_ns(before.others_ns, now.others_ns)
            other = others_ns / span
            # Threads that the engine's libraries start are not Python threads: whatever is left over is the engine's.
            # What a worker has spent before it was seen first, it has spent in earlier spans.
            known_ns = {**now.workers_ns, **before.workers_ns}
            own_ns = now.process_ns - before.process_ns + _spent_ns(known_ns, now.workers_ns)
            engine = max(0, own_ns - others_ns) / span
            if now.busy_ns is not None and before.busy_ns is not None:
                foreign = max(0, now.busy_ns - before.busy_ns - own_ns) / span
            minor = (now.minor - before.minor) / span * 1e9
            major = (now.major - before.major) / span * 1e9
        return HostSample(
            resident=_resident(),
            available=available,
            total=total,
            engine_cores=engine,
            other_cores=other,
            load=load,
            cores=len(os.sched_getaffinity(0)),
            temperature_c=temperature,
            major_faults=major,
            minor_faults=minor,
            foreign_cores=foreign,
        )


def count() -> Counters:
    """Read this process's counters."""
    others = {thread: _thread_ns(thread) for thread in threading.enumerate() if thread.name != ENGINE_THREAD}
    usage = resource.getrusage(resource.RUSAGE_SELF)
    workers = {pid: _clock_ns(pid, _PROCESS) for pid in WORKERS.pids}
    return Counters(awake_ns(), time.process_time_ns(), others, usage.ru_minflt, usage.ru_majflt, busy_ns(), workers)


def busy_ns(statistics: Path = Path("/proc/stat")) -> int | None:
    """How long this process's cores have been busy since the system started, for any program (``proc_stat(5)``)."""
    try:
        rows = [line.split() for line in statistics.read_text().splitlines() if line.startswith("cpu")]
        cores = {row[0]: list(map(int, row[1:])) for row in rows}
        ticks = [cores[f"cpu{core}"] for core in os.sched_getaffinity(0)]
    except (OSError, ValueError, KeyError):
        return None
    # user, nice, system, (idle, iowait,) irq, softirq, steal; the guests' time is included in the first two.
    busy = sum(sum(row[:3]) + sum(row[5:8]) for row in ticks)
    return busy * 1_000_000_000 // os.sysconf("SC_CLK_TCK") or None


def _spent_ns(before: Mapping[K, int], now: Mapping[K, int]) -> int:
    """Processor time that living threads or processes have used in between, all of it for one that is only in ``now``;
    what of one that has ended is not counted."""
    return sum(max(0, ns - before.get(key, 0)) for key, ns in now.items())


def _thread_ns(thread: threading.Thread) -> int:
    """Processor time of a thread; 0 if it has just ended."""
    if thread.native_id is None:
        return 0
    # The C library's function would read the memory of a thread that may be gone.
    return _clock_ns(thread.native_id, _THREAD)


def _clock_ns(number: int, kind: int) -> int:
    """The kernel's clock of a thread or process id; 0 if it has just ended."""
    try:
        return time.clock_gettime_ns((~number << 3) | kind)
    except OSError:
        return 0


def _resident() -> int | None:
    """Memory of this process and its workers; pages that workers share with others, such as libraries, count here."""
    try:
        own, *workers = (_pages(name) for name in ("self", *map(str, WORKERS.pids)))
    except (OSError, ValueError, IndexError):
        return None
    return (own[0] + sum(resident - shared for resident, shared in workers)) * resource.getpagesize()


def _pages(process: str) -> tuple[int, int]:
    """Resident pages of a process, and how many of them are shared with others or come from files (``proc_pid_statm``);
    none if it is a worker that has just ended."""
    try:
        fields = Path(f"/proc/{process}/statm").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        if process == "self":
            raise
        return 0, 0
    return int(fields[1]), int(fields[2])


def _memory() -> tuple[int | None, int | None]:
    """Available and total memory of the host."""
    try:
        import psutil  # type: ignore[import-untyped]

        memory = psutil.virtual_memory()
    except Exception:
        # Containers and unusual kernels have files that psutil cannot read.
        return None, None
    return int(memory.available), int(memory.total)


def _temperature() -> float | None:
    """The hottest sensor of the processor."""
    try:
        import psutil

        sensors = psutil.sensors_temperatures()
    except Exception:
        # psutil is missing, does not know sensors, or fails on a sensor's name.
        return None
    readings = [
        one.current for name in ("coretemp", "k10temp", "zenpower", "cpu_thermal") for one in sensors.get(name, ())
    ]
    return max(readings, default=None)
