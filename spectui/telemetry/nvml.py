"""NVML: which GPUs there are, what each can report, and their samples, through NVIDIA's own binding (`nvidia-ml-py`).

Whether a GPU supports a metric is decided by the return code of the first call and not asked again; a refused metric or
a lost GPU never affects the others. Must not know: threads, vLLM, Textual.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Callable
from typing import Any

from spectui.errors import Fault
from spectui.protocol.samples import GpuSample, Missing
from spectui.telemetry.device import UNREADABLE, Code, Device, said, text
from spectui.telemetry.gpm import LEAST_APART_NS, Counters
from spectui.telemetry.mig import slices
from spectui.telemetry.readings import ENERGY, PEAK, READINGS, energy, peak
from spectui.telemetry.visible import visible

_NO_BINDING = Fault("NVML's binding is not in this Python's environment", "pip install nvidia-ml-py")
_NO_GPU = Fault("the NVIDIA driver reports no GPU", "check `nvidia-smi -L`; a container must be given its GPUs")
_NOT_ALLOWED = Fault("this user may not open the NVIDIA devices", "ask the administrator for access to /dev/nvidia*")
_OLD = Fault("the NVIDIA driver is too old for NVML's binding", "install a newer one")
_UNAVAILABLE: dict[int, Fault] = {
    Code.LIBRARY_NOT_FOUND: Fault(
        "libnvidia-ml.so.1 was not found",
        "install the NVIDIA driver, or start the container with its utilities "
        "(NVIDIA_DRIVER_CAPABILITIES=compute,utility)",
    ),
    Code.DRIVER_NOT_LOADED: Fault(
        "the NVIDIA driver is installed but its kernel module is not loaded",
        "load it (modprobe nvidia), or restart the machine",
    ),
    Code.LIB_RM_VERSION_MISMATCH: Fault(
        "libnvidia-ml.so.1 and the NVIDIA kernel module are of different versions, as after an update",
        "restart the machine",
    ),
    Code.NO_PERMISSION: _NOT_ALLOWED,
    Code.FUNCTION_NOT_FOUND: _OLD,
}


class NvmlUnavailableError(Exception):
    """NVML is not available here; the message is one sentence that says why and what to do."""


class Nvml:
    """The GPUs of this machine that CUDA may use, or their MIG slices. To be used by one thread at a time.

    Attributes:
        peaks: Peak memory bandwidth of each in bytes per second, derived from bus width and highest clock; None if the
            driver does not report these, and for slices.
    """

    def __init__(self, nv: Any, now_ns: Callable[[], int]) -> None:
        """Prepare; see `open`."""
        self._nv = nv
        self._now_ns = now_ns
        self._closed = False
        self._hidden: dict[str, list[int]] = {}
        self._devices: list[Device] = []
        self._counters: list[Counters] = []
        self.peaks: tuple[float | None, ...] = ()

    @classmethod
    def open(
        cls,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        wait: Callable[[float], object] = time.sleep,
    ) -> Nvml:
        """Start NVML and find out what it supports here; takes a tenth of a second where there is GPM.

        Args:
            now_ns: The clock.
            wait: Waits the given number of seconds.

        Raises:
            NvmlUnavailableError: NVML is not available, or sees no GPU.
        """
        try:
            nv: Any = importlib.import_module("pynvml")
        except ImportError:
            raise NvmlUnavailableError(_NO_BINDING) from None
        try:
            nv.nvmlInit()
        except Exception as error:
            raise NvmlUnavailableError(_explained(error)) from error
        nvml = cls(nv, now_ns)
        try:
            nvml._look(wait)
        except BaseException:
            nvml.close()
            raise
        return nvml

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What is currently refused, each metric once; names the GPUs unless all of them refuse it in the same way."""
        present = [device for device in self._devices if not device.lost]
        refusals: dict[tuple[str, str], list[int]] = {}
        for device in present:
            for metric in device.refused:
                refusals.setdefault((metric.what, device.why(metric)), []).append(device.index)
        everywhere = [device.index for device in present]
        hidden = [Missing(_of(indices), why) for why, indices in self._hidden.items()]
        refused = [
            Missing(what if indices == everywhere else f"{what} of {_of(indices)}", why)
            for (what, why), indices in refusals.items()
        ]
        return (*hidden, *refused)

    def driver(self) -> str | None:
        """The driver's version."""
        try:
            return text(self._nv.nvmlSystemGetDriverVersion)
        except self._nv.NVMLError:
            return None

    def read(self) -> tuple[GpuSample, ...]:
        """Read a sample of each GPU or slice, with None for what it does not report; empty once closed."""
        if self._closed:
            return ()
        return tuple(map(_sample, self._devices, self._counters))

    def energy_j(self) -> tuple[float | None, ...]:
        """Joules that each GPU has used since its driver was loaded; None where that is not reported (before Volta, and
        for slices, which the driver does not measure apart)."""
        return tuple(None if one.is_slice else one.ask(ENERGY, energy) for one in self._devices)

    def close(self) -> None:
        """Free what was allocated and shut NVML down; may be called again."""
        if self._closed:
            return
        self._closed = True
        for counters in self._counters:
            counters.close()
        with contextlib.suppress(self._nv.NVMLError):
            self._nv.nvmlShutdown()

    def _look(self, wait: Callable[[float], object]) -> None:
        """Find the GPUs and read them for the first time."""
        try:
            count = int(self._nv.nvmlDeviceGetCount())
        except Exception as error:
            raise NvmlUnavailableError(_explained(error)) from error
        for index in range(count):
            if (gpu := self._gpu(index)) is not None:
                self._devices += slices(self._nv, gpu) or [gpu]
        self._devices = visible(self._devices, os.environ.get("CUDA_VISIBLE_DEVICES"))
        if not self._devices:
            raise NvmlUnavailableError(next(iter(self._hidden), _NO_GPU))
        self._counters = [Counters(self._nv, device, self._now_ns) for device in self._devices]
        self.peaks = tuple(map(_peak, self._devices))
        self.read()
        if any(counters.begun for counters in self._counters):
            # Only a second sample shows which of the GPM metrics exist.
            wait(1.1 * LEAST_APART_NS / 1e9)
            self.read()

    def _gpu(self, index: int) -> Device | None:
        """The GPU, even if it is lost; None if it cannot be opened."""
        try:
            handle = self._nv.nvmlDeviceGetHandleByIndex(index)
        except Exception as error:
            gpu = Device(self._nv, None, index)
            gpu.note(None, getattr(error, "value", UNREADABLE))
            if gpu.lost:
                return gpu
            self._hidden.setdefault(_explained(error), []).append(index)
            return None
        gpu = Device(self._nv, handle, index)
        gpu.name = gpu.ask(None, lambda nv, handle: text(nv.nvmlDeviceGetName, handle)) or gpu.name
        return gpu


def _explained(error: Exception) -> str:
    code = getattr(error, "value", UNREADABLE)
    return _UNAVAILABLE.get(code) or f"NVML failed: {said(error)}; check `nvidia-smi`"


def _of(indices: list[int]) -> str:
    return f"GPU {', '.join(map(str, dict.fromkeys(indices)))}"


def _peak(device: Device) -> float | None:
    if device.is_slice:
        # The driver describes the whole GPU's memory, of which a slice has only a part.
        device.note(PEAK, Code.NOT_SUPPORTED)
        return None
    return device.ask(PEAK, peak)


def _sample(device: Device, counters: Counters) -> GpuSample:
    fields: dict[str, Any] = {}
    for metric, call in READINGS:
        fields.update(device.ask(metric, call) or {})
    fields.update(counters.read())
    if device.lost:
        return GpuSample(device.index, device.name, lost=True)
    return GpuSample(device.index, device.name, **fields)
