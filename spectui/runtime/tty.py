"""Restores a terminal, from any thread and even from another process.

Owns: the terminal attributes saved at the start, the sequences that undo what a full-screen program switched on, and
the guard, a small process that outlives a killed or crashed program just long enough to clean up after it.
Must not know: who draws on the terminal, log files, what signals mean.
"""

from __future__ import annotations

import contextlib
import errno
import io
import mmap
import os
import select
import signal
import termios
from collections.abc import Callable
from typing import Any

_ALTERNATE = "\x1b[?1049"
"""Followed by h when the alternate screen is entered, by l when it is left."""

_UNTOUCHED, _SHOWN, _LEFT, _RESTORED = range(4)

# The keyboard protocol has a stack per screen, so its entry must be popped before the alternate screen is left.
_POP_KEYBOARD = b"\x1b[?2026l\x1b[<u"
_MODES_OFF = b"".join(
    b"\x1b[?%dl" % mode
    # Mouse (six kinds), focus reports, bracketed paste, in-band resize.
    for mode in (1000, 1002, 1003, 1006, 1015, 1016, 1004, 2004, 2048)
)
# Leaving the alternate screen moves the cursor to where it was on entry, so it is sent only when that screen is shown.
_LEAVE = b"\x1b[0m\x1b[?1049l"
_PLAIN = b"\x1b[?7h\x1b[0m\x1b[?25h"

_WRITABLE_S = 0.5
"""How long, in seconds, to wait for a terminal that takes no output (flow control, a stalled connection)."""


class SavedTty:
    """A terminal as it was found, and the way back to that state.

    What the program has done to it since is kept in one byte of shared memory, so that the guard process sees it too.
    """

    def __init__(self, input_fd: int | None, screen_fd: int | None) -> None:
        """Remember a terminal.

        Args:
            input_fd: Descriptor whose attributes are saved; None if there is no terminal to read from.
            screen_fd: Descriptor that drawing goes to; None if there is no terminal to draw on.
        """
        self._input_fd = input_fd
        self._screen_fd = screen_fd
        self._state = mmap.mmap(-1, 1)
        self._attributes: list[Any] | None = None
        if input_fd is not None:
            try:
                self._attributes = termios.tcgetattr(input_fd)
            except termios.error:
                self._input_fd = None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """The descriptors that a process needs to restore the terminal; empty if there is no terminal."""
        return tuple(fd for fd in (self._input_fd, self._screen_fd) if fd is not None)

    def note(self, text: str) -> None:
        """Learn from ``text``, which is about to be drawn, whether the alternate screen is shown after it."""
        if _ALTERNATE in text:
            entered, left = text.rfind(_ALTERNATE + "h"), text.rfind(_ALTERNATE + "l")
            if entered != left:
                self._state[0] = _SHOWN if entered > left else _LEFT

    @property
    def restored(self) -> bool:
        """Whether the terminal was given back, by any thread."""
        return self._state[0] == _RESTORED

    def restore(self, *, after_death: bool = False) -> None:
        """Restore the attributes and modes; only the first call does anything. Never raises, never blocks for long.

        Args:
            after_death: Whether the program is gone and its shell may be back: change only what the program certainly
                left.
        """
        state = self._state[0]
        if state == _RESTORED:
            return
        if state == _LEFT and not self._in_foreground():
            # The terminal was given back when the shell stopped the program, and belongs to another program since.
            self._state[0] = _RESTORED
            return
        # Writing to the terminal from the background would stop this thread instead of restoring anything.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            self._restore_attributes(drop_typed=state == _SHOWN, only_raw=after_death)
            if self._screen_fd is not None and state in (_SHOWN, _LEFT):
                leave = (_POP_KEYBOARD, _LEAVE) if state == _SHOWN else (b"", b"")
                _write(self._screen_fd, leave[0] + _MODES_OFF + leave[1] + _PLAIN)
        finally:
            self._state[0] = _RESTORED
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _restore_attributes(self, *, drop_typed: bool, only_raw: bool) -> None:
        if self._input_fd is None or self._attributes is None:
            return
        try:
            now = termios.tcgetattr(self._input_fd)
            # A shell's own line editor keeps signal keys on; without them the attributes are still the dead program's.
            if now == self._attributes or (only_raw and now[3] & termios.ISIG):
                return
            termios.tcsetattr(self._input_fd, termios.TCSANOW, self._attributes)
            if drop_typed:
                # Mouse reports and answers to queries that nobody reads any more would end up in the shell.
                termios.tcflush(self._input_fd, termios.TCIFLUSH)
        except (termios.error, OSError):
            return

    def _in_foreground(self) -> bool:
        try:
            return self._screen_fd is None or os.tcgetpgrp(self._screen_fd) == os.getpgrp()
        except OSError:
            return True


