"""Shows how far a benchmark has come: a live line on a terminal, else a plain line for every finished block.

The line is drawn between engine steps, at most four times per second, and never by a thread of its own: a screen that
draws whenever it likes slows the steps that are measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from spectui.bench.live_line import FRAME_S, duration_text, fit, live_console
from spectui.core.bench.estimate import Seconds, total_seconds
from spectui.core.bench.figures import CellFigures
from spectui.core.bench.matrix import Block, Matrix, Variant
from spectui.core.bench.records import TurnRecord
from spectui.core.bench.results import Header, cells_of
from spectui.figures import number_text
from spectui.runtime.output import visible
from spectui.runtime.quiet import say, voice
from spectui.sources.vllm.benching import Place


class Progress(Protocol):
    """What the measurement reports to."""

    def at(self, place: Place) -> None:
        """Called between engine steps with where the benchmark is."""

    def ended(self, turn: TurnRecord) -> None:
        """Called with every turn that counts."""

    def tell(self, line: str) -> None:
        """Say something else."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class _Pace:
    """Time left, from the estimate and how it held so far."""

    def __init__(self, matrix: Matrix, seconds: Seconds, done: Sequence[TurnRecord]) -> None:
        self._matrix = matrix
        self._seconds = seconds
        self._began = time.monotonic()
        self.total_s = total_seconds(matrix, seconds)
        self._earlier_s = self.done_s = sum(map(self.of, done))

    def of(self, turn: TurnRecord) -> float:
        """Est. time of a turn."""
        return sum(self._seconds(turn.block, one) for one in self._matrix.variants)

    @property
    def left_s(self) -> float:
        left = max(0.0, self.total_s - self.done_s)
        took, expected = time.monotonic() - self._began, self.done_s - self._earlier_s
        return left * (took / expected if expected > 0 else 1.0)


class Lines:
    """A plain line for every finished block."""

    def __init__(
        self,
        header: Header,
        matrix: Matrix,
        seconds: Seconds,
        done: Sequence[TurnRecord],
        tell: Callable[[str], None] = say,
    ) -> None:
        self._header = header
        self._matrix = matrix
        self._turns = list(done)
        self._pace = _Pace(matrix, seconds, done)
        self.tell = tell

    @property
    def left(self) -> str:
        return f"about {duration_text(self._pace.left_s)} left" if self._pace.left_s else "done"

    def at(self, place: Place) -> None:
        pass

    def ended(self, turn: TurnRecord) -> None:
        self._turns.append(turn)
        self._pace.done_s += self._pace.of(turn)
        own = [one for one in self._turns if one.block == turn.block]
        if len(own) == self._matrix.repetitions:
            self.tell(f"{block_line(self._header, self._matrix, turn.block, own)}; {self.left}")

    def close(self) -> None:
        pass


def block_line(header: Header, matrix: Matrix, block: Block, turns: Sequence[TurnRecord]) -> str:
    """A finished block in a line."""
    cells = [cell for cell in cells_of(header, matrix, turns) if cell.category == block.category]
    return f"{block.name}: " + ", ".join(_told(cell.variant, cell.figures) for cell in cells)


def _told(variant: Variant, figures: CellFigures) -> str:
    times = "" if variant.plain or figures.speedup is None else f" ({figures.speedup:.2f}x)"
    return f"{variant.name} {number_text(figures.output_throughput, 'tok/s', '.1f')}{times}"


class LiveLine(Lines):
    """The same with a bar that shows the running cell and the time left."""

    def __init__(self, header: Header, matrix: Matrix, seconds: Seconds, done: Sequence[TurnRecord]) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = live_console()
        super().__init__(header, matrix, seconds, done, self._print)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[cells]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            console=self._console,
            auto_refresh=False,
            expand=True,
            # What libraries print goes to the log.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=self._pace.total_s, completed=0, cells="", left="")
        self._drawn = 0.0

    def _print(self, line: str) -> None:
        fit(self._console)
        self._console.print(visible(line))

    def at(self, place: Place) -> None:
        now = time.monotonic()
        if now - self._drawn < FRAME_S:
            return
        self._drawn = now
        fit(self._console)
        self._bar.start()
        turn = "warm-up" if place.turn < 0 else f"{place.turn + 1}/{self._matrix.repetitions}"
        again = f", disturbed, attempt {place.repeated + 1}" if place.repeated else ""
        finished = len(self._turns) // self._matrix.repetitions * len(self._matrix.variants)
        self._bar.update(
            self._task,
            description=visible(f"{place.block.name}: {place.variant.name} {turn}{again}"),
            completed=self._pace.done_s,
            cells=f"{finished}/{len(self._matrix.blocks) * len(self._matrix.variants)} cells",
            left=self.left,
        )
        self._bar.refresh()

    def close(self) -> None:
        self._bar.stop()


def make_progress(header: Header, matrix: Matrix, seconds: Seconds, done: Sequence[TurnRecord]) -> Progress:
    """A live line where standard error is a terminal, else plain lines."""
    kind = LiveLine if voice().isatty() else Lines
    return kind(header, matrix, seconds, done)
