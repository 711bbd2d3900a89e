"""A real pseudo-terminal for tests: a program in it, an emulator behind it, and waiting without sleeping.

The program runs as the foreground job of a session whose leader is a small stand-in for a shell. So Ctrl-C, job
control, hang-up and a crash work as they do for a person, and what the program left behind can be read after its end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from tests.support.emulator import SYNCHRONIZED, Emulator

PATIENCE_S = 60.0
"""More than a busy machine needs for anything but starting engines; what shall not happen in a test takes longer."""

CTRL_C = "\x03"
ENTER = "\r"
ESCAPE = "\x1b"
TAB = "\t"
UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"

_LEADER = """
import fcntl, os, signal, sys, termios
report, control = int(sys.argv[1]), int(sys.argv[2])
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT, signal.SIGTTOU, signal.SIGTTIN):
    signal.signal(number, signal.SIG_IGN)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    for number in range(1, signal.NSIG):
        try:
            signal.signal(number, signal.SIG_DFL)
        except (OSError, ValueError):
            pass
    os.close(report)
    os.close(control)
    try:
        os.execvp(sys.argv[3], sys.argv[3:])
    except OSError as error:
        os.write(2, str(error).encode())
    os._exit(127)
# As a shell does: the kernel tells only the session's leader that the terminal has gone.
signal.signal(signal.SIGHUP, lambda *_: os.killpg(child, signal.SIGHUP))
os.write(report, b"%d\\n" % child)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
try:
    os.tcsetpgrp(0, os.getpid())
except OSError:
    pass
os.write(report, b"%d\\n" % status)
os.read(control, 1)
"""


class PtySession:
    """A program in a pseudo-terminal; a context manager that ends the program when the block is left."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        cols: int = 120,
        rows: int = 36,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        """Start `argv`, with `env` added to this process's environment."""
        self.cwd = cwd
        self._master, slave = pty.openpty()
        self.raw = bytearray()
        """Every byte that the program wrote to the terminal."""
        self.emulator = Emulator(cols, rows)
        self._set_size(cols, rows)
        self._attributes = termios.tcgetattr(self._master)
        self._reports, report = os.pipe()
        control, self._control = os.pipe()
        self._leader = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LEADER, str(report), str(control), *map(str, argv)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            pass_fds=(report, control),
            cwd=cwd,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})},
        )
        for fd in (slave, report, control):
            os.close(fd)
        os.set_blocking(self._master, False)
        self._reported = b""
        self._hung_up = False
        self._wait(lambda: b"\n" in self._reported, PATIENCE_S, "the program to start")
        self.pid = int(self._reported.split(b"\n")[0])
        """The program's process id; it leads the foreground process group."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        os.close(self._control)
        self._leader.wait(PATIENCE_S)
        os.close(self._reports)
        if not self._hung_up:
            os.close(self._master)

    @property
    def exit_code(self) -> int | None:
        """The program's exit status, negative when a signal killed it; None while it runs."""
        reports = self._reported.split(b"\n")
        return int(reports[1]) if len(reports) > 2 else None

    def rows(self) -> list[str]:
        """The visible text, one string a row, without trailing blanks."""
        self._pump(0)
        return self.emulator.rows()

    def text(self) -> str:
        """The visible text."""
        return "\n".join(self.rows())

    def wait_for(self, what: str | Callable[[list[str]], bool], timeout: float = PATIENCE_S) -> list[str]:
        """Wait until a text is visible, or until a condition on the rows holds; never judges half a frame.

        Returns:
            The rows then.

        Raises:
            AssertionError: it did not happen in time, or the program ended before; says what was visible instead.
        """

        def seen() -> bool:
            if SYNCHRONIZED in self.emulator.modes:
                return False
            rows = self.emulator.rows()
            return what in "\n".join(rows) if isinstance(what, str) else what(rows)

        self._wait(seen, timeout, repr(what), ends=True)
        return self.emulator.rows()

    def wait_exit(self, timeout: float = PATIENCE_S) -> int:
        """Wait for the program's end; return its exit status, negative when a signal killed it."""
        self._wait(lambda: self.exit_code is not None, timeout, "the program to end")
        while self._pump(0):
            pass
        assert self.exit_code is not None
        return self.exit_code

    def settle(self, condition: Callable[[], bool], timeout: float = PATIENCE_S) -> None:
        """Wait until `condition` holds, reading output meanwhile; for what no output announces."""
        self._wait(condition, timeout, repr(condition))

    def send(self, keys: str | bytes) -> None:
        """Type."""
        os.write(self._master, keys.encode() if isinstance(keys, str) else keys)

    def resize(self, cols: int, rows: int) -> None:
        """Change the size; the kernel sends SIGWINCH to the foreground job."""
        self._pump(0)
        self.emulator.screen.resize(rows, cols)
        self._set_size(cols, rows)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone."""
        os.kill(self.pid, number)

    def hang_up(self) -> None:
        """Close the terminal as a closed window does: SIGHUP to the foreground job, reads end, writes fail."""
        self._pump(0)
        self._hung_up = True
        os.close(self._master)

    def termios_restored(self) -> bool:
        """Whether the terminal's attributes are what they were before the program started."""
        return termios.tcgetattr(self._master) == self._attributes

    def modes_restored(self) -> bool:
        """Whether alternate screen, mouse, paste, focus and keyboard modes are off, the cursor shown, colours plain."""
        self._pump(0)
        return self.emulator.modes_restored()

    def _set_size(self, cols: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def _wait(self, condition: Callable[[], bool], timeout: float, what: str, *, ends: bool = False) -> None:
        until = time.monotonic() + timeout
        while not condition():
            left = until - time.monotonic()
            ended = ends and self.exit_code is not None
            if (not self._pump(0 if ended else min(max(left, 0), 0.1)) and ended) or left < 0:
                why = f"exit code {self.exit_code}" if ended else f"{timeout} s"
                screen = "\n".join(f"|{row}" for row in self.emulator.rows() if row)
                raise AssertionError(
                    f"no {what} after {why}; visible:\n{screen}\nlast bytes: {bytes(self.raw[-600:])!r}"
                )

    def _pump(self, timeout: float) -> bool:
        """Read what is there, at most once a descriptor; True when there was anything."""
        watched = [self._reports] if self._hung_up else [self._reports, self._master]
        if self.exit_code is not None:
            watched.remove(self._reports)
        ready, _, _ = select.select(watched, [], [], timeout)
        if self._reports in ready:
            self._reported += os.read(self._reports, 64)
        if self._master not in ready or self._hung_up:
            return bool(ready)
        try:
            data = os.read(self._master, 1 << 16)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EAGAIN):
                return False
            raise
        self.raw += data
        answer = self.emulator.feed(data)
        if answer and self.exit_code is None:
            with contextlib.suppress(OSError):
                os.write(self._master, answer)
        return True
