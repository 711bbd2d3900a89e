"""What a benchmark asks of the device: its name, the memory's peak bandwidth, and the energy that GPUs have used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from spectui.telemetry.nvml import Nvml, NvmlUnavailableError
from spectui.telemetry.peak import memory_peak


class DeviceMeter:
    """The GPUs that lanes run on, or the host.

    Attributes:
        peak: Peak bandwidth of one device's memory in bytes per second; None if it is not known.
    """

    def __init__(self, cache: Path, *, gpu: bool, devices: int = 1, open_: Callable[[], Nvml] = Nvml.open) -> None:
        """Find out what can be read.

        Args:
            cache: Folder that keeps the measured peak of the host's memory.
            gpu: Whether the lanes run on a GPU.
            devices: GPUs that a lane is split among.
            open_: Opens NVML.
        """
        self._nvml: Nvml | None = None
        self._devices = devices
        self.peak: float | None = None
        if not gpu:
            self.peak = memory_peak(cache)
            return
        try:
            self._nvml = open_()
        except NvmlUnavailableError:
            return
        self.peak = next(iter(self._nvml.peaks), None)

    def energy_j(self) -> float | None:
        """Joules that the lanes' GPUs have used since some moment; None if one of them does not report it."""
        if self._nvml is None:
            return None
        known = [joules for joules in self._nvml.energy_j()[: self._devices] if joules is not None]
        return sum(known) if len(known) == self._devices else None

    def close(self) -> None:
        """Let go of NVML."""
        if self._nvml is not None:
            self._nvml.close()
