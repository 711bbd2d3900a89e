"""``spectui replay``: the same screen from a trace; headless lines and a summary where there is no terminal."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from spectui.cli import DONE, RunError, UsageError
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.runtime import logs
from spectui.runtime.headless import describe, summary, table
from spectui.runtime.run import check_theme, log_file
from spectui.runtime.terminal import Terminal, finish, owned_terminal
from spectui.trace.reader import Trace, TraceError

if TYPE_CHECKING:
    from spectui.trace.index import Timeline

STOP_S = 1.0


def replay(options: argparse.Namespace) -> int:
    """Play until the user quits, or print everything at once. Ends the process.

    Raises:
        UsageError: An option is wrong.
        RunError: The file is no trace.
    """
    start = starting_place(options.at)
    trace = opened(options.trace)
    on_screen = all(os.isatty(fd) for fd in (0, 1, 2)) and not (options.headless or options.json)
    if on_screen:
        check_theme(options.theme)
        path = log_file()
        with owned_terminal(path) as terminal:
            logs.configure(path)
            finish(_screen(trace, start, options, terminal))
    return told(trace, sys.stdout, as_json=options.json)


def opened(path: str) -> Trace:
    """The trace at ``path``.

    Raises:
        RunError: It is none.
    """
    try:
        return Trace.open(Path(path))
    except TraceError as error:
        raise RunError(str(error)) from error


def starting_place(text: str | None) -> Callable[[Timeline], int] | None:
    """``--at``: a step such as ``412``, or lane time such as ``12.5s``.

    Raises:
        UsageError: It is neither.
    """
    if text is None:
        return None
    try:
        if text.endswith("s"):
            lane_ns = round(float(text[:-1]) * 1e9)
            if lane_ns >= 0:
                return lambda timeline: timeline.at_lane_time(lane_ns)
        steps = int(text)
        if steps >= 0:
            return lambda timeline: timeline.at_step(steps)
    except ValueError:
        pass
    raise UsageError(f"--at {text} is no place: it is a step such as 412, or lane time such as 12.5s")


def told(trace: Trace, out: TextIO, *, as_json: bool) -> int:
    """Print the whole trace: a line a step and the table, or the summary as JSON."""
    state = RunState()
    for at_ns, event in trace:
        reduce(state, event)
        if not as_json and (line := describe(event, at_ns / 1e9)):
            print(line, file=out)
    if as_json:
        print(json.dumps(summary(state) | {"problems": trace.problems.count}, indent=2), file=out)
    else:
        print("\n".join(["", *table(state), *_problems(trace)]), file=out)
    return DONE


def _problems(trace: Trace) -> list[str]:
    return [problem.sentence for problem in trace.problems.kept]


def _screen(
    trace: Trace, start: Callable[[Timeline], int] | None, options: argparse.Namespace, terminal: Terminal
) -> int:
    from spectui.runtime.outcome import report
    from spectui.sources.replay import Replay
    from spectui.trace.index import Timeline
    from spectui.ui.app import SpecTUIApp

    source = Replay(Timeline(trace), speed=options.speed, start=start, loop=options.loop, now=time.monotonic)
    app = SpecTUIApp(source, log_tail=logs.LogTail(terminal.log_path), theme=options.theme)
    terminal.stop_with(lambda code: app.exit(return_code=code))
    app.run()
    terminal.restore_screen()
    source.stop(STOP_S)
    return app.return_code or (DONE if app.state.playhead is not None else report(app.state, terminal))
