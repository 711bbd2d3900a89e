"""GPM: what a GPU's own counters did between two samples. It is the only way in which NVML measures bytes.

GPUs have it from the Hopper generation on. The driver is asked once whether a GPU has it; each metric is decided by its
own return code.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from spectui.errors import Fault
from spectui.telemetry.device import Code, Device, Metric

LEAST_APART_NS = 100_000_000
"""The driver does not refresh the counters more often, so a difference between closer samples means nothing."""

_FORBIDDEN = Fault(
    "GPU performance counters are for administrators only",
    "ask yours to allow them to all users (NVreg_RestrictProfilingToAdminUsers=0)",
)
_MIB = 1 << 20

COUNTERS = Metric(
    "GPM counters: memory bandwidth, SM, tensor, PCIe",
    unsupported="the GPU has none: they came with the Hopper generation",
    forbidden=_FORBIDDEN,
)


@dataclass(frozen=True, slots=True)
class _Counter:
    """A field of `GpuSample`, its name for the user, the binding's name for it, and how to convert its value."""

    field: str
    metric: Metric
    constant: str
    convert: Callable[[float], float]


def _share(percent: float) -> float:
    return min(1.0, max(0.0, percent / 100))


def _bytes(mib: float) -> float:
    return max(0.0, mib) * _MIB


_COUNTERS = tuple(
    _Counter(field, Metric(f"{what} (GPM)", forbidden=_FORBIDDEN), f"NVML_GPM_METRIC_{name}", convert)
    for field, what, name, convert in (
        ("bandwidth_share", "memory bandwidth", "DRAM_BW_UTIL", _share),
        ("sm_share", "SM time", "SM_UTIL", _share),
        ("tensor_share", "tensor time", "ANY_TENSOR_UTIL", _share),
        ("pcie_receive", "PCIe from the host", "PCIE_RX_PER_SEC", _bytes),
        ("pcie_send", "PCIe to the host", "PCIE_TX_PER_SEC", _bytes),
    )
)


class Counters:
    """The counters of one device, read with two samples that take turns."""

    def __init__(self, nv: Any, device: Device, now_ns: Callable[[], int]) -> None:
        self._nv = nv
        self._device = device
        self._now_ns = now_ns
        self._samples: list[Any] = []
        self._request: Any = None
        self._taken_ns: int | None = None
        self._latest: Mapping[str, float] = {}

    @property
    def begun(self) -> bool:
        """Whether there is a sample to compare the next one with."""
        return self._taken_ns is not None

    def read(self) -> Mapping[str, float]:
        """Fields of `GpuSample`; those of the previous read if it was too recent."""
        if self._taken_ns is not None and self._now_ns() - self._taken_ns < LEAST_APART_NS:
            return self._latest
        answer = self._device.ask(COUNTERS, lambda nv, handle: self._advance()) if self._wanted() else None
        self._latest = answer or {}
        return self._latest

    def close(self) -> None:
        """Free the samples."""
        while self._samples:
            with contextlib.suppress(self._nv.NVMLError):
                self._nv.nvmlGpmSampleFree(self._samples.pop())

    def _wanted(self) -> list[_Counter]:
        return [counter for counter in _COUNTERS if self._device.may_ask(counter.metric)]

    def _advance(self) -> Mapping[str, float]:
        """Take a sample and return what happened since the previous one; empty for the first."""
        if len(self._samples) < 2:
            self._allocate()
        earlier, later = self._samples
        self._device.take_gpm(later)
        first, self._taken_ns = not self.begun, self._now_ns()
        self._samples.reverse()
        return {} if first else self._between(earlier, later)

    def _allocate(self) -> None:
        if not self._device.has_gpm():
            raise self._nv.NVMLError(Code.NOT_SUPPORTED)
        while len(self._samples) < 2:
            self._samples.append(self._nv.nvmlGpmSampleAlloc())
        self._request = self._nv.c_nvmlGpmMetricsGet_t(version=self._nv.NVML_GPM_METRICS_GET_VERSION)

    def _between(self, earlier: Any, later: Any) -> Mapping[str, float]:
        wanted, request = self._wanted(), self._request
        request.sample1, request.sample2, request.numMetrics = earlier, later, len(wanted)
        answers = [request.metrics[place] for place in range(len(wanted))]
        for counter, answer in zip(wanted, answers, strict=True):
            answer.metricId = getattr(self._nv, counter.constant)
        self._nv.nvmlGpmMetricsGet(request)
        values = {}
        for counter, answer in zip(wanted, answers, strict=True):
            self._device.note(counter.metric, answer.nvmlReturn)
            if answer.nvmlReturn == Code.SUCCESS and math.isfinite(answer.value):
                values[counter.field] = counter.convert(answer.value)
        return values
