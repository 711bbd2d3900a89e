"""Starts the real program in an environment of its own, on a terminal or without one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from spectui.sources.hardware import DEMO_DTYPE
from tests.support.terminal import PtySession

SPECTUI = Path(sys.executable).with_name("spectui")
ROOT = Path(__file__).parents[2]
PROMPT_S = 30.0
"""More than a busy machine needs for anything but starting engines."""
START_S = 150.0
"""More than a busy machine needs to start three engines."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a newcomer's shell would give, with ``folder`` for a home and a folder in it for temporary files; what tests
    set for engines in their own process stays out, since the program must find its own settings. It is the program of
    this checkout, whichever is installed."""
    (folder / "tmp").mkdir(exist_ok=True)
    kept = ("PATH", "SPECTUI_CACHE_DIR", "VLLM_CACHE_ROOT", "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", DEMO_DTYPE)
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "SPECTUI_LOG_DIR": str(folder / "logs"),
        "TMPDIR": str(folder / "tmp"),
        **more,
        "PYTHONPATH": ":".join(filter(None, (more.get("PYTHONPATH"), str(ROOT)))),
    }


def left_behind(folder: Path, pid: int) -> list[str]:
    """Temporary files of a program that has ended."""
    shared = Path("/dev/shm").glob(f"__KMP_REGISTERED_LIB_{pid}_*")
    return [path.name for path in (*(folder / "tmp").iterdir(), *shared)]


def on_a_terminal(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> PtySession:
    """``spectui WORDS`` at 120x36."""
    settings = [f"{name}={value}" for name, value in environment(folder, **(env or {})).items()]
    return PtySession(["/usr/bin/env", "-i", *settings, SPECTUI, *words], cols=120, rows=36, cwd=folder)


def without_a_terminal(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, timeout: float = START_S
) -> subprocess.CompletedProcess[str]:
    """``spectui WORDS < /dev/null`` with its output in pipes; it must leave no temporary files."""
    with subprocess.Popen(
        [SPECTUI, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(folder, **(env or {})),
        cwd=folder,
    ) as program:
        try:
            said, errors = program.communicate(timeout=timeout)
        finally:
            program.kill()
    assert left_behind(folder, program.pid) == []
    return subprocess.CompletedProcess(program.args, program.returncode, said, errors)


def log_of(folder: Path) -> str:
    """What the program logged."""
    return "".join(path.read_text(errors="replace") for path in sorted((folder / "logs").glob("*.log")))


def ends(session: PtySession, code: int) -> None:
    """The program ends by itself with ``code``, gives the terminal back as it was and leaves no temporary files."""
    assert session.wait_exit(PROMPT_S) == code
    assert session.cwd is not None
    assert left_behind(session.cwd, session.pid) == []
    assert session.termios_restored()
    assert session.modes_restored(), (session.emulator.modes, bytes(session.raw[-300:]))
