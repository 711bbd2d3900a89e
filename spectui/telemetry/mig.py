"""MIG: the slices that a GPU is divided into, each with memory and counters of its own."""

from __future__ import annotations

import math
from typing import Any

from spectui.telemetry.device import Device, text

EIGHTHS = 8
"""A GPU's memory is divided into so many parts."""


class Slice(Device):
    """A MIG slice; its counters are asked for by way of the GPU that it is a part of."""

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
        """The GPU's name with the profile behind it; some drivers name a slice so themselves."""
        name = self.ask(None, lambda nv, handle: text(nv.nvmlDeviceGetName, handle)) or ""
        if "MIG" in name:
            return name if name.startswith(self._gpu.name) else f"{self._gpu.name} {name}"
        parts = self.ask(None, lambda nv, handle: nv.nvmlDeviceGetAttributes_v2(handle))
        return f"{self._gpu.name} MIG {self._profile(parts)}" if parts else f"{self._gpu.name} MIG"

    def _profile(self, parts: Any) -> str:
        """NVIDIA's name for a slice of such a size, such as ``1g.10gb``."""
        compute, whole = parts.computeInstanceSliceCount, parts.gpuInstanceSliceCount
        memory = self._gpu.ask(None, lambda nv, handle: nv.nvmlDeviceGetMemoryInfo(handle, version=nv.nvmlMemory_v2))
        gigabytes = math.ceil(parts.memorySizeMB / 1024)
        if memory and memory.total:
            # Names count whole eighths of the GPU's memory, of which a part is set aside.
            eighths = math.ceil(EIGHTHS * (parts.memorySizeMB << 20) / memory.total)
            gigabytes = round(eighths / EIGHTHS * math.ceil(memory.total / (1 << 30)))
        prefix = f"{compute}c." if compute != whole else ""
        return f"{prefix}{whole}g.{gigabytes}gb"


def slices(nv: Any, gpu: Device) -> list[Slice]:
    """The slices of a GPU; none when it is not divided, or into nothing yet."""
    mode = gpu.ask(None, lambda nv, handle: nv.nvmlDeviceGetMigMode(handle)[0])
    if mode != nv.NVML_DEVICE_MIG_ENABLE:
        return []
    most = gpu.ask(None, lambda nv, handle: int(nv.nvmlDeviceGetMaxMigDeviceCount(handle))) or 0
    handles = [_handle(gpu, place) for place in range(most)]
    return [Slice(nv, handle, gpu) for handle in handles if handle is not None]


def _handle(gpu: Device, place: int) -> Any:
    """The slice at a place; places may be empty."""
    return gpu.ask(None, lambda nv, handle: nv.nvmlDeviceGetMigDeviceHandleByIndex(handle, place))
