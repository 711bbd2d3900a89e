"""``spectui run``: the live race on the screen, or headless without a terminal.

Owns the order in which things start: engine environment, log, temporary files, terminal, source, screen, and the way
out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from spectui.cli.script_file import script_of
from spectui.errors import FAILED, PIPE_CLOSED, UsageError
from spectui.runtime import logs
from spectui.runtime.scratch import temporary_folder
from spectui.runtime.terminal import Terminal, finish, owned_terminal
from spectui.runtime.threads import apply_or_reexec, has_nvidia_gpu
from spectui.setup import options as opts
from spectui.setup import values
from spectui.standstill import watch_stops

if TYPE_CHECKING:
    from spectui.sources.recording import Recorded
    from spectui.ui.talk.script import Script

STOP_S = 2.0
"""How long the engine thread may take to finish its step and free the engines when the user quits."""


DESCRIPTION = "Race decoding methods on the same prompt and watch every verification step."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    from spectui.ui.theme.files import shipped_themes

    opts.add_engine_options(parser)
    parser.add_argument("--plan", action="store_true", help="print how much memory the lanes will take, and stop")
    parser.add_argument("--headless", action="store_true", help="print plain lines and a summary, even in a terminal")
    parser.add_argument(
        "--rounds", type=values.positive, default=1, metavar="N", help="prompts to race when headless (1)"
    )
    parser.add_argument("--json", action="store_true", help="run headless and print the summary as JSON")
    parser.add_argument(
        "--script",
        type=values.path,
        default=None,
        metavar="FILE",
        help="perform the talk in this file, such as demos/talk.toml",
    )
    parser.add_argument(
        "--record",
        type=values.path,
        default=None,
        metavar="FILE",
        help="record the run as a trace (R starts it at any time)",
    )
    themes = ", ".join(shipped_themes())
    parser.add_argument("--theme", default=None, metavar="NAME", help=f"colour theme: {themes}, or one of your own")


def command(options: argparse.Namespace) -> int:
    """Run until the user quits, or headless until ``--rounds`` prompts have raced. Ends the process, except with
    ``--plan``.

    Raises:
        UsageError: An option is wrong; nothing was started.
        RunError: The engines cannot be started here.
    """
    gpu = has_nvidia_gpu()
    if options.plan:
        from spectui.cli.plan import show

        return show(options, gpu=gpu)
    return _race(options, gpu=gpu)


def _race(options: argparse.Namespace, *, gpu: bool) -> int:
    """Start everything in its order, and run. Ends the process."""
    apply_or_reexec(gpu=gpu)
    logs.hold()
    from spectui.setup.config import host_config
    from spectui.sources.recording import Recorded, trace_name, writable_trace
    from spectui.sources.vllm.host import EngineHost
    from spectui.telemetry.source import with_telemetry

    config = host_config(options, gpu=gpu)
    check_theme(options.theme)
    record = None if options.record is None else writable_trace(Path(options.record))
    source = Recorded(with_telemetry(EngineHost(config)), record, trace_name)
    # Textual draws on descriptor 2, so that one must be a terminal too.
    headless = options.headless or options.json or not all(os.isatty(fd) for fd in (0, 1, 2))
    talk = script_of(options.script, on_screen=not headless)
    log_path = logs.log_file()
    with temporary_folder(), owned_terminal(log_path) as terminal:
        logs.configure(log_path)
        finish(_headless(source, options, terminal) if headless else _screen(source, options, terminal, talk))


def check_theme(name: str | None) -> None:
    """Raise `UsageError` if there is no theme of that name."""
    if name is None:
        return
    from spectui.ui.theme.palette import ThemeError
    from spectui.ui.theme.themes import find

    try:
        find(name)
    except ThemeError as error:
        raise UsageError(f"--theme: {error}") from error


def _headless(source: Recorded, options: argparse.Namespace, terminal: Terminal) -> int:
    from spectui.cli.headless import run_headless
    from spectui.cli.outcome import report

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


def _screen(source: Recorded, options: argparse.Namespace, terminal: Terminal, talk: Script | None) -> int:
    from spectui.cli.outcome import report
    from spectui.ui.app import SpecTUIApp

    app = SpecTUIApp(source, log_tail=logs.LogTail(terminal.log_path), theme=options.theme, talk=talk)

    def stop(code: int) -> None:
        app.exit(return_code=code)

    terminal.stop_with(stop)
    app.run()
    terminal.restore_screen()
    source.stop(STOP_S)
    return app.return_code or report(app.state, terminal, recording=source.fault)
