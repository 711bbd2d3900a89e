"""Tries an import in a process of its own, so that a crash, a hang or a gigabyte of modules stays out of this one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

TORCH = """
import torch
devices = torch.cuda.device_count() if torch.version.cuda and torch.cuda.is_available() else 0
found = {"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices}
"""
"""What torch is and how many GPUs it can use."""

VLLM = """
from vllm import EngineArgs
from vllm.platforms import current_platform
from vllm.v1.engine.llm_engine import LLMEngine
found = {"platform": current_platform.device_type}
"""
"""The modules that an engine needs, and the device that vLLM would run it on."""

_MARK = "spectui-doctor "
_POLL_S = 0.1


@dataclass(frozen=True)
class Imported:
    """How an import went."""

    seconds: float
    """How long it took, or how long it was waited for."""
    found: Mapping[str, Any] | None = None
    """What the imported modules say; None when they could not be imported."""
    error: str | None = None
    """Why not, in the words of the process that tried; None when it worked or took too long."""

    @property
    def late(self) -> bool:
        """Whether it was stopped because it took too long."""
        return self.found is None and self.error is None


class Trial:
    """One import that is under way."""

    def __init__(self, code: str, environ: Mapping[str, str]) -> None:
        """Start it.

        Args:
            code: imports, and assigns to ``found`` what is to be known.
            environ: the environment to import it in.
        """
        self._began = time.monotonic()
        script = f"import json, time\nbegan = time.monotonic()\n{code}\nfound['seconds'] = time.monotonic() - began\n"
        script += f"print({_MARK!r} + json.dumps(found))"
        # Safe path: a torch.py in the current folder is none of the engine's.
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
            # Its children, if it has any, are of no use without it.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with self._process:
            pass

    def result(self, limit_s: float, tell: Callable[[float], None]) -> Imported:
        """Wait until it is done, or `limit_s` after its start; `tell` is called with the seconds so far."""
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
    return Imported(spent, error=said[-1] if said else f"its process ended with exit code {code} and no message")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
