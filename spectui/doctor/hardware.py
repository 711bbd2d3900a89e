"""Checks of the machine: devices, driver, NVML and its counters, memory, sensors. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spectui.doctor.check import Check, amount, split_fix
from spectui.protocol.samples import GpuSample, Missing

DEMO_MEMORY = 3_000_000_000
"""What the demo's three lanes take, in bytes."""
LEAST_MEMORY = 1_500_000_000
"""What one lane on the demo model takes, in bytes."""
CONTROL_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Gpus:
    """What NVML says."""

    unavailable: str | None = None
    """Why it says nothing, in one sentence; None when it answers."""
    driver: str | None = None
    samples: tuple[GpuSample, ...] = ()
    peaks: tuple[float | None, ...] = ()
    """Highest memory bandwidth of each sample's GPU in bytes a second, None where it is unknown."""
    missing: tuple[Missing, ...] = ()
    """What it cannot say about them."""


@dataclass(frozen=True)
class DeviceFile:
    """A file through which programs reach a GPU."""

    path: str
    usable: bool
    """Whether this user may read and write it."""


def device_checks(gpus: Gpus, cores: int) -> Iterator[Check]:
    """What engines can run on; `cores` are those of the processor that this process may use."""
    peaks = (*gpus.peaks, *([None] * len(gpus.samples)))
    for gpu, peak in zip(gpus.samples, peaks, strict=False):
        if gpu.lost:
            what = f"GPU {gpu.index}, {gpu.name}, has fallen off the bus"
            yield Check("device", "problem", what, "restart the machine, and look for Xid errors in `dmesg`")
        else:
            yield Check("device", "ok", f"GPU {gpu.index}, {gpu.name}{_room(gpu)}{_speed(peak)}")
    if not gpus.samples:
        what = "one core, which engine and screen share" if cores == 1 else f"{cores} cores to use"
        yield Check("device", "ok", f"the processor, with {what}; no NVIDIA GPU answers")


def _room(gpu: GpuSample) -> str:
    if gpu.memory_total is None:
        return ""
    if gpu.memory_used is None:
        return f", {amount(gpu.memory_total)}"
    return f", {amount(gpu.memory_total - gpu.memory_used)} of {amount(gpu.memory_total)} free"


def _speed(peak: float | None) -> str:
    return "" if peak is None else f", peak {peak / 1e9:.0f} GB/s (derived)"


def nvml_checks(gpus: Gpus, files: tuple[DeviceFile, ...], *, on_the_bus: bool) -> Iterator[Check]:
    """The driver and what its library tells.

    Args:
        gpus: its answers.
        files: the GPUs' device files.
        on_the_bus: the machine has an NVIDIA GPU, whether or not anything answers for it.
    """
    refused = [file.path for file in files if not file.usable]
    if refused:
        what = f"this user may not use {', '.join(refused)}"
        fix = "ask for the group that `ls -l /dev/nvidia*` names, or start the container with `--gpus all`"
        yield Check("permissions", "problem", what, fix)
    elif files:
        yield Check("permissions", "ok", "this user may use the GPUs' device files")
    if gpus.unavailable is not None:
        reason, fix = split_fix(gpus.unavailable)
        if files or on_the_bus:
            yield Check(
                "NVML", "warning", reason, fix or "see whether `nvidia-smi` answers, and restart the machine if not"
            )
        else:
            yield Check("driver", "—", "there is no NVIDIA GPU in this machine")
            yield Check("NVML", "—", reason)
            yield Check("GPM", "—", "there is no GPU whose memory traffic could be counted")
        return
    yield Check("driver", "ok", f"NVIDIA {gpus.driver or 'of an unknown version'}")
    count = len(gpus.samples)
    yield Check("NVML", "ok", f"it answers for {count} {'device' if count == 1 else 'devices'}")
    yield from _missing_checks(gpus)


def _missing_checks(gpus: Gpus) -> Iterator[Check]:
    counting = [gpu.index for gpu in gpus.samples if gpu.bandwidth_share is not None]
    if counting:
        which = "the GPU" if len(gpus.samples) == 1 else f"GPU {', '.join(map(str, counting))}"
        yield Check("GPM", "ok", f"memory traffic is counted by {which}, so bandwidth is measured")
    reasons: dict[tuple[str, str], list[str]] = {}
    for missing in gpus.missing:
        area = "GPM" if "GPM" in missing.what else "NVML"
        name = missing.what.removeprefix("GPM counters: ").replace(" (GPM)", "")
        reasons.setdefault((area, missing.why), []).append(name)
    for (area, why), names in reasons.items():
        reason, fix = split_fix(why)
        yield Check(area, "warning" if fix else "—", f"no {', '.join(names)}, since {reason}", fix)


def memory_checks(available: int, total: int) -> Iterator[Check]:
    """Free memory against what the demo needs, in bytes."""
    what = f"{amount(available)} of {amount(total)} free; the demo takes about {amount(DEMO_MEMORY)}"
    if available < LEAST_MEMORY:
        yield Check("memory", "problem", what, "end other programs first: not even one lane fits")
    elif available < DEMO_MEMORY:
        fix = "end other programs, or race fewer lanes, as in `spectui --lane ar --lane mtp:k=2`"
        yield Check("memory", "warning", what, fix)
    else:
        yield Check("memory", "ok", what)


def memory_left(available: int, group: Path = CONTROL_GROUP) -> int:
    """`available` memory of the host, or what a container's limit leaves of it."""
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (group / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return available
    # Files that the kernel keeps in memory count as used and give way.
    cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return max(0, min(available, limit - used + cached))


def sensor_checks(temperatures: Mapping[str, float]) -> Iterator[Check]:
    """Temperatures in degrees Celsius, by sensor."""
    if temperatures:
        hottest = max(temperatures, key=lambda name: temperatures[name])
        yield Check("sensors", "ok", f"the hottest is {hottest}, {temperatures[hottest]:.0f} °C")
    else:
        yield Check("sensors", "—", "no temperature can be read, which is usual in a virtual machine")
