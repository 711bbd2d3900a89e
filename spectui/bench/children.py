"""Child processes that race on orders from this process: the real program, on a pseudo-terminal or headless.

See `spectui.bench.conducted` for their side.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from spectui.bench.harness import Sample

PROGRAM = (sys.executable, "-m", "spectui.bench.conducted")
COLUMNS, LINES = 120, 36

SILENCE_S = 900.0
"""How long a child may be silent while it loads a lane or races: longer than the largest models take."""

CLOSE_S = 15.0
"""How long a child may take to exit by itself."""


class ChildFailedError(RuntimeError):
    """A child exited, could not start its lanes or did not answer; the message says which and why."""


class Child:
    """One measured process.

    Args:
        mode: ``"screen"`` (in a pseudo-terminal of 120x36) or ``"headless"``.
        arguments: Engine options for the command line.
        lanes: How many lanes these options make.
        environ: Environment variables to set on top of this process's own.
    """

    def __init__(
        self, mode: str, arguments: Sequence[str], lanes: int, environ: Mapping[str, str] | None = None
    ) -> None:
        self.mode = mode
        self.started_ns = time.monotonic_ns()
        self.first_frame_ns: int | None = None
        order_read, order_write = os.pipe()
        answer_read, answer_write = os.pipe()
        self._terminal, terminal = pty.openpty()
        fcntl.ioctl(
            terminal, termios.TIOCSWINSZ, LINES.to_bytes(2, "little") + COLUMNS.to_bytes(2, "little") + bytes(4)
        )
        command = [*PROGRAM, "--mode", mode, "--orders", str(order_read), "--answers", str(answer_write), *arguments]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                pass_fds=(order_read, answer_write),
                start_new_session=True,
                env={**os.environ, **(environ or {}), "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            )
        except OSError as error:
            for fd in (self._terminal, order_write, answer_read):
                os.close(fd)
            raise ChildFailedError(f"the {mode} process could not be started ({error.strerror or error})") from error
        finally:
            for fd in (terminal, order_read, answer_write):
                os.close(fd)
        self._orders = os.fdopen(order_write, "w")
        self._answers = Answers(answer_read)
        self._awaited = "its first lane"
        threading.Thread(target=self._drain, daemon=True).start()
        try:
            for _ in range(lanes):
                self._answer()
        except BaseException as error:
            # Nothing else can end this child yet, and a user who pressed Ctrl-C does not want to wait for its end.
            if not isinstance(error, ChildFailedError):
                self._process.kill()
            self.close()
            raise

    def _drain(self) -> None:
        """Read the terminal's output as a fast terminal would, and note when the first frame arrives."""
        seen = b""
        while True:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:
                return
            if self.first_frame_ns is None:
                seen += data
                if b"SpecTUI" in seen:
                    self.first_frame_ns = time.monotonic_ns()

    def _answer(self) -> dict[str, Any]:
        """Wait for the next answer that is more than a sign of life."""
        while True:
            try:
                line = self._answers.line(SILENCE_S)
            except TimeoutError:
                raise ChildFailedError(
                    f"the {self.mode} process did not answer for {SILENCE_S:g} s (waiting for {self._awaited})"
                ) from None
            if not line:
                raise ChildFailedError(
                    f"the {self.mode} process ended with exit code {self._process.wait()} (waiting for {self._awaited})"
                )
            answer: dict[str, Any] = json.loads(line)
            if "failed" in answer:
                raise ChildFailedError(f"the {self.mode} process: {answer['failed']}")
            if "stage" not in answer:
                return answer
            self._awaited = answer["stage"]

    def _ask(self, order: str, awaited: str) -> dict[str, Any]:
        self._awaited = awaited
        with contextlib.suppress(BrokenPipeError):
            print(order, file=self._orders, flush=True)
        return self._answer()

    def race(self) -> dict[str, Any]:
        """Race one round. ``lanes`` maps names to (tokens, lane time in ns), ``wall_ns`` is the round's wall time and
        ``disturbed`` says whether other programs used the cores."""
        return self._ask("round", "the end of a round")

    def samples(self) -> dict[str, Sample]:
        """Race one round; returns all lanes by lane clock, all lanes by wall clock, and each lane by its own clock."""
        answer = self.race()
        lanes: dict[str, tuple[int, int]] = answer["lanes"]
        tokens = sum(count for count, _ in lanes.values())
        clock_ns = sum(clock for _, clock in lanes.values())
        return {
            f"{self.mode}, lane clock": Sample(tokens, clock_ns / 1e9, answer["disturbed"]),
            f"{self.mode}, wall clock": Sample(tokens, answer["wall_ns"] / 1e9, answer["disturbed"]),
            **{f"{self.mode}, {name}": Sample(count, clock / 1e9) for name, (count, clock) in lanes.items()},
        }

    def figures(self) -> dict[str, Any]:
        """Return event-loop lag, frame times and key handling since the last call; for ``"screen"`` only."""
        return self._ask("figures", "its figures")

    def press(self, key: str) -> int:
        """Type a key; returns the time (monotonic, in ns) at which it was sent."""
        moment = time.monotonic_ns()
        os.write(self._terminal, key.encode())
        return moment

    def close(self) -> None:
        """End the process, whatever it is doing."""
        with contextlib.suppress(OSError):
            self._orders.close()
            if self.mode == "screen":
                self.press("q")
        try:
            self._process.wait(CLOSE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._answers.close()
        os.close(self._terminal)


class Answers:
    """Reads a pipe line by line."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""

    def line(self, timeout_s: float) -> str:
        """Wait for the next line; it is empty at the end of the pipe.

        Raises:
            TimeoutError: Nothing arrived within ``timeout_s``.
        """
        while b"\n" not in self._rest:
            if not select.select([self._fd], [], [], timeout_s)[0]:
                raise TimeoutError
            data = os.read(self._fd, 1 << 16)
            if not data:
                return ""
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        os.close(self._fd)
