"""The stub of the driver, and time that a test moves."""

from __future__ import annotations

from tests.nvml.conftest import Clock, clock, nvml_library, nvml_stub

__all__ = ["Clock", "clock", "nvml_library", "nvml_stub"]
