"""Shows on a terminal how far reading has come, in a line that goes away again; says nothing anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from spectui.bench.live_line import FRAME_S, duration_text, fit, live_console
from spectui.figures import of_text, size_text
from spectui.runtime.output import visible
from spectui.runtime.quiet import voice

LEAST_S = 1.0
"""Reading that ends sooner shows no line."""


class ReadingLine:
    """The line: what is read, a bar, bytes, and the time left."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = live_console()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[read]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
            auto_refresh=False,
            expand=True,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=1, read="", left="")
        self._began = self._drawn = time.monotonic()
        self._shown = False

    def at(self, name: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._drawn < (FRAME_S if self._shown else LEAST_S):
            return
        left = (now - self._began) * (total - done) / done if done else None
        self._draw(
            f"reading {name}",
            done / total if total else 1.0,
            read=of_text(size_text(done), size_text(total)),
            left="" if left is None else f"about {duration_text(left)} left",
        )
        self._drawn = now

    def analysing(self) -> None:
        if self._shown:
            self._draw("analysing", 1.0, read="", left="")

    def close(self) -> None:
        """Remove the line."""
        if self._shown:
            self._bar.stop()

    def _draw(self, what: str, share: float, *, read: str, left: str) -> None:
        fit(self._console)
        if not self._shown:
            self._shown = True
            self._bar.start()
        self._bar.update(self._task, description=visible(what), completed=share, read=read, left=left)
        self._bar.refresh()


class _Silent:
    """Where nobody watches."""

    def at(self, name: str, done: int, total: int) -> None:
        pass

    def analysing(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def reading_line() -> Iterator[ReadingLine | _Silent]:
    """The line on standard error if that is a terminal, removed at the end of the block."""
    line = ReadingLine() if voice().isatty() else _Silent()
    try:
        yield line
    finally:
        line.close()
