"""How much memory is free, from what systems report."""

from __future__ import annotations

from pathlib import Path

import pytest

from spectui.core.memory_plan.plan import Device
from spectui.protocol.samples import GpuSample
from spectui.telemetry import free_memory
from spectui.telemetry.nvml import NvmlUnavailableError

GIB = 1 << 30


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert free_memory.memory_left(8 * GIB, tmp_path) == 8 * GIB
    (tmp_path / "memory.current").write_text(f"{3 * GIB}\n")
    (tmp_path / "memory.stat").write_text(f"anon 5\ninactive_file {GIB}\nactive_file 7\n")
    for limit, expected in ((f"{4 * GIB}\n", 2 * GIB), ("max\n", 8 * GIB), (f"{99 * GIB}\n", 8 * GIB), ("1\n", 0)):
        (tmp_path / "memory.max").write_text(limit)
        assert free_memory.memory_left(8 * GIB, tmp_path) == expected


class Driver:
    """NVML with two GPUs, one of which has less memory left."""

    samples = (
        GpuSample(0, "H100", memory_used=20 * GIB, memory_total=80 * GIB),
        GpuSample(1, "H100", memory_used=50 * GIB, memory_total=80 * GIB),
        GpuSample(2, "H100"),
    )
    closed = 0

    def read(self) -> tuple[GpuSample, ...]:
        return self.samples

    def close(self) -> None:
        Driver.closed += 1


@pytest.mark.parametrize(
    ("count", "device"),
    [
        (1, Device("H100", 80 * GIB, 60 * GIB, gpu=True)),
        (2, Device("each of 2 x H100", 80 * GIB, 30 * GIB, gpu=True)),
        (3, Device("each of 3 x H100", 80 * GIB, None, gpu=True)),
    ],
)
def test_the_gpu_with_the_least_left_decides(count: int, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_memory.Nvml, "open", lambda **options: Driver())
    before = Driver.closed
    assert free_memory.gpu_memory(count) == device
    assert Driver.closed == before + 1


def test_without_a_driver_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise NvmlUnavailableError("no driver")

    monkeypatch.setattr(free_memory.Nvml, "open", refuse)
    assert free_memory.gpu_memory() == Device("GPU", None, None, gpu=True)


def test_the_host_has_memory() -> None:
    here = free_memory.host_memory()
    assert not here.gpu
    assert here.total is not None
    assert here.free is not None
    assert 0 <= here.free <= here.total
