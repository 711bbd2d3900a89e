"""``spectui run``: the live race on the screen, or headless where there is no terminal.

Owns the order of things: engine environment, log, temporary files, terminal, source, screen, and the way out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.cli import FAILED, PIPE_CLOSED, RunError, UsageError
from spectui.places import LOG_VARIABLE
from spectui.runtime import logs
from spectui.runtime.scratch import temporary_folder
from spectui.runtime.talks import talk_of
from spectui.runtime.terminal import Terminal, finish, owned_terminal
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.standstill import watch_stops

if TYPE_CHECKING:
    from spectui.core.talk import Talk
    from spectui.runtime.recording import Recorded

STOP_S = 2.0
"""How long the engine thread may take to finish its step and free the engines when the user quits."""


def run(options: argparse.Namespace) -> int:
    """Run until the user quits, or headless until ``--rounds`` prompts have raced. Ends the process.

    Raises:
        UsageError: An option is wrong; nothing was started.
        RunError: Nothing can be started here.
    """
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    logs.hold()
    from spectui.runtime.recording import Recorded, trace_name, writable_trace
    from spectui.runtime.setup import host_config
    from spectui.sources.vllm.host import EngineHost
    from spectui.telemetry.source import with_telemetry

    config = host_config(options, gpu=gpu)
    check_theme(options.theme)
    record = None if options.record is None else writable_trace(Path(options.record))
    source = Recorded(with_telemetry(EngineHost(config)), record, trace_name)
    # Textual draws on descriptor 2, so that one must be the terminal too.
    headless = options.headless or options.json or not all(os.isatty(fd) for fd in (0, 1, 2))
    talk = talk_of(options.script, on_screen=not headless)
    log_path = log_file()
    with temporary_folder(), owned_terminal(log_path) as terminal:
        logs.configure(log_path)
        finish(_headless(source, options, terminal) if headless else _screen(source, options, terminal, talk))


def log_file() -> Path:
    """The file that this run logs to.

    Raises:
        RunError: None can be kept.
    """
    try:
        return logs.log_file()
    except OSError as error:
        where, why = error.filename or "the temporary folder", error.strerror or error
        raise RunError(f"no log can be kept in {where} ({why}): set {LOG_VARIABLE} to a folder for it") from error


def check_theme(name: str | None) -> None:
    """Raise `UsageError` where there is no such theme."""
    if name is None:
        return
    from spectui.ui.palette import ThemeError
    from spectui.ui.themes import find

    try:
        find(name)
    except ThemeError as error:
        raise UsageError(f"--theme: {error}") from error


def _headless(source: Recorded, options: argparse.Namespace, terminal: Terminal) -> int:
    from spectui.runtime.headless import run_headless
    from spectui.runtime.outcome import report

    watch_stops()
    try:
        state = run_headless(source, options.rounds, terminal.plain_output(), as_json=options.json)
        terminal.out.flush()
    except BrokenPipeError:
        return PIPE_CLOSED
    except OSError as error:
        terminal.tell(f"standard output: {error.strerror or error}")
        return FAILED
    return report(state, terminal, expected=True, recording=source.fault)


def _screen(source: Recorded, options: argparse.Namespace, terminal: Terminal, talk: Talk | None) -> int:
    from spectui.runtime.outcome import report
    from spectui.ui.app import SpecTUIApp

    app = SpecTUIApp(source, log_tail=logs.LogTail(terminal.log_path), theme=options.theme, talk=talk)

    def stop(code: int) -> None:
        app.exit(return_code=code)

    terminal.stop_with(stop)
    app.run()
    terminal.restore_screen()
    source.stop(STOP_S)
    return app.return_code or report(app.state, terminal, recording=source.fault)
