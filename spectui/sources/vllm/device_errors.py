"""What messages about a GPU's memory, driver and kernels mean. Written for vLLM 0.32 and torch 2.11 to 2.13.

A sentence here is the end of one about a lane: what happened, and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_SMALLER = "race fewer lanes or add --engine-arg max_model_len=...; `spectui plan` says what fits"


def device_trouble(text: str, *, racing: bool = False) -> str | None:
    """Explain an error of the GPU in one sentence; None if it is not one.

    Args:
        text: The messages of the error and its causes.
        racing: Whether it happened to a lane that had been loaded.
    """
    for pattern, explain in _SAYINGS:
        if found := re.search(pattern, text, re.IGNORECASE):
            return explain(found, racing)
    return None


def _out_of_memory(found: re.Match[str], racing: bool) -> str:
    room = re.search(
        r"Tried to allocate ([\d.]+ \w+)\. GPU \d+ has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free",
        found.string,
    )
    missing = f": it asked for {room[1]}, and {room[3]} of {room[2]} were free" if room else ""
    if racing:
        return f"the GPU's memory ran out{missing}; race fewer requests or lanes; `spectui plan` says what fits"
    return f"not enough memory on the GPU for this lane{missing}; {_SMALLER}"


def _warming_up(found: re.Match[str], racing: bool) -> str:
    return (
        f"not enough memory on the GPU for a step of {found[1]} requests: lower --engine-arg max_num_seqs=..., or "
        f"{_SMALLER}"
    )


def _not_free(found: re.Match[str], racing: bool) -> str:
    return (
        f"vLLM wants {found[2]} GiB of the GPU before it loads, but only {found[1]} GiB are free: leave out "
        "--engine-arg gpu_memory_utilization, or close what else uses the GPU"
    )


def _profiling(found: re.Match[str], racing: bool) -> str:
    return (
        "another program changed the GPU's free memory while this lane was loading: close that program and start again"
    )


def _driver(found: re.Match[str], racing: bool) -> str:
    version = found.groupdict().get("version")
    supports = f": it supports CUDA {int(version) // 1000}.{int(version) % 1000 // 10} at most" if version else ""
    return f"the NVIDIA driver is too old for this build of torch{supports}; install a newer driver"


def _no_kernel(found: re.Match[str], racing: bool) -> str:
    return (
        "vLLM or torch was not built for this kind of GPU: install a build for it, or use another GPU "
        "(CUDA_VISIBLE_DEVICES)"
    )


def _no_gpu(found: re.Match[str], racing: bool) -> str:
    return "no GPU can be used: check `nvidia-smi` and CUDA_VISIBLE_DEVICES; `spectui doctor` says more"


def _lost(found: re.Match[str], racing: bool) -> str:
    return (
        f"the GPU reported '{found[1]}', after which no lane of this process can use it: start again; the log has the "
        "details"
    )


_SAYINGS: tuple[tuple[str, Callable[[re.Match[str], bool], str]], ...] = (
    # ``v1/worker/gpu_model_runner.py`` of vLLM, before CUDA's own message, which it contains.
    (r"out of memory occurred when warming up \w+ with\s+(\d+) dummy", _warming_up),
    (
        r"CUDA out of memory|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED|cudaErrorMemoryAllocation",
        _out_of_memory,
    ),
    # ``request_memory`` in ``v1/worker/utils.py``.
    (
        r"Free memory on device \S+ \(([\d.]+)/[\d.]+ GiB\) on startup is less than .*?\([\d.]+, ([\d.]+) GiB\)",
        _not_free,
    ),
    (r"Error in memory profiling", _profiling),
    (r"driver on your system is too old \(found version (?P<version>\d+)\)", _driver),
    (r"driver version is insufficient for CUDA runtime", _driver),
    (r"no kernel image is available", _no_kernel),
    (r"Found no NVIDIA driver|No CUDA GPUs are available|no CUDA-capable device is detected", _no_gpu),
    (
        # Errors after which the CUDA context cannot be used (CUDA runtime API, ``cudaError_t``).
        r"CUDA error: (an illegal memory access was encountered|device-side assert triggered|unspecified launch failure"
        r"|misaligned address|an illegal instruction was encountered|invalid program counter|hardware stack error"
        r"|the launch timed out and was terminated|uncorrectable ECC error encountered|unknown error)",
        _lost,
    ),
)
