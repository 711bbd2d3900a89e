"""``spectui shot``: a picture of the screen at one place of a trace."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path

from spectui.cli.replay import opened, starting_place
from spectui.cli.run import check_theme
from spectui.errors import DONE, RunError, UsageError
from spectui.runtime.output import tell, visible
from spectui.setup import options as opts
from spectui.sources.manual_replay import ManualReplay
from spectui.trace.index import Timeline
from spectui.trace.reader import Trace, TraceError

ENDINGS = (".svg", ".png", ".txt")
_LOOK_S = 0.1


DESCRIPTION = "Save the screen at one place of a trace as SVG, PNG or text, with identical bytes each time."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    opts.add_drawing(parser, "FILE.svg, .png or .txt (an SVG named after the trace)")
    parser.add_argument(
        "--at", default=None, metavar="PLACE", help="a step such as 412, or lane time such as 12.5s (the end)"
    )
    parser.add_argument(
        "--heat", action="store_true", help="shade the text by how many tokens each step emitted, as h does"
    )


def command(options: argparse.Namespace) -> int:
    """Draw the screen and save it.

    Raises:
        UsageError: An option is wrong.
        RunError: The file is not a trace, or the picture cannot be made or saved.
    """
    start = starting_place(options.at)
    trace_path = Path(options.trace)
    path = output(options.output, trace_path, ENDINGS)
    check_theme(options.theme)
    trace = opened(options.trace)

    def made() -> bytes:
        line = indexed(trace)
        place = None if start is None else start(line)
        number = line.known if place is None else min(place, line.known)
        svg, text = asyncio.run(_drawn(ManualReplay(line, number), options.size, options.theme, options.heat))
        match path.suffix:
            case ".txt":
                return text.encode()
            case ".png":
                from spectui.cli.raster import png

                return png(svg)
        return svg.encode()

    return saved(path, made)


async def _drawn(replay: ManualReplay, size: tuple[int, int], theme: str | None, heat: bool) -> tuple[str, str]:
    """The screen as SVG and as text."""
    from spectui.ui.offscreen import offscreen

    async with offscreen(replay, size, theme) as screen:
        screen.app.choices.heat = heat
        await screen.settle()
        return screen.svg(), "\n".join([*screen.rows(), ""])


def output(asked: str | None, trace: Path, endings: tuple[str, ...]) -> Path:
    """Where to save: the path that was given, or the trace's name with the first of ``endings`` in the current folder.

    Raises:
        UsageError: The name has a different ending, or it is the trace itself.
    """
    path = Path(trace.stem + endings[0] if asked is None else asked)
    if path.suffix not in endings:
        raise UsageError(f"-o {path}: the name must end in {' or '.join(endings)}")
    if path.exists() and trace.exists() and path.samefile(trace):
        raise UsageError(f"-o {path} is the trace itself: give another name")
    return path


def indexed(trace: Trace) -> Timeline:
    """The complete index of ``trace``; problems in the trace are reported on standard error.

    Raises:
        RunError: The trace cannot be read to its end.
    """
    line = Timeline(trace)
    line.start()
    while not line.wait(_LOOK_S):
        pass
    if line.fault:
        raise RunError(line.fault)
    for sentence in trace.complaints():
        tell(f"spectui: {sentence}")
    return line


def saved(path: Path, made: Callable[[], bytes]) -> int:
    """Make the file's content, write it, and print where it is.

    Raises:
        RunError: The trace cannot be read, or the file cannot be made or written.
    """
    try:
        content = made()
    except TraceError as error:
        raise RunError(str(error)) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        file_above = isinstance(error, FileExistsError | NotADirectoryError)
        reason = "part of the path is not a folder" if file_above else error.strerror or error
        raise RunError(f"{path} cannot be written ({reason}): give another name with -o") from error
    print(visible(str(path)))
    return DONE
