"""The driver's library played by a C stub (`stub.c`), for NVIDIA's real binding in this process or in another.

A machine is a dictionary of what the driver says, in the driver's own units; what it does not contain is not
supported, and ``os.fsdecode`` puts bytes that are no UTF-8 into a name. Tests elsewhere get the fixtures by importing
them from `tests.nvml.conftest` in their own conftest.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import pynvml

SOURCE = Path(__file__).with_name("stub.c")
LIBRARY = "libnvidia-ml.so.1"
SCRIPT = "SPECTUI_NVML_STUB"

Value: TypeAlias = int | float | str
Machine: TypeAlias = Mapping[str, Value]

GB, MB = 1 << 30, 1 << 20

H100: Machine = {
    "driver": "580.95.05",
    "devices": 1,
    "name": "NVIDIA H100 80GB HBM3",
    "memory_total": 80 * GB,
    "memory_reserved": 600 * MB,
    "memory_used": 12 * GB,
    "process_memory": 11 * GB,
    "other_process_memory": 1 * GB,
    "bus_width": 5120,
    "max_clock_memory": 2619,
    "max_clock_sm": 1980,
    "clock_memory": 2619,
    "clock_sm": 1755,
    "busy_gpu": 90,
    "busy_memory": 40,
    "power": 512_300,
    "power_limit": 700_000,
    "energy": 1_234,
    "temperature": 54,
    "temperature_memory": 66,
    "throttle": 0,
    "sm_of_process": 85,
    "sm_of_others": 2,
    "mig": 0,
    "gpm": 1,
    "gpm_bandwidth": 62.5,
    "gpm_sm": 88,
    "gpm_tensor": 12.5,
    "gpm_pcie_send": 3,
    "gpm_pcie_receive": 24,
}


def _without(machine: Machine, *prefixes: str) -> dict[str, Value]:
    return {key: value for key, value in machine.items() if not key.startswith(prefixes)}


MACHINES: Mapping[str, Machine] = {
    "h100": H100,
    "a100": {
        **_without(H100, "gpm"),
        "name": "NVIDIA A100-SXM4-40GB",
        "memory_total": 40 * GB,
        "max_clock_memory": 1215,
        "gpm": 0,
    },
    "rtx": {
        **_without(H100, "temperature_memory", "mig"),
        "name": "NVIDIA GeForce RTX 5090",
        "memory_total": 32 * GB,
        "bus_width": 512,
        "max_clock_memory": 14_001,
        "fail.nvmlGpmSampleGet": pynvml.NVML_ERROR_NO_PERMISSION,
        "fail.nvmlDeviceGetComputeRunningProcesses_v3": pynvml.NVML_ERROR_NO_PERMISSION,
    },
    "mig": {
        **_without(H100, "busy", "sm_of"),
        "mig": 1,
        "0.mig0.instance": 9,
        "0.mig0.instance_slices": 1,
        "0.mig0.compute_slices": 1,
        "0.mig0.memory_mb": 9_856,
        "0.mig0.memory_total": 9_856 * MB,
        "0.mig0.memory_used": 2 * GB,
        "0.mig0.process_memory": 1 * GB,
        "0.mig0.gpm_sm": 30,
        "0.mig0.gpm_tensor": 10,
        # The second place is empty, as after a slice was destroyed.
        "0.mig2.instance": 2,
        "0.mig2.name": "NVIDIA H100 80GB HBM3 MIG 3g.40gb",
        "0.mig2.memory_total": 40_320 * MB,
        "0.mig2.memory_used": 0,
        "0.mig2.gpm_sm": 70,
        "0.mig2.gpm_tensor": 20,
    },
    "two": {**H100, "devices": 2, "1.memory_used": 5 * GB, "1.gpm_bandwidth": 10},
    "unified": {
        **_without(H100, "memory", "bus", "max_clock_memory", "clock_memory", "temperature_memory", "power_limit"),
        "name": "NVIDIA GB10",
        "gpm": 0,
    },
}


class NvmlStub:
    """The stub library, and the machine that it plays."""

    def __init__(self, library: Path, script: Path) -> None:
        """Play nothing yet: a driver without a GPU.

        Args:
            library: The built stub.
            script: Where to keep the machine's description.
        """
        self._library = library
        self._script = script
        self._machine: dict[str, Value] = {}
        self._write()

    def machine(self, name: str) -> NvmlStub:
        """Play a machine of `MACHINES`."""
        self._machine = dict(MACHINES[name])
        self._write()
        return self

    def set(self, *, gpu: int | None = None, mig: int | None = None, **values: Value) -> None:
        """Let the driver say something else from now on: on all GPUs, on one, or on a slice of it."""
        prefix = "" if gpu is None else f"{gpu}." if mig is None else f"{gpu}.mig{mig}."
        self._machine.update({prefix + key: value for key, value in values.items()})
        self._write()

    def refuse(self, what: str, code: int, gpu: int | None = None) -> None:
        """Let a function of NVML, or a GPM metric of the machine, return ``code``; 0 to let it work again."""
        self.set(gpu=gpu, **{f"fail.{what}": code})

    def hang(self, function: str, seconds: int) -> None:
        """Let a function take so long, or until `let_go`."""
        self.set(**{f"hang.{function}": seconds})

    def let_go(self) -> None:
        """End what hangs."""
        self._machine = _without(self._machine, "hang.")
        self._write()

    def environment(self) -> dict[str, str]:
        """What another process needs in its environment to find the stub in the driver's place."""
        paths = [str(self._library.parent), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        return {"LD_LIBRARY_PATH": os.pathsep.join(paths), SCRIPT: str(self._script)}

    @contextlib.contextmanager
    def loaded(self) -> Iterator[NvmlStub]:
        """Put the stub under the binding of this process; afterwards the binding is as before."""
        before = pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache), os.environ.get(SCRIPT)
        pynvml.nvmlLib = self._loaded = ctypes.CDLL(str(self._library))
        pynvml._nvmlGetFunctionPointer_cache.clear()
        os.environ[SCRIPT] = str(self._script)
        self._loaded.stub_reset()
        try:
            yield self
        finally:
            pynvml.nvmlLib = before[0]
            pynvml._nvmlGetFunctionPointer_cache.clear()
            pynvml._nvmlGetFunctionPointer_cache.update(before[1])
            os.environ.pop(SCRIPT)
            if before[2] is not None:
                os.environ[SCRIPT] = before[2]

    def calls(self, function: str) -> int:
        """How often a function was called in this process."""
        return int(self._loaded.stub_calls(function.encode()))

    @property
    def initialised(self) -> int:
        """Times that NVML was started in this process and not shut down yet."""
        return int(self._loaded.stub_initialised())

    @property
    def shutdowns(self) -> int:
        """Times that it was shut down."""
        return int(self._loaded.stub_shutdowns())

    @property
    def samples_alive(self) -> int:
        """GPM samples that were allocated and not freed."""
        return int(self._loaded.stub_samples_alive())

    @property
    def hanging(self) -> bool:
        """Whether a call hangs at this moment."""
        return bool(self._loaded.stub_hanging())

    @property
    def hung_to_the_end(self) -> int:
        """Calls that hung until their time was over."""
        return int(self._loaded.stub_hung_to_the_end())

    def _write(self) -> None:
        """At one stroke: the stub reads whenever it is called."""
        new = self._script.with_suffix(".new")
        lines = (f"{key} {value}\n" for key, value in self._machine.items())
        new.write_text("".join(lines), encoding="utf-8", errors="surrogateescape")
        new.replace(self._script)


def build(folder: Path) -> Path:
    """Build the library into ``folder`` under its real name."""
    library = folder / LIBRARY
    flags = ("-std=c11", "-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-pthread")
    command = ["gcc", *flags, f"-Wl,-soname,{LIBRARY}", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library
