"""Fixtures: the stub library, built once, and a machine that it plays for one test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nvml.stub import NvmlStub, build


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stub library."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed, so there is no stub of NVML")
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def nvml_stub(nvml_library: Path, tmp_path: Path) -> Iterator[NvmlStub]:
    """The stub under this process's binding; whoever starts NVML must have let go of it and of its samples."""
    with NvmlStub(nvml_library, tmp_path / "nvml.txt").loaded() as stub:
        yield stub
        assert (stub.initialised, stub.samples_alive) == (0, 0)


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
