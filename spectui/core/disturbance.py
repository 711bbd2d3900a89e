"""How much of a run was disturbed by other programs, and by which.

A step itself says whether it was disturbed; here those steps are counted. Disturbed figures do not describe the model:
with another program on one of two cores, AR's step was seen to take two to five times as long and MTP's twice as long,
which changes the speed-up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

from spectui.protocol.samples import GpuSample, HostSample, TelemetrySample

RECENT_STEPS = 64
"""Engine steps, of all lanes together, over which the shown share is taken."""

LEAST_STEPS = 8
"""Engine steps before anything is said."""

TOLD = 0.1
"""Share of disturbed steps from which the user is told."""

DOUBTFUL = 0.05
"""Share of a lane's time from which its throughput is not that of the machine alone."""

_FOREIGN_SHARE = 0.1
_FOREIGN_CORES = 0.1
CORES_SAMPLES = 5
"""Samples over which the use of cores is averaged: a second, because the system counts in hundredths of a second."""

_SLOWED = frozenset({"hardware slowdown", "thermal", "hardware thermal", "power brake"})
"""Reasons for lower clocks that come from outside; a power cap belongs to the card."""


FOREIGN_CORES = 0.25
"""Cores that other programs use on average in a disturbed round. Steps that the program itself disturbs must not be
left out: they are what is measured."""


def foreign(samples: Iterable[TelemetrySample]) -> bool:
    """Whether other programs used the cores while these samples were taken."""
    cores = [sample.host.foreign_cores for sample in samples if sample.host.foreign_cores is not None]
    return sum(cores) > FOREIGN_CORES * len(cores)


@dataclass(frozen=True, slots=True)
class Disturbance:
    """``share`` of the last steps was disturbed (0 to 1); ``cause`` says by what, empty if that is not known."""

    share: float
    cause: str


@dataclass(slots=True)
class DisturbanceMeter:
    """Counts disturbed steps among the last engine steps of all lanes. ``samples`` is the number of telemetry samples
    up to the last step: what other programs do in a pause disturbs nothing."""

    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=RECENT_STEPS))
    samples: int = 0

    def add(self, disturbed: bool, samples: int) -> None:
        """Count an engine step that came after ``samples`` telemetry samples."""
        self.recent.append(disturbed)
        self.samples = samples

    def read(self, samples: Iterable[TelemetrySample]) -> Disturbance | None:
        """What to tell the user, None if all is well; ``samples`` are those before the last step, newest first."""
        share = sum(self.recent) / max(1, len(self.recent))
        if len(self.recent) < LEAST_STEPS or share < TOLD:
            return None
        return Disturbance(share, _cause(list(islice(samples, CORES_SAMPLES))))


def gpu_hindrance(gpu: GpuSample) -> str:
    """What slows a GPU down; empty if nothing does."""
    if gpu.foreign_share is not None and gpu.foreign_share >= _FOREIGN_SHARE:
        return f"other programs keep GPU {gpu.index} busy for {gpu.foreign_share * 100:.0f} % of the time"
    if slowed := sorted(_SLOWED & set(gpu.throttle or ())):
        return f"GPU {gpu.index} is slowed down ({', '.join(slowed)})"
    return ""


def cores_hindrance(hosts: Sequence[HostSample]) -> bool:
    """Whether other programs took cores that this one could have used in these samples, on average: they used
    `FOREIGN_CORES`, and not even one core was idle."""
    used = [
        (host.foreign_cores, host.foreign_cores + host.engine_cores + (host.other_cores or 0.0), host.cores)
        for host in hosts
        if host.foreign_cores is not None and host.engine_cores is not None and host.cores is not None
    ]
    foreign_cores, all_cores, cores = (sum(one) for one in zip(*used, strict=True)) if used else (0, 0, 0)
    return foreign_cores > FOREIGN_CORES * len(used) and all_cores > cores - len(used)


def _cause(samples: list[TelemetrySample]) -> str:
    for gpu in samples[0].gpus if samples else ():
        if hindrance := gpu_hindrance(gpu):
            return hindrance
    cores = [sample.host.foreign_cores for sample in samples if sample.host.foreign_cores is not None]
    used = sum(cores) / len(cores) if cores else 0.0
    return f"other programs use {used:.1f} cores" if used >= _FOREIGN_CORES else ""
