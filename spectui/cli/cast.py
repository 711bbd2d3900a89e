"""``spectui cast``: saves the replay of a trace as an asciinema recording (version 2), faster than it plays."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

from spectui.cli.replay import opened
from spectui.cli.run import check_theme
from spectui.cli.shot import indexed, output, saved
from spectui.setup import options as opts
from spectui.setup import values
from spectui.sources.manual_replay import ManualReplay
from spectui.trace.index import Timeline

FRAME_S = 1 / 24
LAST_S = 3.0
"""How long the last frame stays."""

_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


DESCRIPTION = "Save the replay as an asciinema recording, to be played on a web page."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    opts.add_drawing(parser, "FILE.cast (named after the trace)")
    parser.add_argument("--speed", type=values.speed, default=1.0, metavar="X", help=opts.SPEEDS)


def command(options: argparse.Namespace) -> int:
    """Play the trace on an invisible screen, and save what it sends to its terminal.

    Raises:
        UsageError: An option is wrong.
        RunError: The file is not a trace, or the recording cannot be saved.
    """
    path = output(options.output, Path(options.trace), (".cast",))
    check_theme(options.theme)
    trace = opened(options.trace)

    def made() -> bytes:
        replay = ManualReplay(line := indexed(trace), _first(line), paused=False, speed=options.speed)
        return asyncio.run(_lines(replay, options.size, options.theme)).encode()

    return saved(path, made)


def _first(line: Timeline) -> int:
    """The place where the first round has begun: nobody wants to watch engines load."""
    return line.marks.rounds[0] if line.marks.rounds else 0


async def _lines(replay: ManualReplay, size: tuple[int, int], theme: str | None) -> str:
    """The lines of the file: a header, then what is sent and when."""
    header = {"version": 2, "width": size[0], "height": size[1], "env": {"TERM": "xterm-256color"}, "title": "SpecTUI"}
    sent = [[round(at_s, 6), "o", data] async for at_s, data in _played(replay, size, theme)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in [header, *sent])


async def _played(replay: ManualReplay, size: tuple[int, int], theme: str | None) -> AsyncIterator[tuple[float, str]]:
    """What is sent to the terminal, with the seconds since the beginning."""
    from spectui.ui.offscreen import offscreen
    from spectui.ui.paint.frames import CHARTS_S

    async with offscreen(replay, size, theme) as screen:
        await screen.settle()
        screen.sent()
        yield 0.0, _HIDE_CURSOR + screen.full()
        frame, last = 0, None
        while last is None or frame < last:
            frame += 1
            replay.advance(FRAME_S)
            await screen.pass_time(FRAME_S)
            if data := screen.sent():
                yield frame * FRAME_S, data
            if replay.ended and last is None:
                # Charts that update slowly have yet to be drawn.
                last = frame + round(2 * CHARTS_S / FRAME_S)
        yield frame * FRAME_S + LAST_S, _SHOW_CURSOR
