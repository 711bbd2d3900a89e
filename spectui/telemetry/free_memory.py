"""How much memory is free on the device that lanes will run on."""

from __future__ import annotations

from pathlib import Path

from spectui.core.memory_plan.plan import Device
from spectui.telemetry.nvml import Nvml, NvmlUnavailableError

CONTROL_GROUP = Path("/sys/fs/cgroup")


def gpu_memory(count: int = 1) -> Device:
    """The first ``count`` GPUs that CUDA may use, as one of the size of the smallest, with the least free memory."""
    try:
        nvml = Nvml.open(wait=lambda seconds: None)
    except NvmlUnavailableError:
        return Device("GPU", None, None, gpu=True)
    try:
        samples = nvml.read()[:count]
    finally:
        nvml.close()
    totals = [sample.memory_total for sample in samples if sample.memory_total is not None]
    free = [
        sample.memory_total - sample.memory_used
        for sample in samples
        if sample.memory_total is not None and sample.memory_used is not None
    ]
    name = samples[0].name if samples else "GPU"
    return Device(
        name if len(samples) < 2 else f"each of {len(samples)} x {name}",
        min(totals, default=None),
        min(free, default=None) if len(free) == len(samples) else None,
        gpu=True,
    )


def host_memory() -> Device:
    """The host's memory, as far as this process may have it."""
    try:
        import psutil  # type: ignore[import-untyped]

        memory = psutil.virtual_memory()
    except Exception:
        # Containers and unusual kernels have files that psutil cannot read.
        return Device("memory of this machine", None, None)
    return Device("memory of this machine", int(memory.total), memory_left(int(memory.available)))


def memory_left(available: int, group: Path = CONTROL_GROUP) -> int:
    """The host's ``available`` memory, or less if a container's limit leaves less."""
    try:
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
        lines = (group / "memory.stat").read_text().splitlines()
    except (OSError, ValueError):
        return available
    # Files that the kernel caches count as used memory, but are dropped when memory is needed.
    cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return max(0, min(available, limit - used + cached))
