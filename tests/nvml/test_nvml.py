"""NVML through NVIDIA's real binding on a stub of the driver: machines, refusals, lost GPUs, and what is given back."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pynvml
import pytest

from spectui.protocol.samples import GpuSample, Missing
from spectui.sources.workers import WORKERS
from spectui.telemetry.device import Code
from spectui.telemetry.device_meter import DeviceMeter
from spectui.telemetry.nvml import Nvml, NvmlUnavailableError
from tests.nvml.conftest import Clock
from tests.nvml.stub import GB, MB, NvmlStub

FAILSAFE_S = 20
NO_PERMISSION = pynvml.NVML_ERROR_NO_PERMISSION


Opener = Callable[[], Nvml]


@pytest.fixture
def opened(nvml_stub: NvmlStub, clock: Clock) -> Iterator[Opener]:
    """Opens NVML; closed after the test."""
    readers: list[Nvml] = []

    def open_() -> Nvml:
        readers.append(Nvml.open(now_ns=clock, wait=clock.wait))
        return readers[-1]

    yield open_
    for reader in readers:
        reader.close()


def reasons(nvml: Nvml) -> dict[str, str]:
    """What is missing, and why; each metric once."""
    missing = nvml.missing
    assert len({one.what for one in missing}) == len(missing)
    return {one.what: one.why for one in missing}


def test_an_h100_says_everything(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    assert nvml.missing == ()
    assert nvml.driver() == "580.95.05"
    assert nvml.peaks == (5120 / 8 * 2619e6 * 2,)
    assert nvml.read() == (
        GpuSample(
            index=0,
            name="NVIDIA H100 80GB HBM3",
            memory_used=12 * GB,
            memory_total=80 * GB,
            process_memory=11 * GB,
            bandwidth_share=0.625,
            sm_share=0.88,
            tensor_share=0.125,
            memory_busy=0.4,
            power_w=512.3,
            power_limit_w=700.0,
            temperature_c=54.0,
            memory_temperature_c=66.0,
            sm_clock_mhz=1755,
            memory_clock_mhz=2619,
            throttle=(),
            pcie_receive=24 * MB,
            pcie_send=3 * MB,
            foreign_share=0.02,
        ),
    )


def test_the_blocking_pcie_call_is_never_made(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100")
    opened().read()
    assert nvml_stub.calls("nvmlDeviceGetPcieThroughput") == 0


def test_values_move_from_read_to_read(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    nvml_stub.set(power=300_000, gpm_bandwidth=100.4, memory_used=0)
    clock.wait(1)
    (sample,) = nvml.read()
    assert (sample.power_w, sample.bandwidth_share, sample.memory_used) == (300.0, 1.0, 0)


def test_counters_are_not_sampled_faster_than_the_driver_refreshes_them(
    nvml_stub: NvmlStub, opened: Opener, clock: Clock
) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    assert nvml_stub.calls("nvmlGpmSampleGet") == 2
    nvml_stub.set(gpm_bandwidth=5, power=1_000)
    clock.wait(0.05)
    (sample,) = nvml.read()
    assert (sample.bandwidth_share, sample.power_w) == (0.625, 1.0)
    clock.wait(0.05)
    (sample,) = nvml.read()
    assert sample.bandwidth_share == 0.05
    assert nvml_stub.calls("nvmlGpmSampleGet") == 3


def test_the_first_read_has_no_counters(nvml_stub: NvmlStub, clock: Clock) -> None:
    """And where no time passes after it, neither has the next one."""
    nvml_stub.machine("h100")
    nvml = Nvml.open(now_ns=clock, wait=lambda seconds: None)
    (sample,) = nvml.read()
    nvml.close()
    assert (sample.bandwidth_share, sample.pcie_send, sample.power_w) == (None, None, 512.3)
    assert nvml.missing == ()


def test_a_value_that_is_no_number_is_unknown(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("h100").set(gpm_tensor="nan")
    (sample,) = opened().read()
    assert (sample.tensor_share, sample.sm_share) == (None, 0.88)


def test_an_a100_has_no_counters(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("a100")
    nvml = opened()
    (sample,) = nvml.read()
    assert (sample.bandwidth_share, sample.sm_share, sample.pcie_receive) == (None, None, None)
    assert (sample.memory_busy, sample.memory_total) == (0.4, 40 * GB)
    assert reasons(nvml) == {
        "GPM counters: memory bandwidth, SM, tensor, PCIe": ("the GPU has none: they came with the Hopper generation")
    }
    assert nvml_stub.calls("nvmlGpmQueryDeviceSupport") == 1
    assert nvml_stub.calls("nvmlGpmSampleGet") == 0
    assert nvml.peaks == (pytest.approx(1.555e12, rel=1e-3),)


def test_a_single_counter_may_be_missing(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("h100").refuse("gpm_bandwidth", pynvml.NVML_ERROR_NOT_SUPPORTED)
    nvml = opened()
    assert reasons(nvml) == {"memory bandwidth (GPM)": "the GPU does not report it"}
    nvml_stub.refuse("gpm_bandwidth", 0)
    clock.wait(1)
    (sample,) = nvml.read()
    assert (sample.bandwidth_share, sample.sm_share) == (None, 0.88)


def test_without_any_counter_no_sample_is_taken(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("h100")
    for counter in ("bandwidth", "sm", "tensor", "pcie_send", "pcie_receive"):
        nvml_stub.refuse(f"gpm_{counter}", NO_PERMISSION)
    nvml = opened()
    assert len(nvml.missing) == 5
    clock.wait(1)
    nvml.read()
    assert nvml_stub.calls("nvmlGpmSampleGet") == 2


def test_what_a_user_may_not_see_says_what_to_do(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("rtx")
    nvml = opened()
    (sample,) = nvml.read()
    assert (sample.process_memory, sample.bandwidth_share, sample.memory_temperature_c) == (None, None, None)
    assert (sample.memory_used, sample.power_w) == (12 * GB, 512.3)
    why = reasons(nvml)
    assert set(why) == {
        "GPM counters: memory bandwidth, SM, tensor, PCIe",
        "GPU memory of this process",
        "SM time of other processes",
        "memory temperature",
    }
    assert "NVreg_RestrictProfilingToAdminUsers=0" in why["GPM counters: memory bandwidth, SM, tensor, PCIe"]
    assert "ask the administrator" in why["GPU memory of this process"]
    assert nvml.peaks == (pytest.approx(1.792e12, rel=1e-3),)


def test_a_refusal_is_remembered_and_told_once(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("rtx")
    nvml = opened()
    before = nvml.missing
    for _ in range(3):
        clock.wait(1)
        nvml.read()
    assert nvml.missing == before
    assert nvml_stub.calls("nvmlDeviceGetComputeRunningProcesses_v3") == 2, "once for each of its metrics"
    assert nvml_stub.calls("nvmlGpmSampleGet") == 1
    assert nvml_stub.calls("nvmlDeviceGetPowerUsage") > 3


def test_a_passing_failure_is_asked_about_again(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100").refuse("nvmlDeviceGetPowerUsage", pynvml.NVML_ERROR_TIMEOUT)
    nvml = opened()
    assert nvml.missing == (Missing("power", "the driver says: Timeout"),)
    nvml_stub.refuse("nvmlDeviceGetPowerUsage", 0)
    (sample,) = nvml.read()
    assert sample.power_w == 512.3
    assert nvml.missing == ()


def test_a_code_that_the_binding_does_not_know_is_named(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100").refuse("nvmlDeviceGetPowerUsage", 777)
    assert "777" in reasons(opened())["power"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (Code.INVALID_ARGUMENT, "the GPU does not report it"),
        (Code.NO_PERMISSION, "ask the administrator"),
        (Code.FUNCTION_NOT_FOUND, "install a newer NVIDIA driver"),
        (Code.ARGUMENT_VERSION_MISMATCH, "install a newer NVIDIA driver"),
        (Code.RESET_REQUIRED, "nvidia-smi --gpu-reset"),
    ],
)
def test_a_refusal_is_explained(nvml_stub: NvmlStub, opened: Opener, code: int, words: str) -> None:
    nvml_stub.machine("h100").refuse("nvmlDeviceGetEnforcedPowerLimit", code)
    why = reasons(opened())
    assert set(why) == {"power limit"}
    assert words in why["power limit"]


COUNTED = {"bandwidth_share", "sm_share", "tensor_share", "pcie_receive", "pcie_send"}
ASKED = {
    "nvmlDeviceGetMemoryInfo_v2": {"memory_used", "memory_total"},
    "nvmlDeviceGetComputeRunningProcesses_v3": {"process_memory", "foreign_share"},
    "nvmlDeviceGetProcessUtilization": {"foreign_share"},
    "nvmlDeviceGetUtilizationRates": {"memory_busy"},
    "nvmlDeviceGetPowerUsage": {"power_w"},
    "nvmlDeviceGetEnforcedPowerLimit": {"power_limit_w"},
    "nvmlDeviceGetTemperatureV": {"temperature_c"},
    "nvmlDeviceGetFieldValues": {"memory_temperature_c"},
    "nvmlDeviceGetClockInfo": {"sm_clock_mhz", "memory_clock_mhz"},
    "nvmlDeviceGetCurrentClocksEventReasons": {"throttle"},
    "nvmlGpmQueryDeviceSupport": COUNTED,
    "nvmlGpmSampleAlloc": COUNTED,
    "nvmlGpmSampleGet": COUNTED,
    "nvmlGpmMetricsGet": COUNTED,
}


BOUND = {
    "nvmlDeviceGetMemoryInfo_v2": "nvmlDeviceGetMemoryInfo",
    **{name: name for name in ASKED if name != "nvmlDeviceGetMemoryInfo_v2"},
}
"""The binding's names of the library's functions."""


@pytest.mark.parametrize("code", [Code.NOT_SUPPORTED, Code.NO_PERMISSION, pynvml.NVML_ERROR_UNKNOWN])
@pytest.mark.parametrize(("function", "fields"), ASKED.items())
def test_a_refused_call_takes_nothing_else_along(
    nvml_stub: NvmlStub, opened: Opener, function: str, fields: set[str], code: int
) -> None:
    nvml_stub.machine("h100").refuse(function, code)
    nvml = opened()
    (sample,) = nvml.read()
    assert {field.name for field in dataclasses.fields(sample) if getattr(sample, field.name) is None} == fields
    assert nvml.missing


@pytest.mark.parametrize("function", ["nvmlDeviceGetName", "nvmlDeviceGetMigMode", "nvmlSystemGetDriverVersion"])
def test_what_is_no_metric_may_be_refused_in_silence(nvml_stub: NvmlStub, opened: Opener, function: str) -> None:
    nvml_stub.machine("h100").refuse(function, pynvml.NVML_ERROR_UNKNOWN)
    nvml = opened()
    (sample,) = nvml.read()
    assert (sample.power_w, nvml.missing) == (512.3, ())
    assert (nvml.driver() is None) == (function == "nvmlSystemGetDriverVersion")
    assert (sample.name == "NVIDIA GPU") == (function == "nvmlDeviceGetName")


def test_a_name_in_any_encoding_is_a_name(nvml_stub: NvmlStub, opened: Opener) -> None:
    """As in the Linux of a Windows that speaks Chinese."""
    nvml_stub.machine("two").set(gpu=0, name=os.fsdecode("NVIDIA 显卡".encode("gbk")))
    nvml_stub.set(driver=os.fsdecode(b"580\xb7"))
    nvml = opened()
    first, second = nvml.read()
    assert first.name.startswith("NVIDIA \ufffd")
    assert second.name == "NVIDIA H100 80GB HBM3"
    assert (first.power_w, second.power_w, nvml.driver(), nvml.missing) == (512.3, 512.3, "580\ufffd", ())


def test_a_slice_with_such_a_name_is_one_of_several(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("mig").set(gpu=0, mig=2, name=os.fsdecode(b"\xff MIG 3g.40gb"))
    assert [sample.name for sample in opened().read()][1] == "NVIDIA H100 80GB HBM3 \ufffd MIG 3g.40gb"


@pytest.mark.parametrize(("function", "fields"), [(name, ASKED[name]) for name in BOUND])
def test_an_answer_that_cannot_be_read_costs_nothing_else(
    nvml_stub: NvmlStub,
    opened: Opener,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function: str,
    fields: set[str],
) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    nvml_stub.machine("two")
    monkeypatch.setattr(pynvml, BOUND[function], unreadable)
    nvml = opened()
    for _ in range(2):
        for sample in nvml.read():
            assert {one.name for one in dataclasses.fields(sample) if getattr(sample, one.name) is None} == fields
    assert {one.why for one in nvml.missing} == {"the driver's answer cannot be read; the log has the details"}
    assert caplog.text.count("Traceback") == 2 * len(nvml.missing), "each metric of each GPU once"


def test_an_error_in_any_encoding_is_said(nvml_stub: NvmlStub, opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(code: int) -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    monkeypatch.setattr(pynvml, "nvmlErrorString", unreadable)
    nvml_stub.machine("h100").refuse("nvmlDeviceGetPowerUsage", 4711)
    assert reasons(opened()) == {"power": "the driver says: error 4711"}
    nvml_stub.refuse("nvmlDeviceGetCount_v2", 4712)
    with pytest.raises(NvmlUnavailableError, match="NVML failed: error 4712; check `nvidia-smi`"):
        opened()


def test_an_old_driver_knows_the_old_names(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100").set(throttle=0x04)
    for function in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons"):
        nvml_stub.refuse(function, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    nvml = opened()
    (sample,) = nvml.read()
    assert (sample.temperature_c, sample.throttle) == (54.0, ("power cap",))
    assert nvml.missing == ()


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (pynvml.nvmlClocksEventReasonGpuIdle, ()),
        (pynvml.nvmlClocksEventReasonApplicationsClocksSetting, ()),
        (pynvml.nvmlClocksEventReasonSwPowerCap, ("power cap",)),
        (pynvml.nvmlClocksEventReasonSwThermalSlowdown, ("thermal",)),
        (pynvml.nvmlClocksEventReasonSyncBoost, ("sync boost",)),
        (pynvml.nvmlClocksEventReasonDisplayClockSetting, ("display clock",)),
        (
            pynvml.nvmlClocksEventReasonHwSlowdown | pynvml.nvmlClocksEventReasonHwThermalSlowdown,
            ("hardware slowdown", "hardware thermal"),
        ),
        (pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown | 1, ("power brake",)),
        (1 << 40 | 2, ("other",)),
    ],
)
def test_throttling_is_told_in_words(nvml_stub: NvmlStub, opened: Opener, bits: int, words: tuple[str, ...]) -> None:
    nvml_stub.machine("h100").set(throttle=bits)
    (sample,) = opened().read()
    assert sample.throttle == words


@pytest.mark.parametrize(
    ("ours", "theirs", "share"), [(85, 0, 0.0), (60, 30, 0.3), (0, 0, 0.0), (0, 100, 1.0), (90, 250, 1.0)]
)
def test_what_other_processes_compute(
    nvml_stub: NvmlStub, opened: Opener, ours: int, theirs: int, share: float
) -> None:
    nvml_stub.machine("h100").set(sm_of_process=ours, sm_of_others=theirs)
    nvml = opened()
    (sample,) = nvml.read()
    assert (sample.foreign_share, nvml.missing) == (share, ())


def test_a_worker_process_is_no_other_one(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100").set(sm_of_process=30, sm_of_others=60)
    others = 1
    WORKERS.add([others])
    try:
        (sample,) = opened().read()
    finally:
        WORKERS.remove([others])
    assert (sample.foreign_share, sample.process_memory) == (0.0, 12 * GB)


def test_where_this_process_is_hidden_nobody_is_called_another_one(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("two").set(sm_of_others=50)
    nvml_stub.set(gpu=0, process_memory="unknown")
    machine = nvml_stub._machine
    machine.pop("process_memory")
    nvml_stub.set(sm_of_others=50)
    first, second = opened().read()
    assert (first.foreign_share, second.foreign_share) == (0.5, None)


def test_a_divided_gpu_is_told_slice_by_slice(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("mig")
    nvml = opened()
    first, second = nvml.read()
    assert first == GpuSample(
        index=0,
        name="NVIDIA H100 80GB HBM3 MIG 1g.10gb",
        memory_used=2 * GB,
        memory_total=9_856 * MB,
        process_memory=1 * GB,
        sm_share=0.3,
        tensor_share=0.1,
    )
    assert (second.name, second.sm_share) == ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 0.7)
    assert (second.process_memory, second.power_w) == (None, None)
    assert nvml.peaks == (None, None)
    why = reasons(nvml)
    assert why["power"] == why["memory bandwidth (GPM)"] == "a MIG slice does not report it"
    assert "memory bandwidth peak" in why
    assert "SM time (GPM)" not in why


@pytest.mark.parametrize(
    ("compute", "instance", "memory_mb", "profile"),
    [(1, 1, 9_856, "1g.10gb"), (3, 3, 40_320, "3g.40gb"), (1, 3, 40_320, "1c.3g.40gb"), (7, 7, 81_559, "7g.80gb")],
)
def test_a_profile_is_named_as_nvidia_names_it(
    nvml_stub: NvmlStub, opened: Opener, compute: int, instance: int, memory_mb: int, profile: str
) -> None:
    nvml_stub.machine("mig").set(gpu=0, mig=0, compute_slices=compute, instance_slices=instance, memory_mb=memory_mb)
    nvml_stub.set(memory_total=81_559 * MB)
    first, _ = opened().read()
    assert first.name == f"NVIDIA H100 80GB HBM3 MIG {profile}"


def test_a_gpu_that_is_divided_into_nothing_is_told_whole(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100").set(mig=1)
    (sample,) = opened().read()
    assert (sample.name, sample.power_w) == ("NVIDIA H100 80GB HBM3", 512.3)


def test_two_gpus(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("two")
    nvml = opened()
    first, second = nvml.read()
    assert (first.index, first.memory_used, first.bandwidth_share) == (0, 12 * GB, 0.625)
    assert (second.index, second.memory_used, second.bandwidth_share) == (1, 5 * GB, 0.1)
    assert len(nvml.peaks) == 2
    assert nvml_stub.samples_alive == 4


def test_a_missing_metric_names_the_gpu_only_where_they_differ(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("two").set(gpu=1, gpm=0)
    nvml_stub.refuse("nvmlDeviceGetPowerUsage", NO_PERMISSION)
    why = reasons(opened())
    assert set(why) == {"power", "GPM counters: memory bandwidth, SM, tensor, PCIe of GPU 1"}


def test_a_gpu_of_somebody_else_is_left_out(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("two").set(devices=3)
    for gpu in (0, 2):
        nvml_stub.refuse("nvmlDeviceGetHandleByIndex_v2", NO_PERMISSION, gpu=gpu)
    nvml = opened()
    assert [sample.index for sample in nvml.read()] == [1]
    (missing,) = nvml.missing
    assert missing.what == "GPU 0, 2"
    assert "ask the administrator" in missing.why


def test_a_lost_gpu_stays_lost_and_the_other_goes_on(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("two")
    nvml = opened()
    nvml_stub.set(gpu=1, lost=1)
    clock.wait(1)
    first, second = nvml.read()
    assert (first.lost, first.power_w) == (False, 512.3)
    assert second == GpuSample(1, "NVIDIA H100 80GB HBM3", lost=True)
    nvml_stub.set(gpu=1, lost=0)
    asked = nvml_stub.calls("nvmlDeviceGetPowerUsage")
    assert nvml.read()[1].lost
    assert nvml_stub.calls("nvmlDeviceGetPowerUsage") == asked + 1
    assert nvml.missing == ()


@pytest.mark.parametrize("what", ["nvmlGpmSampleGet", "gpm_sm", "nvmlDeviceGetCurrentClocksEventReasons"])
def test_any_call_may_find_the_gpu_lost(nvml_stub: NvmlStub, opened: Opener, clock: Clock, what: str) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    nvml_stub.refuse(what, pynvml.NVML_ERROR_GPU_IS_LOST)
    clock.wait(1)
    assert nvml.read() == (GpuSample(0, "NVIDIA H100 80GB HBM3", lost=True),)


def test_a_gpu_may_be_lost_before_the_start(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("two").set(gpu=0, lost=1)
    nvml = opened()
    first, second = nvml.read()
    assert (first.lost, second.lost) == (True, False)
    assert nvml.peaks[0] is None
    assert nvml.peaks[1] is not None


def test_slices_are_lost_with_their_gpu(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("mig")
    nvml = opened()
    nvml_stub.set(gpu=0, lost=1)
    assert [sample.lost for sample in nvml.read()] == [True, True]


def test_unified_memory_is_the_hosts(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("unified")
    nvml = opened()
    (sample,) = nvml.read()
    assert (sample.memory_used, sample.memory_total, sample.process_memory) == (None, None, 11 * GB)
    assert nvml.peaks == (None,)
    why = reasons(nvml)
    assert why["GPU memory"] == "the GPU has no memory of its own: it uses the host's"
    assert why["memory bandwidth peak"] == "the GPU does not report it"


def test_memory_of_a_process_that_the_driver_does_not_know(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100").set(process_memory="unknown")
    nvml = opened()
    (sample,) = nvml.read()
    assert sample.process_memory is None
    assert nvml.missing == ()


def test_without_a_context_the_process_is_unknown_to_the_gpu(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("two").set(other_process_memory=GB)
    nvml_stub.refuse("nvmlDeviceGetComputeRunningProcesses_v3", pynvml.NVML_ERROR_NOT_SUPPORTED, gpu=1)
    first, second = opened().read()
    assert (first.process_memory, second.process_memory) == (11 * GB, None)


def test_everything_is_given_back_once(nvml_stub: NvmlStub, clock: Clock) -> None:
    nvml_stub.machine("two")
    nvml = Nvml.open(now_ns=clock, wait=clock.wait)
    assert (nvml_stub.initialised, nvml_stub.samples_alive) == (1, 4)
    nvml.close()
    nvml.close()
    assert (nvml_stub.initialised, nvml_stub.samples_alive, nvml_stub.shutdowns) == (0, 0, 1)
    assert nvml_stub.calls("nvmlGpmSampleFree") == 4
    assert nvml.read() == ()
    assert nvml.driver() is None


def test_a_lost_gpu_gives_its_samples_back(nvml_stub: NvmlStub, opened: Opener, clock: Clock) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    nvml_stub.set(lost=1)
    nvml.read()
    nvml.close()
    assert nvml_stub.samples_alive == 0


def test_a_driver_that_hangs_holds_up_nobody_else(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    nvml_stub.hang("nvmlDeviceGetPowerUsage", FAILSAFE_S)
    samples: list[GpuSample] = []
    reader = threading.Thread(target=lambda: samples.extend(nvml.read()))
    reader.start()
    while reader.is_alive() and not nvml_stub.hanging:
        pass
    ticks = 0
    while ticks < 10_000 and nvml_stub.hanging:
        ticks += 1
    nvml_stub.let_go()
    reader.join(FAILSAFE_S)
    assert ticks == 10_000
    assert nvml_stub.hung_to_the_end == 0
    assert [sample.power_w for sample in samples] == [512.3]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "modprobe nvidia"),
        (pynvml.NVML_ERROR_NO_PERMISSION, "/dev/nvidia*"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "restart the machine"),
        (pynvml.NVML_ERROR_FUNCTION_NOT_FOUND, "install a newer one"),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error"),
    ],
)
@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetCount_v2"])
def test_why_nvml_cannot_be_had(nvml_stub: NvmlStub, code: int, words: str, function: str) -> None:
    nvml_stub.machine("h100").refuse(function, code)
    with pytest.raises(NvmlUnavailableError, match=words.replace("*", r"\*")):
        Nvml.open()
    assert nvml_stub.initialised == 0


def test_a_driver_without_a_gpu(nvml_stub: NvmlStub) -> None:
    with pytest.raises(NvmlUnavailableError, match="reports no GPU"):
        Nvml.open()


def test_a_machine_whose_gpus_are_all_of_others(nvml_stub: NvmlStub) -> None:
    nvml_stub.machine("two").refuse("nvmlDeviceGetHandleByIndex_v2", NO_PERMISSION)
    with pytest.raises(NvmlUnavailableError, match="ask the administrator"):
        Nvml.open()


def test_an_error_of_our_own_lets_go_of_nvml(nvml_stub: NvmlStub, clock: Clock) -> None:
    nvml_stub.machine("h100")

    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Nvml.open(now_ns=clock, wait=interrupted)
    assert (nvml_stub.initialised, nvml_stub.samples_alive) == (0, 0)


def test_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_found(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", not_found)
    with pytest.raises(NvmlUnavailableError, match=r"libnvidia-ml\.so\.1 was not found: install"):
        Nvml.open()


def test_no_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(NvmlUnavailableError, match="pip install nvidia-ml-py"):
        Nvml.open()


def test_the_codes_are_nvmls() -> None:
    assert Code.SUCCESS == pynvml.NVML_SUCCESS
    for code in set(Code) - {Code.SUCCESS}:
        assert code == getattr(pynvml, f"NVML_ERROR_{code.name}")


def test_another_process_finds_the_stub_in_the_drivers_place(nvml_stub: NvmlStub) -> None:
    """With the real clock; and the binding is loaded by opening only."""
    nvml_stub.machine("h100")
    script = (
        "import sys\n"
        "from spectui.telemetry.nvml import Nvml\n"
        "assert 'pynvml' not in sys.modules\n"
        "nvml = Nvml.open()\n"
        "print(nvml.driver(), nvml.read()[0].bandwidth_share, len(nvml.missing))\n"
        "nvml.close()\n"
    )
    environment = {"PATH": "", **nvml_stub.environment()}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["580.95.05", "0.625", "0"]


@pytest.mark.parametrize(
    ("wish", "used"),
    [
        (None, [5, 12]),
        ("1", [12]),
        ("0,1", [5, 12]),
        ("1,0", [12, 5]),
        ("1, 7, 0", [12]),
        ("GPU-b", [12]),
        ("GPU-a,GPU-b", [5, 12]),
        ("GPU-c", [5, 12]),
        ("nonsense", [5, 12]),
        ("", [5, 12]),
    ],
)
def test_only_gpus_that_cuda_may_use_are_told_of(
    nvml_stub: NvmlStub, opened: Opener, monkeypatch: pytest.MonkeyPatch, wish: str | None, used: list[int]
) -> None:
    machine = nvml_stub.machine("two")
    for gpu, uuid, memory in ((0, "GPU-aa-11", 5), (1, "GPU-bb-22", 12)):
        machine.set(gpu=gpu, uuid=uuid, memory_used=memory * GB)
    if wish is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wish)
    assert [sample.memory_used for sample in opened().read()] == [gigabytes * GB for gigabytes in used]


def test_of_a_divided_gpu_the_slice_that_cuda_may_use(
    nvml_stub: NvmlStub, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = nvml_stub.machine("mig")
    for place in (0, 2):
        machine.set(gpu=0, mig=place, uuid=f"MIG-{place}")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-2")
    assert [sample.name for sample in opened().read()] == ["NVIDIA H100 80GB HBM3 MIG 3g.40gb"]


def test_energy_is_in_joules_since_the_driver_was_loaded(nvml_stub: NvmlStub, opened: Opener) -> None:
    nvml_stub.machine("h100")
    assert opened().energy_j() == (1234.0,)


def test_energy_that_is_refused_is_not_known(nvml_stub: NvmlStub, opened: Opener, tmp_path: Path) -> None:
    nvml_stub.machine("h100").refuse("nvmlDeviceGetTotalEnergyConsumption", Code.NOT_SUPPORTED)
    nvml = opened()
    assert nvml.energy_j() == (None,)
    meter = DeviceMeter(tmp_path, gpu=True, open_=lambda: nvml)
    assert meter.energy_j() is None
    assert meter.peak == nvml.peaks[0]


def test_a_meter_adds_up_the_gpus_of_a_lane(nvml_stub: NvmlStub, opened: Opener, tmp_path: Path) -> None:
    nvml_stub.machine("h100")
    nvml = opened()
    assert DeviceMeter(tmp_path, gpu=True, open_=lambda: nvml).energy_j() == 1234.0
    assert DeviceMeter(tmp_path, gpu=True, devices=2, open_=lambda: nvml).energy_j() is None


def test_a_meter_without_nvml_knows_no_energy(tmp_path: Path) -> None:
    def refuse() -> Nvml:
        raise NvmlUnavailableError("no driver")

    meter = DeviceMeter(tmp_path, gpu=True, open_=refuse)
    assert (meter.peak, meter.energy_j()) == (None, None)
    meter.close()
