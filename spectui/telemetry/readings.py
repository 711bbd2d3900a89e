"""What every GPU is asked at each read: a table of metrics and calls, each of which fills fields of `GpuSample`.

`nvmlDeviceGetPcieThroughput` is left out because it blocks for 20 ms; PCIe traffic comes from `spectui.telemetry.gpm`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, TypeAlias

from spectui.errors import Fault
from spectui.sources.workers import WORKERS
from spectui.telemetry.device import OLD_DRIVER, Call, Code, Metric

Fields: TypeAlias = Mapping[str, Any]
"""Fields of `GpuSample`; fields that are left out are unknown."""

PEAK = Metric("memory bandwidth peak")
ENERGY = Metric("energy")

_THROTTLE = (
    (0x04, "power cap"),
    (0x08, "hardware slowdown"),
    (0x10, "sync boost"),
    (0x20, "thermal"),
    (0x40, "hardware thermal"),
    (0x80, "power brake"),
    (0x100, "display clock"),
)
_NOT_THROTTLED = 0x01 | 0x02
"""An idle GPU has no reason to be fast, and clocks that somebody has set are not a disturbance."""


def peak(nv: Any, gpu: Any) -> float | None:
    """Bytes per second: bus width times highest clock times two, for double data rate."""
    clock_hz = nv.nvmlDeviceGetMaxClockInfo(gpu, nv.NVML_CLOCK_MEM) * 1e6
    return float(nv.nvmlDeviceGetMemoryBusWidth(gpu) / 8 * clock_hz * 2) or None


def energy(nv: Any, gpu: Any) -> float:
    """Joules since the driver was loaded."""
    return float(nv.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1e3


def _memory(nv: Any, gpu: Any) -> Fields:
    memory = nv.nvmlDeviceGetMemoryInfo(gpu, version=nv.nvmlMemory_v2)
    # NVML's manual includes reserved memory in `used`, drivers do not; the other three figures are right either way.
    used = max(0, memory.total - memory.reserved - memory.free)
    return {"memory_used": used, "memory_total": memory.total}


def _ours() -> frozenset[int]:
    """Ids of this process and of its engines' workers."""
    return WORKERS.pids | {os.getpid()}


def _process_memory(nv: Any, gpu: Any) -> Fields:
    """Left out while the driver lists neither this process nor a worker: there is no context yet, or a container hides
    the ids."""
    processes = nv.nvmlDeviceGetComputeRunningProcesses_v3(gpu)
    parts = [process.usedGpuMemory for process in processes if process.pid in _ours()]
    known = [part for part in parts if part is not None]
    return {"process_memory": sum(known)} if known else {}


def _foreign_share(nv: Any, gpu: Any) -> Fields:
    """SM time of other processes in the last second; left out if a container hides which process is this one."""
    ours = _ours()
    if all(process.pid not in ours for process in nv.nvmlDeviceGetComputeRunningProcesses_v3(gpu)):
        return {}
    try:
        used = nv.nvmlDeviceGetProcessUtilization(gpu, int((time.time() - 1) * 1e6))
    except nv.NVMLError as error:
        if error.value != Code.NOT_FOUND:
            raise
        used = []  # No process has computed anything.
    shares: dict[int, int] = {}
    for sample in used:
        shares[sample.pid] = max(sample.smUtil, shares.get(sample.pid, 0))
    return {"foreign_share": min(1.0, sum(share for pid, share in shares.items() if pid not in ours) / 100)}


def _memory_temperature(nv: Any, gpu: Any) -> Fields:
    (answer,) = nv.nvmlDeviceGetFieldValues(gpu, [nv.NVML_FI_DEV_MEMORY_TEMP])
    if answer.nvmlReturn:
        raise nv.NVMLError(answer.nvmlReturn)
    return {"memory_temperature_c": float(answer.value.uiVal)}


def _throttle(nv: Any, gpu: Any) -> Fields:
    reasons = _newer_or_older(
        nv,
        gpu,
        lambda nv, gpu: nv.nvmlDeviceGetCurrentClocksEventReasons(gpu),
        lambda nv, gpu: nv.nvmlDeviceGetCurrentClocksThrottleReasons(gpu),
    )
    words = [word for bit, word in _THROTTLE if reasons & bit]
    if reasons & ~(_NOT_THROTTLED | sum(bit for bit, _ in _THROTTLE)):
        words.append("other")
    return {"throttle": tuple(words)}


def _temperature(nv: Any, gpu: Any) -> Fields:
    degrees = _newer_or_older(
        nv,
        gpu,
        lambda nv, gpu: nv.nvmlDeviceGetTemperatureV(gpu, nv.NVML_TEMPERATURE_GPU),
        lambda nv, gpu: nv.nvmlDeviceGetTemperature(gpu, nv.NVML_TEMPERATURE_GPU),
    )
    return {"temperature_c": float(degrees)}


def _newer_or_older(nv: Any, gpu: Any, newer: Call[int], older: Call[int]) -> int:
    """NVML renames calls: old drivers know only one name, and new ones may drop the old one."""
    try:
        return newer(nv, gpu)
    except nv.NVMLError as error:
        if error.value not in OLD_DRIVER:
            raise
    return older(nv, gpu)


_HIDDEN_PROCESSES = Fault(
    "this user may not list the GPU's processes", "ask the administrator, or run outside the container"
)

READINGS: tuple[tuple[Metric, Call[Fields]], ...] = (
    (Metric("GPU memory", unsupported="the GPU has no memory of its own: it uses the host's"), _memory),
    (
        Metric(
            "GPU memory of this process",
            forbidden=_HIDDEN_PROCESSES,
        ),
        _process_memory,
    ),
    (
        Metric(
            "SM time of other processes",
            forbidden=_HIDDEN_PROCESSES,
        ),
        _foreign_share,
    ),
    (
        Metric("memory busy time"),
        lambda nv, gpu: {"memory_busy": nv.nvmlDeviceGetUtilizationRates(gpu).memory / 100},
    ),
    (Metric("power"), lambda nv, gpu: {"power_w": nv.nvmlDeviceGetPowerUsage(gpu) / 1000}),
    (Metric("power limit"), lambda nv, gpu: {"power_limit_w": nv.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000}),
    (Metric("GPU temperature"), _temperature),
    (Metric("memory temperature"), _memory_temperature),
    (Metric("SM clock"), lambda nv, gpu: {"sm_clock_mhz": nv.nvmlDeviceGetClockInfo(gpu, nv.NVML_CLOCK_SM)}),
    (Metric("memory clock"), lambda nv, gpu: {"memory_clock_mhz": nv.nvmlDeviceGetClockInfo(gpu, nv.NVML_CLOCK_MEM)}),
    (Metric("throttle reasons"), _throttle),
)
