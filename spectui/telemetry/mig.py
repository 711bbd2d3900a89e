"""MIG: the slices that a GPU is divided into, each with memory and counters of its own."""

from __future__ import annotations

import math
from typing import Any

from spectui.telemetry.device import Device, text

EIGHTHS = 8
"""The number of parts into which a GPU's memory is divided."""


class Slice(Device):
    """A MIG slice; its counters are read through the GPU that it belongs to."""

    is_slice = True

    def __init__(self, nv: Any, handle: Any, gpu: Device) -> None:
        super().__init__(nv, handle, gpu.index)
        self._gpu = gpu
        self._instance: int | None = self.ask(None, lambda nv, handle: int(nv.nvmlDeviceGetGpuInstanceId(handle)))
        self.name = self._named()

    def has_gpm(self) -> bool:
        return self._instance is not None and self._gpu.has_gpm()

    def take_gpm(self, sample: Any) -> None:
        self._nv.nvmlGpmMigSampleGet(self._gpu.handle, self._instance, sample)

    def _named(self) -> str:
        """The GPU's name followed by the profile; some drivers already name a slice that way."""
        name = self.ask(None, lambda nv, handle: text(nv.nvmlDeviceGetName, handle)) or ""
        if "MIG" in name:
            return name if name.startswith(self._gpu.name) else f"{self._gpu.name} {name}"
        parts = self.ask(None, lambda nv, handle: nv.nvmlDeviceGetAttributes_v2(handle))
        return f"{self._gpu.name} MIG {self._profile(parts)}" if parts else f"{self._gpu.name} MIG"

    def _profile(self, parts: Any) -> str:
        """NVIDIA's name for a slice of this size, such as ``1g.10gb``."""
        compute, whole = parts.computeInstanceSliceCount, parts.gpuInstanceSliceCount
        memory = self._gpu.ask(None, lambda nv, handle: nv.nvmlDeviceGetMemoryInfo(handle, version=nv.nvmlMemory_v2))
        gigabytes = math.ceil(parts.memorySizeMB / 1024)
        if memory and memory.total:
            # The names count whole eighths of the GPU's memory, part of which is reserved.
            eighths = math.ceil(EIGHTHS * (parts.memorySizeMB << 20) / memory.total)
            gigabytes = round(eighths / EIGHTHS * math.ceil(memory.total / (1 << 30)))
        prefix = f"{compute}c." if compute != whole else ""
        return f"{prefix}{whole}g.{gigabytes}gb"


def slices(nv: Any, gpu: Device) -> list[Slice]:
    """The slices of a GPU; empty if it is not divided, or has no slices yet."""
    mode = gpu.ask(None, lambda nv, handle: nv.nvmlDeviceGetMigMode(handle)[0])
    if mode != nv.NVML_DEVICE_MIG_ENABLE:
        return []
    most = gpu.ask(None, lambda nv, handle: int(nv.nvmlDeviceGetMaxMigDeviceCount(handle))) or 0
    handles = [_handle(gpu, place) for place in range(most)]
    return [Slice(nv, handle, gpu) for handle in handles if handle is not None]


def _handle(gpu: Device, place: int) -> Any:
    """The slice with this index; None if there is none."""
    return gpu.ask(None, lambda nv, handle: nv.nvmlDeviceGetMigDeviceHandleByIndex(handle, place))
