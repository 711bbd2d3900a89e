"""`spectui doctor`: runs the checks in order, shows progress, and sets the exit code."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from spectui import __version__, places
from spectui.doctor import machine, software, surroundings
from spectui.doctor.check import Check, Rows, attempted, document, text
from spectui.doctor.facts import Facts
from spectui.doctor.software import TORCH, VLLM, Imported, Trial
from spectui.errors import DONE, FAILED
from spectui.runtime.output import as_json
from spectui.sources.hardware import DEMO_DTYPE, fastest_dtype, machine_name, software_versions

TORCH_S = 4.0
"""Seconds after which the import of torch is stopped, so that the whole command takes less than 5."""
FULL_S = 180.0
"""The same for each import with ``--full``."""
WIDEST = 120


def doctor(options: argparse.Namespace) -> int:
    """Check everything and print the result; the exit code says whether there is a problem."""
    checks = examine(Facts(), full=options.full)
    if options.json:
        print(as_json(document(checks, machine_name(), dict(software_versions()))))
    else:
        print(_text(checks))
    return FAILED if any(check.status == "problem" for check in checks) else DONE


def examine(facts: Facts, *, full: bool) -> Rows:
    """Run all checks, in the order in which they are shown; torch is imported while the others run."""
    limit = FULL_S if full else TORCH_S
    environ = _engine_environ(facts)
    with Trial(TORCH, environ) as torch:
        above, below = _software(facts), [*_hardware(facts), *_settings(facts), *_folders(facts), *_display(facts)]
        above += attempted("torch", lambda: software.torch_checks(facts.engine, _torch(facts, torch, limit)))
    above += attempted("vLLM import", lambda: software.vllm_import_checks(facts.engine, _vllm(facts, environ, full)))
    return [*above, *below]


def _engine_environ(facts: Facts) -> dict[str, str]:
    """Return the environment for the trial imports: that of the engines, as far as it is known."""
    try:
        return {**os.environ, **facts.environment.changes}
    except Exception:
        return dict(os.environ)


def _torch(facts: Facts, trial: Trial, limit_s: float) -> Imported | None:
    if not facts.engine.torch_found:
        return None
    with _progress("torch", limit_s) as tell:
        return trial.result(limit_s, tell)


def _vllm(facts: Facts, environ: dict[str, str], full: bool) -> Imported | None:
    if not (full and facts.engine.vllm_found):
        return None
    with Trial(VLLM, environ) as trial, _progress("vLLM", FULL_S) as tell:
        return trial.result(FULL_S, tell)


def _software(facts: Facts) -> Rows:
    return [
        *attempted("program", lambda: software.program_checks(__version__, sys.version_info[:3], sys.executable)),
        *attempted("system", lambda: software.system_checks(os.uname().sysname, os.uname().machine, machine_name())),
        *attempted("engine", lambda: software.engine_checks(facts.engine, len(facts.gpus.samples))),
    ]


def _hardware(facts: Facts) -> Rows:
    return [
        *attempted("device", lambda: machine.device_checks(facts.gpus, facts.cores)),
        *attempted("NVML", lambda: _nvml(facts)),
        *attempted("memory", lambda: machine.memory_checks(*facts.memory)),
        *attempted("sensors", lambda: machine.sensor_checks(facts.temperatures)),
    ]


def _nvml(facts: Facts) -> Iterable[Check]:
    return machine.nvml_checks(facts.gpus, facts.device_files, on_the_bus=facts.gpu_on_the_bus)


def _settings(facts: Facts) -> Rows:
    def preload() -> Iterable[Check]:
        if not facts.engine.vllm_found:
            return [Check("preload", "—", "no engine to preload libraries for")]
        return machine.preload_checks(facts.environment, os.environ, facts.absent_libraries)

    return [
        *attempted("preload", preload),
        *attempted("settings", lambda: machine.setting_checks(facts.environment, facts.cores)),
        *attempted("format", lambda: machine.format_checks(os.environ.get(DEMO_DTYPE, ""), fastest_dtype())),
    ]


def _folders(facts: Facts) -> Rows:
    def log() -> Iterable[Check]:
        folder, chosen = facts.log_folder
        return surroundings.log_checks(
            folder, places.writable(folder), chosen=chosen, fallback=places.spare_log_folder()
        )

    return [
        *attempted("demo model", lambda: surroundings.demo_model_checks(facts.cache)),
        *attempted("drafters", lambda: surroundings.drafter_checks(facts.drafters)),
        *attempted("log", log),
    ]


def _display(facts: Facts) -> Rows:
    return [
        *attempted("terminal", lambda: surroundings.terminal_checks(facts.display, os.environ)),
        *attempted("unicode", lambda: surroundings.character_checks(facts.display)),
    ]


def _text(checks: Rows) -> str:
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    width = min(shutil.get_terminal_size((WIDEST, 24)).columns, WIDEST)
    home = os.environ.get("HOME", "").rstrip("/")
    return text(checks, width, colour=colour, home=home)


@contextmanager
def _progress(name: str, limit_s: float) -> Iterator[Callable[[float], None]]:
    """Show on standard error what is being waited for: in a line that is removed again, or once without a terminal."""
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def tell(seconds: float) -> None:
        if live:
            print(f"\r\x1b[2KImporting {name}: {seconds:.1f} s of at most {limit_s:.0f} s", end="", file=sys.stderr)
            sys.stderr.flush()

    if not live:
        print(f"Importing {name}, for at most {limit_s:.0f} s", file=sys.stderr, flush=True)
    try:
        yield tell
    finally:
        if live:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
