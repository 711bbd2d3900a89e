"""``spectui run``: the live race on the screen, or headless where there is no terminal.

Owns the order of things: engine environment, terminal, log, source, screen, and the way out.
"""

from __future__ import annotations

import argparse
import sys

from spectui.runtime import logs
from spectui.runtime.terminal import Terminal, finish, owned_terminal
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.sources.base import Source

STOP_S = 2.0
"""How long the engine thread may take to finish its step and free the engines when the user quits."""


def run(options: argparse.Namespace) -> int:
    """Run until the user quits, or headless until ``--rounds`` prompts have raced. Ends the process."""
    gpu = has_nvidia_gpu()
    apply_or_reexec(gpu=gpu)
    from spectui.runtime.setup import host_config
    from spectui.sources.vllm.host import EngineHost

    source = EngineHost(host_config(options, gpu=gpu))
    headless = options.headless or options.json or not (sys.stdin.isatty() and sys.stdout.isatty())
    log_path = logs.log_file()
    with owned_terminal(log_path) as terminal:
        logs.configure(log_path)
        finish(_headless(source, options, terminal) if headless else _screen(source, options, terminal))


def _headless(source: Source, options: argparse.Namespace, terminal: Terminal) -> int:
    from spectui.runtime.headless import run_headless

    raced = run_headless(source, options.rounds, terminal.out, as_json=options.json)
    if not raced:
        print(f"spectui: no lane could run; the log is {terminal.log_path}", file=terminal.err)
    return 0 if raced else 1


def _screen(source: Source, options: argparse.Namespace, terminal: Terminal) -> int:
    from spectui.ui.app import SpecTUIApp

    app = SpecTUIApp(source, log_tail=logs.LogTail(terminal.log_path), theme=options.theme)

    def stop(code: int) -> None:
        app.exit(return_code=code)

    terminal.stop_with(stop)
    app.run()
    terminal.restore_screen()
    source.stop(STOP_S)
    return app.return_code or 0
