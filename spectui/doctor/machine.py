"""Checks the machine and the settings that engines run with. Pure.

Devices, driver, NVML and its counters, memory, sensors; preloaded libraries, thread settings, number format.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from spectui.doctor.check import Check, Status, amount
from spectui.errors import Fault
from spectui.protocol.samples import GpuSample, Missing
from spectui.runtime.threads import NO_PRELOAD, OPENMP_LIBRARY, EngineEnvironment, Setting
from spectui.sources.hardware import DEMO_DTYPE, NUMBER_FORMATS

DEMO_MEMORY = 3_000_000_000
"""Memory that the demo's three lanes take, in bytes."""
LEAST_MEMORY = 1_500_000_000
"""Memory that one lane on the demo model takes, in bytes."""


IN_PROCESS = "VLLM_ENABLE_V1_MULTIPROCESSING"
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Gpus:
    """The answers of NVML."""

    unavailable: Fault | None = None
    """Why NVML is unavailable, and what to do; None if it answers."""
    driver: str | None = None
    samples: tuple[GpuSample, ...] = ()
    peaks: tuple[float | None, ...] = ()
    """Peak memory bandwidth of each sample's GPU in bytes per second; None if it is unknown."""
    missing: tuple[Missing, ...] = ()
    """The metrics that NVML cannot report."""


@dataclass(frozen=True)
class DeviceFile:
    """A file through which programs reach a GPU."""

    path: str
    usable: bool
    """Whether this user may read and write it."""


def device_checks(gpus: Gpus, cores: int) -> Iterator[Check]:
    """Check what engines can run on; `cores` is the number of cores that this process may use."""
    peaks = (*gpus.peaks, *([None] * len(gpus.samples)))
    for gpu, peak in zip(gpus.samples, peaks, strict=False):
        if gpu.lost:
            what = f"GPU {gpu.index}, {gpu.name}, has fallen off the bus"
            yield Check("device", "problem", what, "restart the machine, and look for Xid errors in `dmesg`")
        else:
            yield Check("device", "ok", f"GPU {gpu.index}, {gpu.name}{_room(gpu)}{_speed(peak)}")
    if not gpus.samples:
        what = "one core, which engine and screen share" if cores == 1 else f"{cores} usable cores"
        yield Check("device", "ok", f"the processor, {what}; no NVIDIA GPU responds")


def _room(gpu: GpuSample) -> str:
    if gpu.memory_total is None:
        return ""
    if gpu.memory_used is None:
        return f", {amount(gpu.memory_total)}"
    return f", {amount(gpu.memory_total - gpu.memory_used)} of {amount(gpu.memory_total)} free"


def _speed(peak: float | None) -> str:
    return "" if peak is None else f", peak {peak / 1e9:.0f} GB/s (derived)"


def nvml_checks(gpus: Gpus, files: tuple[DeviceFile, ...], *, on_the_bus: bool) -> Iterator[Check]:
    """Check the driver and what its library reports.

    Args:
        gpus: The answers of NVML.
        files: The GPUs' device files.
        on_the_bus: Whether the machine has an NVIDIA GPU, even if no driver answers for it.
    """
    refused = [file.path for file in files if not file.usable]
    if refused:
        what = f"this user has no access to {', '.join(refused)}"
        fix = "ask for the group that `ls -l /dev/nvidia*` names, or start the container with `--gpus all`"
        yield Check("permissions", "problem", what, fix)
    elif files:
        yield Check("permissions", "ok", "this user has access to the GPUs' device files")
    if gpus.unavailable is not None:
        reason, fix = gpus.unavailable.what, gpus.unavailable.fix
        if files or on_the_bus:
            yield Check(
                "NVML", "warning", reason, fix or "check whether `nvidia-smi` works, and restart the machine if not"
            )
        else:
            yield Check("driver", "—", "no NVIDIA GPU in this machine")
            yield Check("NVML", "—", reason)
            yield Check("GPM", "—", "no GPU whose memory traffic can be counted")
        return
    yield Check("driver", "ok", f"NVIDIA {gpus.driver or 'of an unknown version'}")
    count = len(gpus.samples)
    yield Check("NVML", "ok", f"it reports {count} {'device' if count == 1 else 'devices'}")
    yield from _missing_checks(gpus)


def _missing_checks(gpus: Gpus) -> Iterator[Check]:
    counting = [gpu.index for gpu in gpus.samples if gpu.bandwidth_share is not None]
    if counting:
        which = "the GPU" if len(gpus.samples) == 1 else f"GPU {', '.join(map(str, counting))}"
        yield Check("GPM", "ok", f"memory traffic is counted by {which}, so bandwidth is measured")
    reasons: dict[tuple[str, str], list[str]] = {}
    for missing in gpus.missing:
        area = "GPM" if "GPM" in missing.what else "NVML"
        name = missing.what.removeprefix("GPM counters: ").replace(" (GPM)", "")
        reasons.setdefault((area, missing.why), []).append(name)
    for (area, why), names in reasons.items():
        fault = Fault.of(why)
        status: Status = "warning" if fault.fix else "—"
        yield Check(area, status, f"no {', '.join(names)}, since {fault.what}", fault.fix)


