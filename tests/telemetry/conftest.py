"""The stub of the driver, and time that a test moves."""

from __future__ import annotations

import pytest

from tests.nvml.conftest import nvml_library, nvml_stub

__all__ = ["nvml_library", "nvml_stub"]


class Clock:
    """Time that stands still but for `wait`."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def wait(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()
