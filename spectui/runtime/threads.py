"""The environment that vLLM's engines need before they are imported: threads, OpenMP, preloaded libraries.

Owns: every environment variable that the program sets for its engines, each with its reason (doctor shows them).
Must not know: vLLM, torch. Runs before the first paint, so it imports nothing heavy.

What is already set always wins: `OMP_NUM_THREADS=4 spectui` runs with four threads. `SPECTUI_NO_PRELOAD=1` turns
preloading off. If engines run on a GPU, none of the CPU settings apply.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path

from spectui.errors import Fault
from spectui.places import substitutes

# The values are set in the tables below and in `omp_threads`, nowhere else. They are measured; see docs/cost.md.
_ALWAYS = (("VLLM_ENABLE_V1_MULTIPROCESSING", "0", "all lanes live in this process, stepped by one thread"),)
_CPU = (
    (
        "VLLM_CPU_OMP_THREADS_BIND",
        "nobind",
        "vLLM's own binding keeps cores free for processes that do not exist here, and starves a small machine",
    ),
)
_GPU = (("CUDA_DEVICE_ORDER", "PCI_BUS_ID", "CUDA counts GPUs as their driver does, whose figures are shown"),)
_INTEL_OPENMP = (
    ("KMP_BLOCKTIME", "5", "milliseconds that an idle OpenMP thread spins before it leaves its core to the screen"),
    ("KMP_TPAUSE", "0", "idle OpenMP threads must not put their core into a slow state; vLLM sets this too"),
)
_SUBSTITUTES = {
    "HOME": "vLLM and torch keep files in the user's home, and this user has none",
    "USER": "torch asks for the user's name, and this user has none",
}
_WHY_OMP_THREADS = "one OpenMP thread per core; from three cores on, one core is left to the screen"
_WHY_PRELOAD = "vLLM's speculative decoding is slow on x86 without Intel's OpenMP, which must be loaded before torch"


def omp_threads(cpu_count: int) -> int:
    """How many OpenMP threads the engines share on ``cpu_count`` usable cores."""
    return max(1, cpu_count if cpu_count <= 2 else cpu_count - 1)


OPENMP_LIBRARY = "libiomp5.so"
NO_PRELOAD = "SPECTUI_NO_PRELOAD"
REEXEC = "SPECTUI_REEXEC"
"""Set across the single re-exec; names the variables that the program set itself."""

_OPENMP_NAMES = ("libiomp", "libomp", "libgomp")


@dataclass(frozen=True)
class Setting:
    """One environment variable that engines run with."""

    name: str
    value: str
    why: str
    """One sentence for the user."""
    by_user: bool = False
    """Whether it was set before the program started, and is therefore kept."""


@dataclass(frozen=True)
class EngineEnvironment:
    """Everything that the program sets, or found set, for its engines."""

    omp_threads: int | None
    """OpenMP threads; None if the engine decides (GPU) or the user's value is not a number."""
    binding: str | None
    """How vLLM binds them to cores; None on a GPU."""
    preload: tuple[str, ...]
    """Libraries loaded at process start, in order, the user's included."""
    settings: tuple[Setting, ...] = ()
    """Every variable with its reason, the user's own values included."""
    missing: Fault | None = None
    """What would make engines faster but cannot be done here, and how to fix that; None if nothing is missing."""

    @property
    def changes(self) -> dict[str, str]:
        """The variables that the program itself sets."""
        return {setting.name: setting.value for setting in self.settings if not setting.by_user}


def engine_environment(
    cpu_count: int,
    environ: Mapping[str, str],
    *,
    gpu: bool = False,
    x86_64: bool = True,
    openmp: Path | None = None,
    substitutes: Mapping[str, str] | None = None,
) -> EngineEnvironment:
    """What engines should run with. Pure.

    Args:
        cpu_count: Cores that this process may use.
        environ: The current environment; what it sets is kept.
        gpu: Whether engines run on a GPU.
        x86_64: Whether the machine is x86-64 Linux, the only kind that Intel's OpenMP supports.
        openmp: Path of that library; None if it is not installed.
        substitutes: The result of `spectui.places.substitutes`.
    """
    ours = set(environ.get(REEXEC, "").split(","))

    def setting(name: str, value: str, why: str) -> Setting:
        return Setting(name, environ.get(name, value), why, by_user=name in environ and name not in ours)

    always = (
        *(setting(*row) for row in _ALWAYS),
        *(setting(name, value, _SUBSTITUTES[name]) for name, value in (substitutes or {}).items()),
    )
    if gpu:
        return EngineEnvironment(None, None, _libraries(environ), (*always, *(setting(*row) for row in _GPU)))
    threads = setting("OMP_NUM_THREADS", str(omp_threads(cpu_count)), _WHY_OMP_THREADS)
    settings = [*always, *(setting(*row) for row in _CPU), threads]
    preload, missing = _preload(environ, openmp) if x86_64 else (environ.get("LD_PRELOAD"), None)
    if preload is not None:
        kept = preload == environ.get("LD_PRELOAD") and "LD_PRELOAD" not in ours
        settings.append(Setting("LD_PRELOAD", preload, _WHY_PRELOAD, by_user=kept))
    libraries = _libraries({"LD_PRELOAD": preload} if preload is not None else environ)
    if any("libiomp" in library for library in libraries):
        settings += [setting(*row) for row in _INTEL_OPENMP]
    return EngineEnvironment(
        int(threads.value) if threads.value.isdecimal() else None,
        next(s.value for s in settings if s.name == "VLLM_CPU_OMP_THREADS_BIND"),
        libraries,
        tuple(settings),
        missing,
    )


