"""``spectui replay``: the same screen from a trace; plain lines and a summary without a terminal."""

from __future__ import annotations

import argparse
import gc
import os
import select
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from spectui.cli.headless import describe, table
from spectui.cli.run import check_theme
from spectui.cli.script_file import script_of
from spectui.core.reducer import reduce
from spectui.core.state import RunState
from spectui.core.summary import summary_of
from spectui.errors import DONE, RunError, UsageError
from spectui.runtime import logs, output
from spectui.runtime.terminal import Terminal, exit_now, finish, owned_terminal
from spectui.setup import options as opts
from spectui.setup import values
from spectui.trace.reader import Trace, TraceError

if TYPE_CHECKING:
    from spectui.sources.replay import Start
    from spectui.ui.talk.script import Script

STOP_S = 1.0
_NEVER = 1_000_000


DESCRIPTION = "Play a trace at the engines' true speed, slower or faster, from any place, forward and back."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("trace", type=values.path, metavar="TRACE", help="a trace written by --record or R")
    parser.add_argument("--speed", type=values.speed, default=1.0, metavar="X", help=opts.SPEEDS)
    parser.add_argument("--at", default=None, metavar="PLACE", help="a step such as 412, or lane time such as 12.5s")
    parser.add_argument("--loop", action="store_true", help="start over at the end")
    parser.add_argument(
        "--script", type=values.path, default=None, metavar="FILE", help="perform the talk in this file"
    )
    parser.add_argument("--headless", action="store_true", help="print everything as plain lines, even in a terminal")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--theme", default=None, metavar="NAME", help="colour theme")


def command(options: argparse.Namespace) -> int:
    """Play until the user quits, or print everything at once. Ends the process.

    Raises:
        UsageError: An option is wrong.
        RunError: The file is not a trace.
    """
    start = starting_place(options.at)
    check_theme(options.theme)
    trace = opened(options.trace)
    if in_browser():
        finish(_page(trace, start, options))
    on_screen = all(os.isatty(fd) for fd in (0, 1, 2)) and not (options.headless or options.json)
    talk = script_of(options.script, on_screen)
    if on_screen:
        path = logs.log_file()
        with owned_terminal(path) as terminal:
            logs.configure(path)
            finish(_screen(trace, start, options, terminal, talk))
    return told(trace, sys.stdout, as_json=options.json)


def opened(path: str) -> Trace:
    """Open the trace at ``path``.

    Raises:
        RunError: It is not a trace.
    """
    try:
        return Trace.open(Path(path))
    except TraceError as error:
        raise RunError(str(error)) from error


def starting_place(text: str | None) -> Start | None:
    """Parse ``--at``: a step such as ``412``, or lane time such as ``12.5s``. The result returns None until the place
    is known.

    Raises:
        UsageError: It is neither.
    """
    if text is None:
        return None
    try:
        if text.endswith("s"):
            lane_ns = round(float(text[:-1]) * 1e9)
            if lane_ns >= 0:
                return lambda line: line.at_lane_time(lane_ns) if line.settled or line.lane_ns >= lane_ns else None
        steps = int(text)
        if steps >= 0:
            return lambda line: line.at_step(steps) if line.settled or line.steps >= steps else None
    except (ValueError, OverflowError):
        pass
    raise UsageError(f"--at {text}: give a step (412) or a lane time (12.5s)")


def without_full_collections() -> None:
    """Restrict the garbage collector to young objects.

    A trace has many steps, which contain no cycles: collecting all of them would stop the screen for a tenth of a
    second each time, and find nothing.
    """
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, _NEVER)


def in_browser() -> bool:
    """Whether textual-serve started this process: it holds the other ends of the pipes, and there is no terminal."""
    return "WebDriver" in os.environ.get("TEXTUAL_DRIVER", "") and not os.isatty(1)


def told(trace: Trace, out: TextIO, *, as_json: bool) -> int:
    """Print the whole trace: one line per step and the table, or the summary as JSON."""
    state = RunState()
    try:
        for at_ns, event in trace:
            reduce(state, event)
            if not as_json and (line := describe(event, at_ns / 1e9)):
                print(line, file=out)
    except TraceError as error:
        raise RunError(str(error)) from error
    summary = summary_of(state)
    if as_json:
        print(output.as_json(asdict(summary) | {"problems": trace.problems.count}), file=out)
    else:
        print("\n".join(["", *table(summary), *_problems(trace)]), file=out)
    return DONE


def _problems(trace: Trace) -> list[str]:
    """What was wrong, with the first affected lines."""
    return [output.visible(said) for said in (*trace.complaints(), *(one.sentence for one in trace.problems.kept[1:]))]


def _page(trace: Trace, start: Start | None, options: argparse.Namespace) -> int:
    """Show the screen in a browser. The visitor does not get to see a log."""
    from spectui.sources.replay import Replay
    from spectui.trace.index import Timeline
    from spectui.ui.analyst import Analyst
    from spectui.ui.app import SpecTUIApp

    without_full_collections()
    source = Replay(Timeline(trace), speed=options.speed, start=start, loop=options.loop, now=time.monotonic)
    threading.Thread(target=_end_with_server, name="server watch", daemon=True).start()
    app = SpecTUIApp(source, theme=options.theme, analyst=Analyst(trace.path, breathe=source.slot.stand_aside))
    app.run()
    source.stop(STOP_S)
    return app.return_code or DONE


def _end_with_server() -> None:
    """A server that was killed does not say so, but its pipe closes; without this, the replay would go on unseen."""
    pipe = select.poll()
    pipe.register(0, 0)
    pipe.poll()
    exit_now(DONE)


def _screen(
    trace: Trace,
    start: Start | None,
    options: argparse.Namespace,
    terminal: Terminal,
    talk: Script | None,
) -> int:
    from spectui.cli.outcome import report
    from spectui.sources.replay import Replay
    from spectui.trace.index import Timeline
    from spectui.ui.analyst import Analyst
    from spectui.ui.app import SpecTUIApp

    without_full_collections()
    source = Replay(Timeline(trace), speed=options.speed, start=start, loop=options.loop, now=time.monotonic)
    tail, analyst = logs.LogTail(terminal.log_path), Analyst(trace.path, breathe=source.slot.stand_aside)
    app = SpecTUIApp(source, log_tail=tail, theme=options.theme, talk=talk, analyst=analyst)
    terminal.stop_with(lambda code: app.exit(return_code=code))
    app.run()
    terminal.restore_screen()
    source.stop(STOP_S)
    return app.return_code or (DONE if app.state.playhead is not None else report(app.state, terminal))