def memory_checks(available: int, total: int) -> Iterator[Check]:
    """Compare free memory with what the demo needs, in bytes."""
    what = f"{amount(available)} of {amount(total)} free; the demo takes about {amount(DEMO_MEMORY)}"
    if available < LEAST_MEMORY:
        yield Check("memory", "problem", what, "close other programs: not even one lane fits")
    elif available < DEMO_MEMORY:
        fix = "close other programs, or race fewer lanes, as in `spectui --lane ar --lane mtp:k=2`"
        yield Check("memory", "warning", what, fix)
    else:
        yield Check("memory", "ok", what)


def sensor_checks(temperatures: Mapping[str, float]) -> Iterator[Check]:
    """Report the hottest of `temperatures`, which are in degrees Celsius, by sensor."""
    if temperatures:
        hottest = max(temperatures, key=lambda name: temperatures[name])
        yield Check("sensors", "ok", f"the hottest is {hottest}, {temperatures[hottest]:.0f} °C")
    else:
        yield Check("sensors", "—", "no temperature can be read, which is usual in a virtual machine")


def preload_checks(
    environment: EngineEnvironment, environ: Mapping[str, str], absent: Iterable[str]
) -> Iterator[Check]:
    """Check libraries that are loaded before Python starts; `absent` lists those that do not exist."""
    absent = [name for name in environment.preload if name in set(absent)]
    openmp = next((library for library in environment.preload if "libiomp" in library and library not in absent), None)
    if environment.omp_threads is None and environment.binding is None:
        yield Check("preload", "—", "nothing to preload: engines run on the GPU")
    elif openmp is not None:
        yours = openmp in environ.get("LD_PRELOAD", "")
        how = "preloaded by you" if yours else "found, and preloaded when engines start"
        yield Check("preload", "ok", f"{OPENMP_LIBRARY} is {how}: {openmp}")
    elif environment.missing is not None:
        what = f"{environment.missing.what}, and drafting lanes are slower without it"
        yield Check("preload", "warning", what, environment.missing.fix)
    elif environ.get(NO_PRELOAD, "0") not in ("", "0"):
        what = f"{OPENMP_LIBRARY} is not preloaded because {NO_PRELOAD} is set: engines are about 6 % slower"
        yield Check("preload", "warning", what, f"unset {NO_PRELOAD}")
    elif not absent:
        others = ", ".join(Path(library).name for library in environment.preload)
        yield Check(
            "preload", "—", f"{OPENMP_LIBRARY} is not used here" + (f": you preload {others}" if others else "")
        )
    for library in absent:
        what = f"LD_PRELOAD names {library}, which does not exist"
        yield Check("preload", "warning", what, "correct the path in LD_PRELOAD, or unset the variable")
    given = any("tcmalloc" in library for library in environment.preload)
    about = "preloaded by you" if given else "not preloaded (not needed)"
    yield Check("preload", "ok" if given else "—", f"tcmalloc is {about}: it made nothing faster when measured")


def setting_checks(environment: EngineEnvironment, cores: int) -> Iterator[Check]:
    """Report every other variable, who set it, and why; `cores` is the number of cores that the process may use."""
    for setting in environment.settings:
        if setting.name != "LD_PRELOAD":
            yield _setting_check(setting, cores)


def _setting_check(setting: Setting, cores: int) -> Check:
    line = f"{setting.name}={setting.value}"
    if not setting.by_user:
        return Check("settings", "ok", f"{line}, set by spectui: {setting.why}")
    if setting.name == IN_PROCESS and setting.value != "0":
        return Check("settings", "problem", f"{line}, set by you: {setting.why}", f"unset {setting.name}")
    if setting.name == THREADS and (wrong := _wrong_threads(setting.value, cores)):
        fix = f"unset {setting.name}, or set it to at most {cores}"
        return Check("settings", "warning", f"{line}, set by you: {wrong}", fix)
    return Check("settings", "ok", f"{line}, set by you and kept: {setting.why}")


def _wrong_threads(value: str, cores: int) -> str | None:
    if not value.isdecimal() or int(value) < 1:
        return "not a number of threads"
    return f"more threads than the {cores} usable cores" if int(value) > cores else None


def format_checks(asked: str, fastest: str) -> Iterator[Check]:
    """Check the demo target's number format: what the user `asked` for, if anything, and this processor's fastest."""
    if asked and asked not in NUMBER_FORMATS:
        fix = f"set it to {' or '.join(NUMBER_FORMATS)}, or unset it"
        yield Check("format", "problem", f"{DEMO_DTYPE}={asked} is not a valid number format", fix)
    elif asked and asked != fastest:
        what = f"the demo model runs in {asked}, as {DEMO_DTYPE} says; {fastest} is faster on this processor"
        yield Check("format", "warning", what, f"unset {DEMO_DTYPE}")
    elif asked:
        yield Check("format", "ok", f"the demo model runs in {asked}, as {DEMO_DTYPE} says")
    elif fastest == "bfloat16":
        yield Check("format", "ok", "the demo model runs in bfloat16")
    else:
        yield Check(
            "format",
            "ok",
            f"the demo model runs in {fastest}: without AVX-512 several tokens at once would cost far more in bfloat16",
        )
