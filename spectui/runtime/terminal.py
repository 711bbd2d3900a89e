"""Owns the terminal: only the screen draws on it, and it is given back whatever happens.

Owns: file descriptors 1 and 2, what SIGINT, SIGTERM and SIGHUP do, and the way out of the process.
Must not know: Textual, vLLM, widgets. Imported before the first paint, so it imports nothing heavy.

While the terminal is owned, descriptors 1 and 2 are the log: what C++ code, torch, vLLM and child processes print goes
there. The real terminal is reached through duplicates that `sys.__stdout__` and `sys.__stderr__` write to, which is
where Textual's drivers draw. After a signal the process ends within the grace period, even if an engine thread is
inside a long C call: exit codes are 130 (SIGINT), 143 (SIGTERM) and 129 (SIGHUP).
"""

from __future__ import annotations

import _thread
import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from spectui.runtime import scratch
from spectui.runtime.output import ERRORS, sentence, visible
from spectui.runtime.tty import SavedTty, duplicate, screen_stream, start_guard, stop_guard

if TYPE_CHECKING:
    from pathlib import Path

GRACE_S = 3.0
"""How long, in seconds, an orderly end may take after a signal before the process is ended without one."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_REPEAT_S = 0.3
"""A second Ctrl-C later than this after the first comes from an impatient user."""
_TIDY_S = 1.0
"""How long `exit_now` waits for the terminal to be restored and the streams to be flushed."""
_owner: Terminal | None = None


class Terminated(SystemExit):
    """Raised in the main thread by a signal if nothing was registered to stop in an orderly way."""


class Terminal:
    """The owned terminal; created only by `owned_terminal`."""

    def __init__(self, log_path: Path, grace_s: float) -> None:
        self.log_path = log_path
        """The file that descriptors 1 and 2 lead to while the terminal is owned."""
        self.exit_code: int | None = None
        """The exit code that a signal requires; None if none came."""
        self._grace_s = grace_s
        self._pid = os.getpid()
        self._running = self._left = False
        self._faults = False
        self._signalled_at = 0.0
        self._stopper: Callable[[int], object] | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._streams: dict[str, Any] = {}
        self._restoring = _thread.allocate_lock()
        self._log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._kept = [duplicate(1), duplicate(2)]
        self._drawing = [duplicate(1), duplicate(2)]
        screen = next((kept for fd, kept in ((2, self._kept[1]), (1, self._kept[0])) if os.isatty(fd)), None)
        self._saved = SavedTty(os.dup(0) if os.isatty(0) else None, screen)
        self._guard: int | None = None
        self._encodings = [getattr(one, "encoding", None) or "utf-8" for one in (sys.stdout, sys.stderr)]
        self.out = screen_stream(self._drawing[0], self._saved)
        """The real standard output."""
        self.err = screen_stream(self._drawing[1], self._saved)
        """The real standard error."""

    def plain_output(self) -> TextIO:
        """The real standard output for plain lines instead of a screen, in the encoding that its reader expects."""
        self.out.reconfigure(encoding=self._encodings[0], errors=ERRORS)
        return self.out

    def stop_with(self, stop: Callable[[int], object] | None) -> None:
        """Let a signal end the program in an orderly way.

        Args:
            stop: Called in the main thread's running asyncio loop with the exit code, for example to close the app; the
                grace period starts at the signal. If it is None, or no loop is running, `Terminated` is raised instead.
        """
        self._stopper = stop

    def take(self) -> None:
        """Take over the signals and streams; raises `Terminated` if a signal has already come."""
        for number in _SIGNALS:
            # An ignored signal means that the program's starter (nohup, a background job) asked for that.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._on_signal)
        farewell = visible(f"spectui: killed or crashed; what it logged until then is in {self.log_path}")
        self._guard = start_guard(self._saved, farewell, partial(scratch.discard, after_death=True))
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
        self._streams = {name: getattr(sys, name) for name in ("stdout", "stderr", "__stdout__", "__stderr__")}
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)
        vars(sys).update(stdout=log_stream(1), stderr=log_stream(2), __stdout__=self.out, __stderr__=self.err)
        if not faulthandler.is_enabled():
            # After a crash in C code the log has the Python stacks of all threads.
            faulthandler.enable(2)
            self._faults = True
        self._running = True
        if self.exit_code is not None:
            raise Terminated(self.exit_code)

    def leave(self, error: BaseException | None) -> None:
        """Give the terminal back, then end the process if a signal or a stuck thread requires it. Acts once, in the
        owner only."""
        if self._left or not self.owned_by_this_process():
            return
        self._left, self._running = True, False
        self.flush()
        self.restore_screen()
        if isinstance(error, KeyboardInterrupt) and self.exit_code is None:
            self.exit_code = 128 + signal.SIGINT
        if isinstance(error, Exception):
            self._tell_error(error)
            if self.exit_code is None and _other_threads():
                self.exit_code = 1
        if self.exit_code is not None:
            # Descriptors 1 and 2 remain the log, so that what the last threads print does not reach the terminal.
            finish(self.exit_code, self._grace_s)
        self._give_streams_back()

    def restore_screen(self) -> None:
        """Silence whatever still draws and restore the terminal; from any thread, once."""
        with self._restoring:
            if self._saved.restored:
                return
            null = os.open(os.devnull, os.O_WRONLY)
            for fd in self._drawing:
                if os.isatty(fd):
                    # The descriptor is not closed: a writer thread may live on, and must not find another file under
                    # that number.
                    os.dup2(null, fd, inheritable=False)
            os.close(null)
            self._saved.restore()
            stop_guard(self._guard)

    def tell(self, sentence: str) -> None:
        """Write one line, which names the log, to the real standard error; the screen must be gone."""
        line = visible(f"spectui: {' '.join(sentence.split())} (details in {self.log_path})")
        with suppress(OSError):
            os.write(self._kept[1], f"{line}\n".encode(self._encodings[1], ERRORS))

    def _tell_error(self, error: Exception) -> None:
        import traceback

        with suppress(OSError):
            os.write(2, "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace"))
        said = type(error).__name__ + (f": {str(error)[:300]}" if str(error) else "")
        self.tell(sentence(error) if isinstance(error, OSError) and error.filename is not None else said)

    def flush(self) -> None:
        """Flush `out` and `err`."""
        for stream in (self.out, self.err):
            with suppress(OSError, ValueError):
                stream.flush()

    def _give_streams_back(self) -> None:
        if self._faults:
            faulthandler.disable()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        vars(sys).update(self._streams)
        for fd, kept in zip((1, 2), self._kept, strict=True):
            os.dup2(kept, fd)
            os.close(kept)
        os.close(self._log)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def owned_by_this_process(self) -> bool:
        """False in a forked child, which must leave its parent's terminal alone."""
        return os.getpid() == self._pid

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if not self.owned_by_this_process():
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            return
        now = time.monotonic()
        if self.exit_code is not None:
            # A closing terminal sends several signals; only an impatient user cuts the orderly end short.
            if signum == signal.SIGINT and now - self._signalled_at > _REPEAT_S:
                exit_now(self.exit_code)
            return
        self.exit_code = 128 + signum
        self._signalled_at = now
        # Not threading.Thread, because the interrupted code may hold its locks.
        _thread.start_new_thread(self._end_after_grace, ())
        if not self._running:
            return
        asyncio = sys.modules.get("asyncio")
        loop = asyncio._get_running_loop() if asyncio is not None else None
        if self._stopper is None or loop is None:
            raise Terminated(self.exit_code)
        loop.call_soon_threadsafe(self._stopper, self.exit_code)

    def _end_after_grace(self) -> None:
        time.sleep(self._grace_s)
        exit_now(self.exit_code or 0)


