"""Starts the real program in an environment of its own, on a terminal or without one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.terminal import PtySession

SPECTUI = Path(sys.executable).with_name("spectui")
PROMPT_S = 30.0
"""More than a busy machine needs for anything but starting engines."""
START_S = 150.0
"""More than a busy machine needs to start three engines."""

PROMPT_END_S = 4.5
"""The grace period and the tidying after it: nothing may hold the program longer."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    """What a newcomer's shell would give, with ``folder`` for a home; what tests set for engines in their own process
    stays out, since the program must find its own settings."""
    kept = ("PATH", "SPECTUI_CACHE_DIR", "VLLM_CACHE_ROOT", "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "SPECTUI_LOG_DIR": str(folder / "logs"),
        **more,
    }


def on_a_terminal(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> PtySession:
    """``spectui WORDS`` at 120x36."""
    settings = [f"{name}={value}" for name, value in environment(folder, **(env or {})).items()]
    return PtySession(["/usr/bin/env", "-i", *settings, SPECTUI, *words], cols=120, rows=36, cwd=folder)


def without_a_terminal(
    folder: Path, *words: str, env: Mapping[str, str] | None = None, timeout: float = START_S
) -> subprocess.CompletedProcess[str]:
    """``spectui WORDS < /dev/null`` with its output in pipes."""
    return subprocess.run(
        [SPECTUI, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env=environment(folder, **(env or {})),
        cwd=folder,
        timeout=timeout,
    )


def log_of(folder: Path) -> str:
    """What the program logged."""
    return "".join(path.read_text(errors="replace") for path in sorted((folder / "logs").glob("*.log")))


def ends(session: PtySession, code: int, within: float = PROMPT_END_S) -> None:
    """The program ends by itself with ``code``, soon, and gives the terminal back as it was."""
    began = time.monotonic()
    assert session.wait_exit(PROMPT_S) == code
    assert time.monotonic() - began < within
    assert session.termios_restored()
    assert session.modes_restored(), (session.emulator.modes, bytes(session.raw[-300:]))