def apply_or_reexec(
    *,
    gpu: bool,
    environ: MutableMapping[str, str] | None = None,
    openmp: Path | None = None,
    execve: Callable[[str, list[str], dict[str, str]], object] = os.execve,
) -> EngineEnvironment:
    """Set the engines' environment for this process and its children; call it first, before anything is imported.

    A library can only be preloaded at process start, so if one is needed Python replaces itself, exactly once, with the
    same command line (``-m``, ``-X``, ``-W`` and console scripts included).

    Args:
        gpu: Whether engines run on a GPU: see `has_nvidia_gpu`.
        environ: The environment to read and change; the process's own by default.
        openmp: The library to preload; by default looked up in this Python's environment.
        execve: Replaces the process; for tests.
    """
    environ = os.environ if environ is None else environ
    environment = engine_environment(
        usable_cpus(),
        environ,
        gpu=gpu,
        x86_64=_is_x86_64(),
        openmp=openmp or find_openmp(),
        substitutes=substitutes(),
    )
    restarted = environ.pop(REEXEC, None) is not None
    needs_restart = environment.changes.get("LD_PRELOAD", environ.get("LD_PRELOAD")) != environ.get("LD_PRELOAD")
    environ.update(environment.changes)
    # A program read from standard input is half consumed and cannot be started again.
    if needs_restart and not restarted and sys.argv[:1] not in ([], [""], ["-"]):
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        command = [sys.executable, *sys.orig_argv[1:]]
        execve(sys.executable, command, {**environ, REEXEC: ",".join(environment.changes)})
    return environment


def has_nvidia_gpu(devices: Path = Path("/dev"), library: str = "libnvidia-ml.so.1") -> bool:
    """Whether engines will run on an NVIDIA GPU: there is a device and its driver's library, and vLLM is not the CPU
    build."""
    # The second name is the GPU of Windows Subsystem for Linux.
    if not (any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists()):
        return False
    import ctypes

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return not any(next(Path(entry).glob("vllm_cpu-*.dist-info"), None) for entry in sys.path if entry)


def usable_cpus(quota_file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores this process may really use: its affinity, limited by a container's CPU quota, rounded up."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = quota_file.read_text().split()
        return max(1, min(cores, -(-int(quota) // int(period))))
    except (OSError, ValueError, ZeroDivisionError):
        return cores


def find_openmp(prefix: Path | None = None) -> Path | None:
    """Intel's OpenMP library where pip installs it; None if it is not installed."""
    library = (prefix or Path(sys.prefix)) / "lib" / OPENMP_LIBRARY
    return library if library.is_file() else None


def _is_x86_64() -> bool:
    return sys.platform.startswith("linux") and os.uname().machine == "x86_64"


def _preload(environ: Mapping[str, str], openmp: Path | None) -> tuple[str | None, Fault | None]:
    """The right value of LD_PRELOAD (None: leave it unset), and what is missing."""
    given = environ.get("LD_PRELOAD")
    if environ.get(NO_PRELOAD, "0") not in ("", "0") or any(name in (given or "") for name in _OPENMP_NAMES):
        return given, None
    if openmp is None:
        return given, Fault(f"{OPENMP_LIBRARY} was not found in this Python's environment", "pip install intel-openmp")
    if any(separator in str(openmp) for separator in (" ", ":")):
        return given, Fault(f"{openmp} cannot be preloaded", "install into a folder without spaces or colons")
    return ":".join([*([given] if given else []), str(openmp)]), None


def _libraries(environ: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(environ.get("LD_PRELOAD", "").replace(":", " ").split())