@contextmanager
def owned_terminal(log_path: Path, *, grace_s: float = GRACE_S) -> Iterator[Terminal]:
    """Own the terminal for the duration of the block; to be entered in the main thread, before any heavy import.

    After a signal the process ends with the signal's code when the block is left, however that happens. An exception
    that leaves the block is written to the log with its traceback, one line about it goes to the real standard error,
    and `SystemExit(1)` is raised. `SystemExit` passes unchanged.

    Args:
        log_path: The file that takes everything written to descriptors 1 and 2; it is appended to, and its folder must
            exist.
        grace_s: Seconds that an orderly end may take after a signal, and to wait for remaining threads.

    Raises:
        OSError: The log file cannot be opened; nothing was changed.
        RuntimeError: The terminal is already owned.
    """
    global _owner
    if _owner is not None:
        raise RuntimeError("the terminal is already owned")
    terminal = _owner = Terminal(log_path, grace_s)
    error: BaseException | None = None
    try:
        try:
            terminal.take()
            yield terminal
        except BaseException as raised:
            error = raised
        terminal.leave(error)
    finally:
        # Again, because a signal may have come between the block and the line above.
        terminal.leave(error)
        _owner = None
    if isinstance(error, Exception) and terminal.owned_by_this_process():
        raise SystemExit(1) from None
    if error is not None:
        raise error


def finish(code: int, wait_s: float = GRACE_S) -> NoReturn:
    """End the process through `exit_now` once its non-daemon threads have ended, but after ``wait_s`` seconds at the
    latest.

    This is the way out for everything that ran an engine, best from inside the owned block, where descriptors 1 and 2
    are still the log. The interpreter's own shutdown would wait for a thread inside a C call, however long that takes.
    """
    until = time.monotonic() + wait_s
    for thread in _other_threads():
        if not thread.daemon:
            thread.join(max(0.0, until - time.monotonic()))
    exit_now(code)


def exit_now(code: int) -> NoReturn:
    """End the process at once, from any thread: restore the terminal, flush the logs and remove temporary files, in
    bounded time.

    Args:
        code: The exit code, unless a signal came: then the signal's code is used.
    """
    owner = _owner if _owner is not None and _owner.owned_by_this_process() else None
    if owner is not None and owner.exit_code is not None:
        code = owner.exit_code
    tidied = _thread.allocate_lock()
    tidied.acquire()

    def tidy() -> None:
        try:
            if owner is not None:
                owner.restore_screen()
                owner.flush()
            logging = sys.modules.get("logging")
            if logging is not None:
                logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            scratch.discard()
            tidied.release()

    # In its own thread, because each of these locks may be held by a thread that will never run again.
    with suppress(RuntimeError):
        _thread.start_new_thread(tidy, ())
        tidied.acquire(timeout=_TIDY_S)
    os._exit(code)


def log_stream(fd: int) -> TextIO:
    """A text stream to a descriptor that is the log; it accepts any text, and leaves the descriptor open."""
    return open(fd, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _other_threads() -> list[Any]:
    threading = sys.modules.get("threading")
    return [thread for thread in threading.enumerate() if thread is not threading.current_thread()] if threading else []
