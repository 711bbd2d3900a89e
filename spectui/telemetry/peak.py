"""The host's peak memory bandwidth: the rate at which it copies and reads large arrays, measured once and kept for this
machine."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from spectui.sources.hardware import machine_name

logger = logging.getLogger(__name__)

PROBE_BYTES = 64 << 20
"""Size of each array: far larger than a processor's caches."""

PROBE_S = 0.6
"""How long the probe takes in total; the best of its runs counts, as in STREAM (McCalpin 1995)."""

LEAST_RUNS, LONGEST_S = 10, 20.0
FILE = "memory-peak.json"


def memory_peak(folder: Path | None, probe: Callable[[], float] | None = None) -> float | None:
    """The host's peak memory bandwidth in bytes per second: the value kept in ``folder`` for this machine, or else
    measured and kept.

    None if it could not be measured.
    """
    machine = machine_name()
    if folder is not None and (known := _kept(folder / FILE, machine)) is not None:
        return known
    try:
        peak = (probe or measure)()
    except OSError:
        logger.exception("the memory peak is unknown")
        return None
    if folder is not None:
        # If the cache cannot be written, the next start takes half a second longer, and nothing else.
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f"{FILE}.{os.getpid()}"
            try:
                temporary.write_text(json.dumps({"machine": machine, "bytes_per_second": peak}), encoding="utf-8")
                temporary.replace(folder / FILE)
            finally:
                temporary.unlink(missing_ok=True)
    return peak


def _kept(path: Path, machine: str) -> float | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        peak, measured_on = float(content["bytes_per_second"]), content["machine"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return peak if measured_on == machine and math.isfinite(peak) and peak > 0 else None


def measure() -> float:
    """Bytes per second that all cores together copy (read and written) or read, whichever is more.

    The measurement runs in a process of its own: while engines are imported, this one's interpreter lock is rarely
    free.

    Raises:
        OSError: The process could not be started, or gave no figure.
    """
    command = [sys.executable, "-m", "spectui.telemetry.peak"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=True)
        return float(done.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise OSError(f"the memory peak could not be measured: {error}") from error


def best_rate() -> float:
    """Run the probe itself; allocates two arrays of `PROBE_BYTES` for each core."""
    import numpy as np

    cores = min(8, len(os.sched_getaffinity(0)))
    arrays = [(np.ones(PROBE_BYTES // 8), np.ones(PROBE_BYTES // 8)) for _ in range(cores)]
    best = 0.0
    with ThreadPoolExecutor(cores) as pool:
        until, runs = time.perf_counter() + PROBE_S, 0
        while runs < LEAST_RUNS or time.perf_counter() < until:
            copied = _rate(pool, lambda pair: np.copyto(pair[1], pair[0]), arrays, 2 * PROBE_BYTES)
            read = _rate(pool, lambda pair: pair[0].max(), arrays, PROBE_BYTES)
            best, runs = max(best, copied, read), runs + 1
    return best


def _rate(pool: ThreadPoolExecutor, work: Callable[[Any], object], arrays: Sequence[Any], size: int) -> float:
    began = time.perf_counter()
    list(pool.map(work, arrays))
    return size * len(arrays) / (time.perf_counter() - began)


if __name__ == "__main__":
    print(best_rate())