class _ScreenFile(io.FileIO):
    """A terminal's descriptor; writing to one that has gone away succeeds, because nobody is left to be told."""

    def write(self, data: Any, /) -> int:
        while True:
            try:
                written: int | None = super().write(data)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return memoryview(data).nbytes
            if written is not None:
                return written
            # Another program left the shared terminal non-blocking.
            select.select([], [self], [])


class _ScreenStream(io.TextIOWrapper):
    """Text to the real terminal; watches for the alternate screen."""

    saved: SavedTty

    def write(self, text: str, /) -> int:
        self.saved.note(text)
        return super().write(text)


def screen_stream(fd: int, saved: SavedTty) -> io.TextIOWrapper:
    """A text stream to ``fd`` for drawing: it never fails because the terminal went away, and keeps ``saved`` up to
    date."""
    # One frame fits the buffer, so a frame is one write to the terminal.
    buffer = io.BufferedWriter(_ScreenFile(fd, "wb", closefd=False), buffer_size=1 << 16)
    # A lone surrogate in a model's text must not end the thread that draws.
    stream = _ScreenStream(buffer, encoding="utf-8", errors="replace", line_buffering=True)
    stream.saved = saved
    return stream


def duplicate(fd: int) -> int:
    """A duplicate of a descriptor, or one that leads nowhere if it is closed."""
    try:
        return os.dup(fd)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def start_guard(saved: SavedTty, farewell: str, tidy: Callable[[], object]) -> int | None:
    """Fork the guard: if this process dies without restoring the terminal (SIGKILL, a crash in C code, out of memory),
    the guard restores it, writes ``farewell`` and calls ``tidy``.

    Returns:
        The guard's process id, or None if there is no terminal or the system cannot watch a process.
    """
    if not saved.descriptors:
        return None
    try:
        watched = os.pidfd_open(os.getpid())
    except (AttributeError, OSError):
        return None
    pid = os.fork()
    if pid:
        os.close(watched)
        return pid
    try:
        _guard(saved, watched, farewell, tidy)
    finally:
        os._exit(0)


def stop_guard(pid: int | None) -> None:
    """End the guard; from here on the program itself looks after the terminal. Never raises."""
    if pid is None:
        return
    try:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return


def _guard(saved: SavedTty, watched: int, farewell: str, tidy: Callable[[], object]) -> None:
    # Its own session: what a shell or a test sends to the program's process group must not reach the guard.
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    _close_all_but({watched, *saved.descriptors})
    select.select([watched], [], [])
    if not saved.restored:
        saved.restore(after_death=True)
        _write(saved.descriptors[-1], farewell.encode("utf-8", "replace") + b"\r\n")
        tidy()


def _close_all_but(kept: set[int]) -> None:
    # An inherited pipe held open here would keep its reader waiting for an end that never comes.
    try:
        opened = [int(entry.name) for entry in os.scandir("/proc/self/fd")]
    except OSError:
        opened = list(range(256))
    for fd in opened:
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)


def _write(fd: int, data: bytes) -> None:
    """Write to a terminal that may be gone or stopped, in bounded time."""
    try:
        _, writable, _ = select.select([], [fd], [], _WRITABLE_S)
        if not writable:
            termios.tcflush(fd, termios.TCOFLUSH)
        os.write(fd, data)
    except (OSError, termios.error, ValueError):
        return
